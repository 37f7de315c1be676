"""Who may read and write what lies in a store: one rule, whatever the umask is.

A store's own folder is made by the umask, if it does not exist, and guards all that is in it. In
it, everybody may read; its owner may write, and its group too if it may write to the store's own
folder, and others may not.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk import durable
from airgap.disk.permissions import set_mode
from airgap.disk.sharing import is_shared, open_new_folder

__all__ = ["StoreModes", "make_folder", "modes_of"]

_GROUP_WRITES: Final = 0o020


@dataclass(frozen=True, slots=True)
class StoreModes:
    """The permission bits of what is put into a store."""

    file: int = 0o644
    executable: int = 0o755
    folder: int = 0o755

    @property
    def is_shared(self) -> bool:
        """Whether the store's group may write to it."""
        return bool(self.file & _GROUP_WRITES)


def modes_of(store: Path) -> StoreModes:
    """Return the modes of a store, by its own folder; that does not have to exist."""
    if not is_shared(store):
        return StoreModes()
    return StoreModes(0o644 | _GROUP_WRITES, 0o755 | _GROUP_WRITES, 0o755 | _GROUP_WRITES)


def make_folder(store: Path, folder: Path) -> None:
    """Make a folder of a store and those above it, each synced into the one above.

    Raises:
        OSError: the disk refused.
    """
    if folder.is_dir():
        return
    if folder == store:
        durable.make_folder(folder)
        return
    make_folder(store, folder.parent)
    with suppress(FileExistsError), open_new_folder(folder, 0o777) as (descriptor, _):
        if os.fstat(descriptor).st_uid == os.geteuid():
            set_mode(descriptor, modes_of(store).folder)
    durable.sync_folder(folder.parent)
