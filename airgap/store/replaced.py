"""Items that an import replaces where the system cannot swap two folders in one step.

Between its two renames, the old item lies in staging only. If the import is killed there, the next
command that locks the store puts it back.
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
from airgap.store.staging import STAGING, StagedItem

__all__ = ["OnlyCopy", "find_only_copies", "previous_path", "put_back_replaced"]

_OLD: Final = "~old"
"""No tag or commit has a tilde."""


@dataclass(frozen=True, slots=True)
class OnlyCopy:
    """An item that lies in staging (``old``), and not where it is to be installed (``final``)."""

    item: Reference
    old: Path
    final: Path


def previous_path(staged: StagedItem) -> Path:
    """Return where the old item lies between the two renames."""
    return staged.folder.with_name(f"{staged.folder.name}{_OLD}")


def find_only_copies(store: Path) -> Iterator[OnlyCopy]:
    """Yield the items of a store that were renamed away to be replaced, and were not replaced."""
    staging = private_folder(store) / STAGING
    for kind in list_kinds():
        if kind.store() != store:
            continue
        for old in sorted(staging.glob(f"*/{kind.rules.name}/*/*{_OLD}")):
            name, version = old.parent.name, old.name.removesuffix(_OLD)
            if not kind.rules.is_tag(name, version):
                continue
            final = kind.install_path(name, version).final
            if not os.path.lexists(final):
                yield OnlyCopy(Reference(kind.rules.name, name, version), old, final)


def put_back_replaced(store: Path) -> None:
    """Put such items back; the store's lock is held.

    Raises:
        OSError: the disk refused.
    """
    for copy in find_only_copies(store):
        if not os.path.lexists(copy.final):  # another killed import may have left one, too
            copy.final.parent.mkdir(parents=True, exist_ok=True)
            copy.old.rename(copy.final)
            durable.sync_folder(copy.final.parent)
