"""Looks at the stores of this machine: disks, staging, running imports. Writes nothing."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from airgap.disk import locks
from airgap.disk.space import measure_free
from airgap.format import names
from airgap.store.install_paths import private_folder
from airgap.store.private_folder import inspect_private_folder
from airgap.store.staging import PACKAGES, STAGING, measure_disk_usage
from airgap.store.unsigned_staging import UNSIGNED
from airgap.store.volume_progress import JOURNAL

__all__ = [
    "Disk",
    "Leftover",
    "find_existing",
    "inspect_disk",
    "inspect_staging",
    "is_importing",
    "list_leftovers",
]

_LOCK: Final = ".lock"


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system of a store. ``detached`` are parts on other disks.

    ``free`` is in bytes; None if the file system does not say.
    """

    store: Path
    exists: bool
    writable: bool
    free: int | None
    detached: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Leftover:
    """What lies in staging under a name. ``size`` is in bytes on the disk.

    ``work``: what has left it: an ``import`` that was interrupted, or waits for more ``volumes``;
    an import of an ``unsigned`` archive; an export that collects ``packages``; or none of these
    (``unknown``). ``is_running`` tells that it has not ended.
    """

    name: str
    paths: tuple[Path, ...]
    size: int
    work: Literal["import", "volumes", "unsigned", "packages", "unknown"]
    is_running: bool = False


def inspect_disk(store: Path, parts: tuple[str, ...] = ()) -> Disk:
    """Inspect a store's file system; if the store does not exist yet, the one it will be on."""
    existing = find_existing(store)
    device = existing.stat().st_dev
    return Disk(
        store,
        store.exists(),
        existing.is_dir() and os.access(existing, os.W_OK | os.X_OK),
        measure_free(existing),
        tuple(
            store / part
            for part in parts
            if (store / part).exists() and (store / part).stat().st_dev != device
        ),
    )


def find_existing(path: Path) -> Path:
    """Return a path if it exists, else the nearest folder above it that does."""
    return next(above for above in (path, *path.parents) if above.exists())


def list_leftovers(store: Path) -> Iterator[Leftover]:
    """Yield what lies in a store's staging: no import is running."""
    staging = private_folder(store) / STAGING
    paths: dict[str, list[Path]] = {}
    for name in _list_names(staging):
        is_packages = name.startswith(PACKAGES)
        paths.setdefault(name.removesuffix(_LOCK) if is_packages else name, []).append(
            staging / name
        )
    for name, own in paths.items():
        size = sum(map(measure_disk_usage, own))
        is_running = name.startswith(PACKAGES) and locks.is_locked(staging / f"{name}{_LOCK}")
        yield Leftover(name, tuple(own), size, _find_work(staging / name), is_running)


def _find_work(folder: Path) -> Literal["import", "volumes", "unsigned", "packages", "unknown"]:
    if folder.name.startswith(PACKAGES):
        return "packages"
    if folder.name == UNSIGNED:
        return "unsigned"
    if not names.is_bundle_id(folder.name):
        return "unknown"
    return "volumes" if (folder / JOURNAL).exists() else "import"


def inspect_staging(store: Path) -> None:
    """Refuse links and what others own in the store's folder for airgap's own work.

    Raises:
        StorageError: there is something, which ends every import.
    """
    with suppress(OSError):  # it does not exist, or only others may read it
        inspect_private_folder(store)


def is_importing(store: Path) -> bool:
    """Tell whether an import into a store is running."""
    return locks.is_locked(private_folder(store) / "lock")


def _list_names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return []
