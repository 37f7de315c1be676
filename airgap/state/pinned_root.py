"""The pinned root of this machine, in the state folder."""

import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from airgap.disk import durable, locks
from airgap.disk.permissions import set_mode
from airgap.disk.reading import read_small
from airgap.disk.sharing import is_shared, make_new_folder, make_own_folder
from airgap.errors import ConfigurationError, ConflictError, CorruptError, StorageError
from airgap.format import limits
from airgap.state.state_folder import state_folder

__all__ = [
    "PinnedRoot",
    "envelope_stem",
    "load_root",
    "read_root_files",
    "read_signed",
    "save_root",
]

_FINGERPRINT: Final = "fingerprint"
_PINNED: Final = re.compile(r"SHA256:[0-9a-f]{64}")
_GROUP_ENTERS: Final = 0o2050
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FINGERPRINT_BYTES: Final = 1024
_GROUP_READS: Final = 0o640
_ROOT_FILE: Final = re.compile(r"[0-9a-f]{64}\.(msgpack|[0-9a-f]{64}\.dsse)(\.part)?")


@dataclass(frozen=True, slots=True)
class PinnedRoot:
    """The root's bytes, its envelopes, and the fingerprint it was pinned by. Not verified."""

    raw: bytes
    envelopes: tuple[bytes, ...]
    fingerprint: str


def load_root() -> PinnedRoot | None:
    """Read the pinned root, or None if this machine has none.

    Raises:
        ConfigurationError: the state is incomplete, or somebody else has put it there.
    """
    fingerprint = _pinned_fingerprint()
    if fingerprint is None:
        return None
    try:
        raw, envelopes = read_root_files(_root_file(fingerprint))
    except ConfigurationError as error:
        if _pinned_fingerprint() == fingerprint:
            raise _damaged(_trust()) from error
        return load_root()  # another process has just pinned a newer one
    return PinnedRoot(raw, envelopes, fingerprint)


def save_root(
    raw: bytes, envelopes: Mapping[str, bytes], fingerprint: str, replaced: str | None
) -> Path:
    """Pin a root with its envelopes by key id; return the folder.

    The root's files are named after its fingerprint and written first. What is pinned changes with
    one rename, of the file that holds the fingerprint; the old root's files go afterwards.

    Raises:
        ConfigurationError: somebody else has put something in the place of the folder.
        ConflictError: another root than ``replaced`` is pinned by now.
        StorageError: the state cannot be written.
    """
    folder, target = _trust(), _root_file(fingerprint)
    try:
        _make_folder(folder)
        mode = _GROUP_READS if is_shared(state_folder()) else None
        with locks.lock_folder(folder):
            if _pinned_fingerprint() != replaced:
                raise ConflictError(
                    "Another process has pinned another root meanwhile.",
                    "See `airgap trust show`, and run this again if it is still needed.",
                )
            for key_id, envelope in envelopes.items():
                durable.replace_file(folder / f"{target.stem}.{key_id}.dsse", envelope, mode=mode)
            durable.replace_file(target, raw, mode=mode)
            durable.replace_file(folder / _FINGERPRINT, fingerprint.encode() + b"\n", mode=mode)
            _remove_others(folder, target.stem)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written: {error.strerror}.", "Check who owns it."
        ) from error
    return folder


def _make_folder(folder: Path) -> None:
    """Make the folder of the pinned root: a group that shares the state folder may read it only.

    Its owner may let the group write into it, too. Others never may: what they could do before is
    taken away.
    """
    make_own_folder(folder.parent)
    with suppress(FileExistsError):
        make_new_folder(folder, group=_GROUP_ENTERS)
    _refuse_strange(folder, folder.lstat())
    descriptor = os.open(folder, _FOLDER)
    try:
        status = os.fstat(descriptor)
        _refuse_strange(folder, status)
        allowed = stat.S_ISGID | stat.S_IRWXU | (stat.S_IRWXG if is_shared(folder.parent) else 0)
        mode = stat.S_IMODE(status.st_mode)
        if mode & ~allowed:
            set_mode(descriptor, mode & allowed)
    finally:
        os.close(descriptor)


