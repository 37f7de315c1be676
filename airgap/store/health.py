"""Looks at the stores of this machine: disks, staging, running imports. Writes nothing."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from airgap.disk import locks
from airgap.disk.space import measure_free
from airgap.store.install_paths import private_folder
from airgap.store.private_folder import inspect_private_folder
from airgap.store.staging import STAGING, measure_disk_usage
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
    """What an import has left in staging. ``size`` is in bytes on the disk.

    ``waits`` tells that the import was not interrupted: it waits for more volumes.
    """

    bundle: str
    folder: Path
    size: int
    waits: bool


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
    """Yield what imports have left in a store's staging."""
    staging = private_folder(store) / STAGING
    for name in _list_names(staging):
        waits = (staging / name / JOURNAL).exists()
        yield Leftover(name, staging / name, measure_disk_usage(staging / name), waits)


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
