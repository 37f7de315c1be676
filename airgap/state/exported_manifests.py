"""Manifests of exported bundles: what a site holds is what those that it confirms have."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from airgap.disk import durable, sharing
from airgap.disk.reading import read_small
from airgap.errors import AirgapError
from airgap.format import limits
from airgap.format import manifest as manifests
from airgap.format.manifest import Manifest
from airgap.state.state_folder import state_folder

__all__ = [
    "find_exported",
    "list_exported",
    "load_exported",
    "locate_exported",
    "save_exported",
]


def save_exported(bundle: str, raw: bytes) -> None:
    """Save the manifest of a bundle that was exported here.

    Raises:
        OSError: the disk refused.
    """
    folder = _folder()
    sharing.make_own_folder(folder)
    path = locate_exported(bundle)
    if path.is_file() and path.lstat().st_size == len(raw):
        return
    durable.replace_file(path, raw, mode=sharing.choose_file_mode(folder))


def locate_exported(bundle: str) -> Path:
    """Return where the manifest of a bundle is, if it was exported here."""
    return _folder() / f"{bundle}.msgpack"


def load_exported(bundle: str) -> Manifest | None:
    """Return the manifest of an exported bundle; None if there is none, or it is damaged."""
    with suppress(OSError, AirgapError):
        raw = read_small(locate_exported(bundle), limits.MANIFEST_BYTES, os.O_NOFOLLOW)
        if manifests.bundle_id(raw) == bundle:
            return manifests.decode(raw)
    return None


def find_exported(digits: str) -> list[str]:
    """Return the ids of the exported bundles that begin so."""
    return sorted(bundle for bundle, _ in list_exported() if bundle.startswith(digits))


def list_exported() -> Iterator[tuple[str, int]]:
    """Yield the ids of the bundles that were exported here, and when, in seconds since 1970."""
    with suppress(OSError):
        for path in sorted(_folder().glob("*.msgpack")):
            with suppress(OSError):
                yield path.stem, int(path.lstat().st_mtime)


def _folder() -> Path:
    return state_folder() / "exported"