def _refuse_strange(folder: Path, status: os.stat_result) -> None:
    """Refuse what a member of the group has put in the place of the pinned root's folder.

    Where the state folder has no sticky bit, its group may replace that folder anyway, and
    containers of several uids do: then its owner says nothing.

    Raises:
        ConfigurationError: it is a link or not a folder, or belongs to another user than this one,
            the state folder's owner, and root.
    """
    if not stat.S_ISDIR(status.st_mode):
        raise ConfigurationError(
            f"{folder} is a link, or is not a folder.",
            "Check who put it there, remove it, and run `airgap trust init` again.",
        )
    above = folder.parent.stat()
    is_guarded = not is_shared(folder.parent) or above.st_mode & stat.S_ISVTX
    if is_guarded and status.st_uid not in (0, os.geteuid(), above.st_uid):
        raise ConfigurationError(
            f"{folder} belongs to another user (uid {status.st_uid}) than {folder.parent}"
            f" (uid {above.st_uid}), and that user could choose whom this machine trusts.",
            "Check what is in it, remove it, and run `airgap trust init` again.",
        )


def read_root_files(path: Path) -> tuple[bytes, tuple[bytes, ...]]:
    """Read a root and the ``*.dsse`` files named after it that lie beside it.

    Raises:
        ConfigurationError: it does not exist or cannot be read.
    """
    return read_signed(path, limits.ROOT_BYTES, "root")


def read_signed(path: Path, limit: int, what: str) -> tuple[bytes, tuple[bytes, ...]]:
    """Read a document of at most ``limit`` bytes, and the envelopes beside it (format §7.1, §16).

    ``what`` names the kind of document in the message.

    Raises:
        ConfigurationError: it does not exist or cannot be read.
        CorruptError: more envelopes lie beside it than are read.
    """
    try:
        raw = read_small(path, limit)
        beside = _list_envelopes(path)
        if len(beside) > limits.ENVELOPES_BESIDE:
            raise CorruptError(
                f"More than {limits.ENVELOPES_BESIDE:,} signature files lie beside {path}.",
                f"Remove those by keys that are not the signers'"
                f" ({envelope_stem(path)}.<key id>.dsse).",
            )
        envelopes = tuple(read_small(envelope, limits.ENVELOPE_BYTES) for envelope in beside)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}.", f"Check the path of the {what} file."
        ) from error
    return raw, envelopes


def _list_envelopes(path: Path) -> list[Path]:
    """Return the envelopes beside a document, sorted: at most one more than are read."""
    pattern = re.compile(rf"{re.escape(envelope_stem(path))}\.[0-9a-f]{{64}}\.dsse")
    with os.scandir(path.parent) as listing:
        named = (entry.name for entry in listing if pattern.fullmatch(entry.name))
        return sorted(path.parent / name for name in islice(named, limits.ENVELOPES_BESIDE + 1))


def envelope_stem(path: Path) -> str:
    """Return what the names of a document's envelopes begin with (format §7.1, §16)."""
    return path.name.split(".")[0]


def _trust() -> Path:
    return state_folder() / "trust"


def _root_file(fingerprint: str) -> Path:
    return _trust() / f"{fingerprint.partition(':')[2]}.msgpack"


def _pinned_fingerprint() -> str | None:
    """Return the fingerprint of the pinned root, or None if there is none."""
    folder = _trust()
    try:
        _refuse_strange(folder, folder.lstat())
        fingerprint = read_small(folder / _FINGERPRINT, _FINGERPRINT_BYTES).decode().strip()
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise ConfigurationError(
            f"This user (uid {os.geteuid()}) may not read {folder}, which has the root that this"
            " machine trusts.",
            "Let an administrator add this user to the group that imports here"
            " (`airgap trust init --system`), or set AIRGAP_HOME to a folder of your own.",
        ) from error
    except (OSError, ValueError) as error:
        raise _damaged(folder) from error
    if not _PINNED.fullmatch(fingerprint):
        raise _damaged(folder)
    return fingerprint


def _remove_others(folder: Path, stem: str) -> None:
    """Remove the files of roots that are no longer pinned, or were never completely written."""
    for path in folder.iterdir():
        if _ROOT_FILE.fullmatch(path.name) and path.name.split(".")[0] != stem:
            path.unlink(missing_ok=True)


def _damaged(folder: Path) -> ConfigurationError:
    return ConfigurationError(
        f"The trust state in {folder} is damaged.",
        "Move that folder away and run `airgap trust init` again.",
    )
