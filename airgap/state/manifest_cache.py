"""Cache of manifests that were read from depots, so that none is fetched twice.

A cached manifest is not trusted: its SHA-256 is compared with the bundle id at every read.
"""

import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from airgap.disk import sharing
from airgap.disk.permissions import set_mode
from airgap.disk.reading import read_small
from airgap.format import limits
from airgap.state.state_folder import state_folder

__all__ = ["load", "save_manifest", "trim"]

_MOST: Final = limits.DEPOT_BUNDLES
_MOST_BYTES: Final = 256 * limits.MIB
_LARGEST: Final = 8 * limits.MIB


def load(bundle: str) -> bytes | None:
    """Return the manifest of a bundle, or None if it is not cached."""
    path = _folder() / bundle
    with suppress(OSError):
        raw = read_small(path, _LARGEST, os.O_NOFOLLOW)
        if hashlib.sha256(raw).hexdigest() == bundle:
            with suppress(OSError):  # another operator's
                os.utime(path, follow_symlinks=False)
            return raw
    return None


def save_manifest(bundle: str, raw: bytes) -> None:
    """Cache a manifest, unless it is too large or the disk refuses."""
    if len(raw) > _LARGEST:
        return
    with suppress(OSError):
        folder = _folder()
        sharing.make_own_folder(folder)
        part = folder / f"{bundle}.{secrets.token_hex(4)}.part"
        mode = sharing.choose_file_mode(folder)
        with part.open("xb") as file:
            file.write(raw)
            if mode is not None:
                set_mode(file.fileno(), mode)
        part.replace(folder / bundle)


def trim() -> None:
    """Remove the manifests that were not read for longest, beyond the limits of the cache."""
    with suppress(OSError):
        files = [(path.stat(), path) for path in _folder().iterdir()]
        files.sort(key=lambda file: file[0].st_mtime_ns, reverse=True)
        total = 0
        for number, (status, path) in enumerate(files):
            total += status.st_size
            if number >= _MOST or total > _MOST_BYTES:
                path.unlink(missing_ok=True)


def _folder() -> Path:
    return state_folder() / "cache" / "manifests"
