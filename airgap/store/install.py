"""The last step of an import: renames, in an order that a power cut cannot spoil."""

import ctypes
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from airgap.store import bentoml_home
from airgap.store.staging import StagedItem

__all__ = ["install", "locked", "point_latest"]

_AT_FDCWD: Final = -100
_EXCHANGE: Final = 2


@contextmanager
def locked(private: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the store's lock; call ``waiting`` once if another process holds it."""
    lock = private / "lock"
    descriptor = _lock(lock, waiting)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)
        with suppress(OSError):  # staging may be left for the next try
            private.rmdir()


def _lock(path: Path, waiting: Callable[[], None]) -> int:
    """Lock a file that its holders remove: what was locked must still be what is there."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # another process has just removed the folder
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)


def install(staged: StagedItem) -> None:
    """Rename a staged item into place; what was there is kept until the new one is.

    The old one leaves in the same atomic exchange where the system can do that (Linux), so that
    there is no moment without either.
    """
    final = staged.place.final
    final.parent.mkdir(parents=True, exist_ok=True)
    if not final.exists():
        staged.folder.rename(final)
    elif _exchange(staged.folder, final):
        _remove(staged.folder)
    else:
        old = staged.folder.with_name(f"{staged.folder.name}.replaced")
        final.rename(old)
        staged.folder.rename(final)
        _remove(old)
    _sync_folder(final.parent)


def point_latest(staged: StagedItem) -> None:
    """Let ``latest`` name the item unless a newer one is there, as BentoML's own import does."""
    place, item = staged.place, staged.item
    if place.latest is None or item.kind == "hugging-face":
        return
    new = bentoml_home.describe(item.kind, place.final)
    with suppress(Exception):  # a dangling or broken `latest` is replaced
        current = place.latest.read_text().strip()
        there = bentoml_home.describe(item.kind, place.latest.parent / current)
        if new.created < there.created:
            return
    prepared = staged.folder.with_name("latest")
    prepared.write_text(item.version)
    prepared.replace(place.latest)
    _sync_folder(place.latest.parent)


def _remove(old: Path) -> None:
    if old.is_symlink():
        old.unlink()
    else:
        shutil.rmtree(old)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders atomically; False where the system or file system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    swapped: int = rename(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), ctypes.c_uint(_EXCHANGE)
    )
    return swapped == 0


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
