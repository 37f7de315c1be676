"""Puts an item that was made on this machine into its store, as an import does."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from airgap.disk.durable import sync_file_system
from airgap.disk.permissions import set_mode
from airgap.format.inventory import Item
from airgap.store.install import install, lock_store
from airgap.store.kinds import find_kind, install_path
from airgap.store.modes import modes_of
from airgap.store.staging import StagedItem, remove_staging

__all__ = ["add_item"]


def add_item(item: Item, files: Mapping[str, Path], work: str, on_wait: Callable[[], None]) -> None:
    """Move files into an item's place, all or none of them; what is there, perhaps damaged, goes.

    Args:
        item: of a kind whose version is named by its content; it has no links and no folders.
        files: each of its files, on the store's file system, in no folder that is kept.
        work: names the folder in staging that is used, and removed at the end.
        on_wait: called if an import holds the store.

    Raises:
        CorruptError: the item is not what its description says.
        StorageError: something in the store's folder for airgap's own work is another user's.
        OSError: the disk refused.
    """
    target = install_path(item)
    with lock_store(target.store, on_wait):
        staged = StagedItem(item, target, work)
        staged.begin()
        for path, source in files.items():
            source.replace(staged.folder / path)
            set_mode(staged.folder / path, modes_of(target.store).file)
        kind = find_kind(item.kind)
        kind.check(item, _read_description(staged), thorough=True)
        kind.check_staged(item, staged.folder)
        kind.share_installed(item, staged.folder)
        staged.adopt_types()
        sync_file_system(staged.folder)
        install(staged)
        remove_staging(target, work)


def _read_description(staged: StagedItem) -> bytes:
    with suppress(FileNotFoundError):
        return (staged.folder / staged.item.rules.description).read_bytes()
    return b""
