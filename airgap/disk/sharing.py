"""airgap's own folders and files, where the operators of a group share them.

One rule, for the state folder as for stores: a folder is shared if its group may write into it and
others may not. What is made in it is shared with the same group, whatever the umask is.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from airgap.disk import durable
from airgap.disk.permissions import set_mode

__all__ = ["choose_file_mode", "is_shared", "make_own_folder", "share_folder"]

_SHARED_FILE: Final = 0o660
_SHARED_FOLDER: Final = 0o2770
_PRIVATE_FOLDER: Final = 0o700


def is_shared(folder: Path) -> bool:
    """Tell whether a group shares a folder; False if it does not exist."""
    with suppress(OSError):
        mode = folder.stat().st_mode
        return bool(mode & stat.S_IWGRP) and not mode & stat.S_IWOTH
    return False


def make_own_folder(folder: Path) -> None:
    """Make a folder and those above it: for its owner, or for the group that shares the one above.

    Raises:
        OSError: the disk refused.
    """
    if folder.is_dir():
        return
    make_own_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(_PRIVATE_FOLDER)
        share_folder(folder)
    durable.sync_folder(folder.parent)


def share_folder(folder: Path, mode: int = _SHARED_FOLDER) -> None:
    """Give a new folder ``mode``, and the group of the one above, if that one is shared.

    Raises:
        OSError: the disk refused.
    """
    if is_shared(folder.parent):
        with suppress(OSError):  # a folder with the setgid bit has given it its group already
            os.chown(folder, -1, folder.parent.stat().st_gid)
        set_mode(folder, mode)


def choose_file_mode(folder: Path) -> int | None:
    """Return the mode of airgap's own files in a folder; None: by the umask."""
    return _SHARED_FILE if is_shared(folder) else None
