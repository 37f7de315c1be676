"""What may be wrong with the stores. Everything here only reads."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airgap.disk import locks
from airgap.store.install_paths import private_folder
from airgap.store.staging import measure_disk_usage
from airgap.store.volume_progress import JOURNAL

__all__ = ["Disk", "Leftover", "inspect_disk", "is_importing", "list_leftovers"]


@dataclass(frozen=True, slots=True)
class Disk:
    """Where a store lies. ``free`` is in bytes; ``elsewhere`` are its parts on other disks."""

    store: Path
    exists: bool
    writable: bool
    free: int
    elsewhere: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Leftover:
    """What an import has left in staging, in bytes on the disk.

    ``waits`` tells that it was not cut off: volumes are still to come.
    """

    bundle: str
    folder: Path
    size: int
    waits: bool


def inspect_disk(store: Path, parts: tuple[str, ...] = ()) -> Disk:
    """Look at a store's file system; where the store is not there yet, at the one it will be on."""
    there = next(path for path in (store, *store.parents) if path.exists())
    device = there.stat().st_dev
    return Disk(
        store,
        store.exists(),
        there.is_dir() and os.access(there, os.W_OK | os.X_OK),
        shutil.disk_usage(there).free,
        tuple(
            store / part
            for part in parts
            if (store / part).exists() and (store / part).stat().st_dev != device
        ),
    )


def list_leftovers(store: Path) -> Iterator[Leftover]:
    """Yield what lies in a store's staging."""
    staging = private_folder(store) / "staging"
    for name in _list_names(staging):
        waits = (staging / name / JOURNAL).exists()
        yield Leftover(name, staging / name, measure_disk_usage(staging / name), waits)


def is_importing(store: Path) -> bool:
    """Tell whether an import is at work in a store right now."""
    return locks.is_locked(private_folder(store) / "lock")


def _list_names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return []
