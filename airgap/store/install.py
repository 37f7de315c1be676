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
from airgap.store.staging import StagedItem, sync_tree

__all__ = ["install", "locked", "point_latest"]

_AT_FDCWD: Final = -100
_EXCHANGE: Final = 2


@contextmanager
def locked(private: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the store's lock; call ``waiting`` if another process holds it.

    What had to be made for that, even the store's own folder, is removed again if nothing came
    into it.
    """
    above = [folder for folder in private.parents if not folder.exists()]
    lock = private / "lock"
    descriptor = _lock(lock, waiting)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)
        for folder in (private, *above):
            with suppress(OSError):  # staging may be left for the next try
                folder.rmdir()


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
    """Rename a staged item into place; what was there is kept until the new one is."""
    final = staged.place.final
    final.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(final):
        _replace(staged)
    else:
        staged.folder.rename(final)
    _sync_folder(final.parent)


def _replace(staged: StagedItem) -> None:
    """Swap old and new, in one step where the system can do that (Linux), and remove the old.

    The new item leaves its staging name first: after a power cut, what lies under that name is
    never the old one.
    """
    final = staged.place.final
    new = staged.folder.with_name(f"{staged.folder.name}.new")
    old = staged.folder.with_name(f"{staged.folder.name}.old")
    for left in (new, old):
        if os.path.lexists(left):
            _remove(left)
    staged.folder.rename(new)
    if staged.place.may_hold_more and final.is_dir():
        shutil.copytree(
            final, new, symlinks=True, dirs_exist_ok=True, copy_function=_copy_if_absent
        )
        sync_tree(new)
    if _exchange(new, final):
        _remove(new)
    else:
        final.rename(old)
        new.rename(final)
        _remove(old)


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


def _copy_if_absent(source: str, target: str) -> str:
    if not os.path.lexists(target):
        shutil.copy2(source, target, follow_symlinks=False)
    return target


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
