"""Removes an installed item: at every moment it is whole or gone, and a rerun finishes."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from airgap.disk import durable
from airgap.disk.reading import read_small
from airgap.errors import AirgapError
from airgap.store.install_paths import InstallPath, private_folder
from airgap.store.item_kind import ItemKind
from airgap.store.kinds import list_kinds
from airgap.store.latest import LATEST, read_latest
from airgap.store.modes import modes_of
from airgap.store.private_folder import make_private_folder
from airgap.store.staging import remove_tree

__all__ = ["finish_removals", "list_leftovers", "remove_item"]

_REMOVED: Final = "removed"
_ITEMS: Final = "items"
"""Items lie as deep as in staging: the folders above them are inspected before each import."""
_LATEST_BYTES: Final = 64 * 1024
"""More than any program writes there; what is larger is not kept for a removal that fails."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


def remove_item(kind: ItemKind, name: str, version: str) -> None:
    """Remove an installed item; the store's lock is held.

    What points to the item goes first, then it is renamed away, then its files are removed.

    Raises:
        StorageError: the folder for airgap's own work is not as it should be.
        OSError: the disk refused. Then the item is whole, and all is as it was, or it is gone.
    """
    target = kind.install_path(name, version)
    folder = make_private_folder(target.store, _REMOVED, _ITEMS, kind.rules.name, name)
    with ExitStack() as undone:
        undone.callback(_remove_empty, folder, target.store)
        undone.callback(_undo, target, kind.forget_installed(target))
        undone.callback(_undo, target, partial(_restore_latest, target, *_read_latest(target)))
        _leave_latest(kind, name, version, target)
        target.final.rename(folder / version)
        undone.pop_all()
    durable.sync_folder(target.final.parent)
    finish_removals(target.store)


def _undo(target: InstallPath, step: Callable[[], object]) -> None:
    """Undo a step of a removal that has failed, as far as the disk lets that be done."""
    if os.path.lexists(target.final):
        with suppress(OSError):
            step()


def _remove_empty(folder: Path, store: Path) -> None:
    """Remove a folder of airgap's own and those above it, as far as they are empty."""
    while folder != private_folder(store):
        with suppress(OSError):
            folder.rmdir()
        folder = folder.parent


def _read_latest(target: InstallPath) -> tuple[bytes, int] | tuple[None, int]:
    """Return the bytes and the mode of ``latest``; None if it is not a small file."""
    with suppress(OSError):
        if target.latest is not None and not target.latest.is_symlink():
            raw = read_small(target.latest, _LATEST_BYTES)
            if len(raw) <= _LATEST_BYTES:
                return raw, stat.S_IMODE(target.latest.lstat().st_mode)
    return None, 0


def _restore_latest(target: InstallPath, raw: bytes | None, mode: int) -> None:
    """Write ``latest`` as it was. Raises OSError."""
    if raw is not None and target.latest is not None:
        part = make_private_folder(target.store, _REMOVED) / LATEST
        durable.replace_file(target.latest, raw, part, mode)


def finish_removals(store: Path) -> None:
    """Remove the files of items that were renamed away; the store's lock is held.

    Raises:
        OSError: the disk refused.
    """
    for kind, name, version in list_leftovers(store):
        for path in _list_parents(kind, kind.install_path(name, version)):
            with suppress(OSError):  # other items are there
                path.rmdir()
        remove_tree(_leftover(store, kind, name, version))
    top = private_folder(store) / _REMOVED
    if os.path.lexists(top):
        shutil.rmtree(top)


def list_leftovers(store: Path) -> Iterator[tuple[ItemKind, str, str]]:
    """Yield kind, name and version of the items whose removal was interrupted."""
    for kind in list_kinds():
        top = private_folder(store) / _REMOVED / _ITEMS / kind.rules.name
        for path in sorted(top.glob("*/*")):
            if kind.store() == store and kind.rules.is_tag(path.parent.name, path.name):
                yield kind, path.parent.name, path.name


def _leftover(store: Path, kind: ItemKind, name: str, version: str) -> Path:
    return private_folder(store) / _REMOVED / _ITEMS / kind.rules.name / name / version


def _list_parents(kind: ItemKind, target: InstallPath) -> Iterator[Path]:
    """Yield the folders above an item that are its own, the lowest first: not its kind's."""
    top, path = target.store / kind.folder, target.final.parent
    while path != top and path.is_relative_to(top):
        yield path
        path = path.parent


def _leave_latest(kind: ItemKind, name: str, version: str, target: InstallPath) -> None:
    """Let ``latest`` name the newest of the other versions, as BentoML does; none if it is alone.

    BentoML takes the newest version where there is no ``latest``.
    """
    if target.latest is None:
        return
    others = [other for _, other in kind.list_tags(name) if other != version]
    current = read_latest(target.latest)
    if not others:
        target.latest.unlink(missing_ok=True)
    elif current not in others:
        newest = max(others, key=lambda other: (_read_created(kind, name, other), other))
        part = make_private_folder(target.store, _REMOVED) / LATEST
        durable.replace_file(target.latest, newest.encode(), part, modes_of(target.store).file)


def _read_created(kind: ItemKind, name: str, version: str) -> datetime:
    """Return when a version was made; one that cannot be read is older than all others."""
    try:
        return kind.describe(kind.install_path(name, version).final).created
    except AirgapError:
        return _NEVER
