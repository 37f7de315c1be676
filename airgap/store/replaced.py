"""Items that an import replaces where the system cannot swap two folders in one step.

Between its two renames, the old item lies in staging only. If the import is killed there, the next
command that locks the store puts it back; after both, the next command removes it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk import durable
from airgap.store.install_paths import private_folder
from airgap.store.item_kind import Reference
from airgap.store.kinds import list_kinds
from airgap.store.staging import STAGING, StagedItem, remove_tree

__all__ = ["ReplacedItem", "find_only_copies", "previous_path", "put_back_replaced"]

_OLD: Final = "~old"
"""No tag or commit has a tilde."""


@dataclass(frozen=True, slots=True)
class ReplacedItem:
    """An old item in staging (``old``), renamed away from where it was installed (``final``)."""

    item: Reference
    old: Path
    final: Path

    @property
    def is_only_copy(self) -> bool:
        """Whether no item took its place."""
        return not os.path.lexists(self.final)


def previous_path(staged: StagedItem) -> Path:
    """Return where the old item lies between the two renames."""
    return staged.folder.with_name(f"{staged.folder.name}{_OLD}")


def find_only_copies(store: Path) -> Iterator[ReplacedItem]:
    """Yield the items of a store that were renamed away to be replaced, and were not replaced."""
    return (copy for copy in _find_replaced(store) if copy.is_only_copy)


def put_back_replaced(store: Path) -> None:
    """Put such items back, and remove those that were replaced; the store's lock is held.

    What is not removed here would come back as soon as the new item is removed.

    Raises:
        OSError: the disk refused.
    """
    newest_first = sorted(_find_replaced(store), key=_read_change_time, reverse=True)
    for copy in newest_first:
        if copy.is_only_copy:
            copy.final.parent.mkdir(parents=True, exist_ok=True)
            copy.old.rename(copy.final)
            durable.sync_folder(copy.final.parent)
        else:
            durable.sync_folder(copy.final.parent)
            remove_tree(copy.old)
            durable.sync_folder(copy.old.parent)


def _find_replaced(store: Path) -> Iterator[ReplacedItem]:
    staging = private_folder(store) / STAGING
    for kind in list_kinds():
        if kind.store() != store:
            continue
        for old in sorted(staging.glob(f"*/{kind.rules.name}/*/*{_OLD}")):
            name, version = old.parent.name, old.name.removesuffix(_OLD)
            if kind.rules.is_tag(name, version):
                final = kind.install_path(name, version).final
                yield ReplacedItem(Reference(kind.rules.name, name, version), old, final)


def _read_change_time(copy: ReplacedItem) -> int:
    """Return when the old item was renamed away, in nanoseconds since 1970."""
    return copy.old.lstat().st_ctime_ns
