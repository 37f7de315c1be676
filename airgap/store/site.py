"""What this machine remembers: its pinned root. ``AIRGAP_HOME``, default ``~/.airgap``."""

import errno
import glob
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.errors import ConfigurationError, StorageError
from airgap.format import limits

__all__ = ["PinnedRoot", "home", "load_root", "read_root_files", "save_root"]

_ROOT: Final = "root.msgpack"
_FINGERPRINT: Final = "fingerprint"


@dataclass(frozen=True, slots=True)
class PinnedRoot:
    """The root's bytes, its envelopes, and the fingerprint it was pinned by. Not yet checked."""

    raw: bytes
    envelopes: tuple[bytes, ...]
    fingerprint: str


def home() -> Path:
    """Return where airgap keeps its own state."""
    return Path(os.environ.get("AIRGAP_HOME") or Path.home() / ".airgap").absolute()


def load_root() -> PinnedRoot | None:
    """Read the pinned root, or None if this machine has none yet.

    Raises:
        ConfigurationError: the state is incomplete.
    """
    folder = _trust()
    try:
        fingerprint = (folder / _FINGERPRINT).read_text().strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _damaged(folder) from error
    raw, envelopes = read_root_files(folder / _ROOT)
    return PinnedRoot(raw, envelopes, fingerprint)


def save_root(pinned: PinnedRoot, envelope_files: Sequence[str]) -> Path:
    """Pin a root; the fingerprint is written last, so that a half-written pin is none.

    Raises:
        StorageError: the state cannot be written.
    """
    folder = _trust()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        for name, envelope in zip(envelope_files, pinned.envelopes, strict=True):
            _write(folder / name, envelope)
        _write(folder / _ROOT, pinned.raw)
        _write(folder / _FINGERPRINT, pinned.fingerprint.encode() + b"\n")
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written: {error.strerror}.", "Check who owns it."
        ) from error
    return folder


def read_root_files(path: Path) -> tuple[bytes, tuple[bytes, ...]]:
    """Read a root and the ``*.dsse`` files named after it that lie beside it.

    Raises:
        ConfigurationError: it is not there or cannot be read.
    """
    stem = glob.escape(path.name.split(".")[0])
    try:
        raw = _read_bounded(path, limits.ROOT_BYTES)
        beside = sorted(path.parent.glob(f"{stem}.*.dsse"))[: limits.ENVELOPES]
        envelopes = tuple(_read_bounded(one, limits.ENVELOPE_BYTES) for one in beside)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}.", "Check the path of the root file."
        ) from error
    return raw, envelopes


def _read_bounded(path: Path, limit: int) -> bytes:
    """Read one byte more than there may be at the most: a root comes from a hostile medium too."""
    # Non-blocking, so that a FIFO is refused rather than waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return file.read(limit + 1)


def _trust() -> Path:
    return home() / "trust"


def _damaged(folder: Path) -> ConfigurationError:
    return ConfigurationError(
        f"The trust state in {folder} is damaged.",
        "Move that folder away and run `airgap trust init` again.",
    )


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
