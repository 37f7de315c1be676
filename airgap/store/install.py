"""The last step of an import: renames, in an order that a power cut cannot spoil."""

import ctypes
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from airgap.disk import durable, locks
from airgap.store.kinds import find_kind
from airgap.store.staging import StagedItem

__all__ = ["install", "lock_store", "point_latest", "put_back"]

_AT_FDCWD: Final = -100
_EXCHANGE: Final = 2


@contextmanager
def lock_store(private: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the store's lock; call ``waiting`` if another process holds it.

    What had to be made for that, even the store's own folder, is removed again if nothing came
    into it.
    """
    above = [folder for folder in private.parents if not folder.exists()]
    lock = private / "lock"
    descriptor = locks.lock_removable(lock, waiting)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)
        for folder in (private, *above):
            with suppress(OSError):  # staging may be left for the next try
                folder.rmdir()


def install(staged: StagedItem) -> None:
    """Rename a staged item into place; what was there stays until the new one is."""
    final = staged.place.final
    durable.make_folder(final.parent)
    if os.path.lexists(final):
        _replace(staged)
    else:
        staged.folder.rename(final)
    durable.sync_folder(final.parent)


def _replace(staged: StagedItem) -> None:
    """Swap old and new, in one step where the system can do that (Linux).

    The old one then lies in staging, which is removed when everything else is done.
    """
    final, new = staged.place.final, staged.folder
    if staged.place.may_hold_more and final.is_dir():
        _keep_others(final, new)
        durable.sync_file_system(new)
    if _exchange(new, final):
        return
    old = _previous_path(staged)
    if os.path.lexists(old):
        _remove(old)
    final.rename(old)
    try:
        new.rename(final)
    except BaseException:
        with suppress(OSError):
            old.rename(final)
        raise


def put_back(staged: StagedItem) -> None:
    """Put the old item back if a try was killed when it had taken it away, and no more."""
    old, final = _previous_path(staged), staged.place.final
    if os.path.lexists(old) and not os.path.lexists(final):
        old.rename(final)
        durable.sync_folder(final.parent)


def _previous_path(staged: StagedItem) -> Path:
    return staged.folder.with_name(f"{staged.folder.name}~old")  # no tag or commit has a tilde


def point_latest(staged: StagedItem) -> None:
    """Let ``latest`` name the item unless a newer one is there, as BentoML's own import does."""
    place, item = staged.place, staged.item
    durable.sync_folder(place.final.parent)  # a try that was killed may have renamed and not synced
    if place.latest is None:
        return
    kind = find_kind(item.kind)
    new = kind.describe(place.final)
    with suppress(Exception):  # a dangling or broken `latest` is replaced
        current = place.latest.read_text().strip()
        there = kind.describe(place.latest.parent / current)
        if current == item.version or new.created < there.created:
            return
    # Synced before it is renamed: BentoML cannot list a store with an empty `latest`.
    durable.replace_file(place.latest, item.version.encode(), staged.folder.with_name("latest"))


def _keep_others(there: Path, new: Path) -> None:
    """Give the new folder what lies beside the item in the old one: the same files, not copies."""
    for one in there.iterdir():
        target = new / one.name
        if one.is_dir() and not one.is_symlink():
            if not os.path.lexists(target):
                target.mkdir()
            if target.is_dir() and not target.is_symlink():
                _keep_others(one, target)
        elif not os.path.lexists(target):
            _link(one, target)


def _link(source: Path, target: Path) -> None:
    if source.is_symlink():
        target.symlink_to(os.readlink(source))  # noqa: PTH115  (exact text)
        return
    try:
        os.link(source, target)
    except OSError:  # another owner's file, or a file system without hard links
        shutil.copy2(source, target)


def _remove(old: Path) -> None:
    if old.is_dir() and not old.is_symlink():
        shutil.rmtree(old)
    else:
        old.unlink()


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
