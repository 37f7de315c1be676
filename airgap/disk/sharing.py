"""airgap's own folders and files, where the operators of a group share them.

One rule, for the state folder as for stores: a folder is shared if its group may write into it and
others may not. What is made in it is shared with the same group, whatever the umask is.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from airgap.disk import durable
from airgap.disk.permissions import set_mode

__all__ = ["choose_file_mode", "is_shared", "make_new_folder", "make_own_folder", "open_new_folder"]

_SHARED_FILE: Final = 0o660
_PRIVATE_FOLDER: Final = 0o700
_GROUP: Final = stat.S_ISGID | stat.S_IRWXG
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def is_shared(folder: Path) -> bool:
    """Tell whether a group shares a folder; False if it does not exist."""
    with suppress(OSError):
        return _is_shared(folder.stat())
    return False


def make_own_folder(folder: Path) -> None:
    """Make a folder and those above it: for its owner, or for the group that shares the one above.

    Raises:
        OSError: the disk refused, or a member of that group has put a link there.
    """
    if folder.is_dir():
        _refuse_link(folder)
        return
    make_own_folder(folder.parent)
    with suppress(FileExistsError):
        make_new_folder(folder)
    durable.sync_folder(folder.parent)


def make_new_folder(folder: Path, mode: int = _PRIVATE_FOLDER, group: int = _GROUP) -> None:
    """Make a folder with ``mode``; if the one above is shared, with the bits and the group of that.

    ``group`` are the permission bits that its group gets then, whatever the umask is.

    Raises:
        FileExistsError: something has its name.
        OSError: the disk refused.
    """
    with open_new_folder(folder, mode) as (descriptor, above):
        status = os.fstat(descriptor)
        if _is_shared(above) and status.st_uid == os.geteuid():
            if status.st_gid != above.st_gid:
                with suppress(OSError):
                    os.fchown(descriptor, -1, above.st_gid)
            set_mode(descriptor, stat.S_IMODE(status.st_mode) | group)


@contextmanager
def open_new_folder(folder: Path, mode: int) -> Iterator[tuple[int, os.stat_result]]:
    """Make a folder; give its descriptor, and the status of the folder above.

    The owner and the mode of a folder are changed by its descriptor only: a user who may write into
    the one above can put a link to another folder in its place at any time.

    Raises:
        FileExistsError: something has its name.
        OSError: the disk refused.
    """
    above = os.open(folder.parent, _FOLDER)
    try:
        os.mkdir(folder.name, mode, dir_fd=above)
        descriptor = os.open(folder.name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
        try:
            yield descriptor, os.fstat(above)
        finally:
            os.close(descriptor)
    finally:
        os.close(above)


def _is_shared(status: os.stat_result) -> bool:
    return bool(status.st_mode & stat.S_IWGRP) and not status.st_mode & stat.S_IWOTH


def _refuse_link(folder: Path) -> None:
    """Refuse a link that another member of the group has put into a shared folder."""
    status, above = folder.lstat(), folder.parent.stat()
    trusted = (0, os.geteuid(), above.st_uid)
    if stat.S_ISLNK(status.st_mode) and _is_shared(above) and status.st_uid not in trusted:
        raise OSError(errno.ELOOP, f"is a link of another user (uid {status.st_uid})", str(folder))


def choose_file_mode(folder: Path) -> int | None:
    """Return the mode of airgap's own files in a folder; None: by the umask."""
    return _SHARED_FILE if is_shared(folder) else None
