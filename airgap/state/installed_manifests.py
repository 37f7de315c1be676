"""Manifests of installed bundles: they say which chunks are in which installed files."""

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from airgap.disk import durable, sharing
from airgap.disk.reading import read_small
from airgap.errors import AirgapError
from airgap.format import limits
from airgap.format import manifest as manifests
from airgap.format.manifest import Manifest
from airgap.state.state_folder import state_folder

__all__ = ["find", "list_bundles", "load", "load_manifest", "load_raw", "save_manifest"]

_MOST: Final = 200


def save_manifest(bundle: str, raw: bytes) -> None:
    """Save the manifest of an installed bundle.

    Raises:
        OSError: the disk refused.
    """
    folder = _folder()
    sharing.make_own_folder(folder)
    path = folder / f"{bundle}.msgpack"
    if path.is_file() and path.lstat().st_size == len(raw):
        return
    # A unique name: imports into several BentoML homes may run at once.
    part = path.with_suffix(f".{secrets.token_hex(8)}.part")
    durable.replace_file(path, raw, part, sharing.choose_file_mode(folder))


def load() -> Iterator[Manifest]:
    """Yield the saved manifests, the newest first. A damaged file is skipped."""
    for _, manifest in find("", ""):
        yield manifest


def find(name: str, version: str) -> Iterator[tuple[str, Manifest]]:
    """Yield id and manifest of installed bundles that may name such an item, the newest first.

    Those that cannot are not decoded, and a damaged file is skipped.
    """
    wanted = (name.encode(), version.encode())
    with suppress(OSError):
        files = sorted(_folder().glob("*.msgpack"), key=lambda path: path.stat().st_mtime_ns)
        for path in reversed(files[-_MOST:]):
            with suppress(OSError, AirgapError):
                raw = _read(path)
                if raw is not None and all(text in raw for text in wanted):
                    yield path.stem, manifests.decode(raw)


def load_manifest(bundle: str) -> Manifest | None:
    """Return the saved manifest of a bundle; None if there is none, or it is not that one's.

    Its SHA-256 is compared with the id, because people act on what it says was imported.
    """
    with suppress(AirgapError):
        raw = load_raw(bundle)
        return None if raw is None else manifests.decode(raw)
    return None


def load_raw(bundle: str) -> bytes | None:
    """Return the bytes of the saved manifest of a bundle; None as ``load_manifest``."""
    with suppress(OSError):
        raw = _read(_folder() / f"{bundle}.msgpack")
        if raw is not None and manifests.bundle_id(raw) == bundle:
            return raw
    return None


def _read(path: Path) -> bytes | None:
    """Read a saved manifest; None if it is too large to be one. Raises OSError.

    In a shared folder, another operator may have put a link or a FIFO there.
    """
    raw = read_small(path, limits.MANIFEST_BYTES, os.O_NOFOLLOW)
    return None if len(raw) > limits.MANIFEST_BYTES else raw


def list_bundles() -> frozenset[str]:
    """Return the ids of the bundles whose manifests are saved. No file is opened."""
    try:
        return frozenset(path.stem for path in _folder().iterdir() if path.suffix == ".msgpack")
    except OSError:
        return frozenset()


def _folder() -> Path:
    return state_folder() / "manifests"
