"""The last step of an import: renames, in an order that survives a power cut."""

import ctypes
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from airgap.disk import durable, locks, space
from airgap.disk.permissions import set_mode
from airgap.format.inventory import Item
from airgap.store.install_paths import InstallPath, private_folder
from airgap.store.item_kind import ItemKind
from airgap.store.kinds import find_kind
from airgap.store.latest import read_latest
from airgap.store.modes import make_folder, modes_of
from airgap.store.private_folder import give_to_owner, inspect_private_folder, make_private_folder
from airgap.store.replaced import previous_path, put_back_replaced
from airgap.store.staging import STAGING, StagedItem

__all__ = ["install", "lock_store", "point_latest", "record_installed"]

_AT_FDCWD: Final = -100
_EXCHANGE: Final = 2
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@contextmanager
def lock_store(store: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a store's lock; call ``on_wait`` if another process holds it.

    An item that a killed import was about to replace is put back.

    Folders that had to be created for the lock, even the store itself, are removed again if they
    are empty.

    Raises:
        StorageError: something in the store's folder for airgap's own work is a link or another
            user's.
        OSError: the disk refused, or cannot enlarge a file.
    """
    private = private_folder(store)
    created = [folder for folder in private.parents if not folder.exists()]
    lock = private / "lock"
    try:
        descriptor = locks.lock_removable(lock, on_wait, partial(make_private_folder, store))
        try:
            inspect_private_folder(store)
            put_back_replaced(store)
            space.enlarge(
                descriptor, 1
            )  # fusefat cannot: it loses files, too, in folders it renames
            yield
        finally:
            give_to_owner(store)
            lock.unlink(missing_ok=True)
            os.close(descriptor)
    finally:
        for folder in (private, *created):
            with suppress(OSError):  # staging may be left for the next try
                folder.rmdir()


def install(staged: StagedItem) -> None:
    """Rename a staged item into place; the old one stays until the new one is there."""
    final = staged.target.final
    make_folder(staged.target.store, final.parent)
    if os.path.lexists(final):
        _replace(staged)
    else:
        staged.folder.rename(final)
    durable.sync_folder(final.parent)


def _replace(staged: StagedItem) -> None:
    """Swap the old and the new item, in one step where the system can do that (Linux).

    The old one then lies in staging, which is removed at the end of the import.
    """
    final, new = staged.target.final, staged.folder
    if staged.target.may_hold_more and final.is_dir():
        _keep_others(final, new)
        staged.adopt_types()
        durable.sync_file_system(new)
    if _exchange(new, final):
        return
    old = previous_path(staged)
    if os.path.lexists(old):
        _remove(old)
    final.rename(old)
    try:
        new.rename(final)
    except BaseException:
        with suppress(OSError):
            old.rename(final)
        raise


def point_latest(staged: StagedItem, now: datetime, *, is_newest: bool) -> str:
    """Make ``latest`` name the item unless it names a newer one, as BentoML's own import does.

    An item that says it was created after now does not count as newer than that of a bundle
    ``is_newest``, whose number is its channel's highest: one wrong date would keep ``latest`` for
    ever.

    Returns what people should know about such dates; else an empty text.
    """
    target, item = staged.target, staged.item
    durable.sync_folder(target.final.parent)  # a killed import may have renamed and not synced
    if target.latest is None:
        return ""
    kind = find_kind(item.kind)
    created = kind.describe(target.final).created
    current, current_created = _read_latest(kind, target.latest)
    if current == item.version:
        return ""
    text = f"{item} says that it was created on {created}, after now." if created > now else ""
    if created < current_created:
        text = f"{current} says that it was created on {current_created}, after now."
        if current_created <= now or not is_newest:
            kept = f"`latest` in {target.latest.parent} still names {current}. {text}"
            return kept if current_created > now else ""
        text = f"`latest` in {target.latest.parent} now names {item.version}. {text}"
    # Synced before it is renamed: BentoML cannot list a store with an empty `latest`.
    part = staged.folder.with_name("latest")
    durable.replace_file(target.latest, item.version.encode(), part, modes_of(target.store).file)
    return text


def _read_latest(kind: ItemKind, latest: Path) -> tuple[str, datetime]:
    """Return the version that ``latest`` names, and its creation time; nothing if it is broken."""
    version = read_latest(latest)
    if not version:
        return "", _NEVER
    with suppress(Exception):  # a dangling or broken `latest` is replaced
        return version, kind.describe(latest.parent / version).created
    return "", _NEVER


def record_installed(item: Item, target: InstallPath, bundle: str) -> None:
    """Tell other programs of an item that is in place. Raises as ``ItemKind.record_installed``."""

    def make_part() -> Path:
        return make_private_folder(target.store, STAGING, bundle) / "record"

    find_kind(item.kind).record_installed(item, target, make_part)


def _keep_others(old: Path, new: Path) -> None:
    """Link the files that only the old folder has into the new one; nothing is copied."""
    for path in old.iterdir():
        target = new / path.name
        if path.is_dir() and not path.is_symlink():
            if not os.path.lexists(target):
                target.mkdir()
                set_mode(target, stat.S_IMODE(path.stat().st_mode))
            if target.is_dir() and not target.is_symlink():
                _keep_others(path, target)
        elif not os.path.lexists(target):
            _link(path, target)


def _link(source: Path, target: Path) -> None:
    if source.is_symlink():
        target.symlink_to(os.readlink(source))  # noqa: PTH115  (exact text)
        return
    try:
        os.link(source, target)
    except OSError:  # another owner's file, or a file system without hard links
        shutil.copyfile(source, target)
        with suppress(OSError):  # nor may it have permissions
            shutil.copystat(source, target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _exchange(first: Path, second: Path) -> bool:
    """Swap two folders atomically; return False where the system or file system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    swapped: int = rename(
        _AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), ctypes.c_uint(_EXCHANGE)
    )
    return swapped == 0
