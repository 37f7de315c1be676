"""Permissions of files and folders, also where a file system keeps none (exFAT, CIFS, FUSE)."""

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from airgap.disk.descriptors import open_without_waiting

__all__ = ["are_kept", "set_mode", "set_owner"]

_REFUSALS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_PRIVATE: Final = 0o600
_PRIVATE_PROGRAM: Final = 0o700


def set_mode(target: Path | int, mode: int) -> bool:
    """Give a path, or an open file, these permission bits; a folder keeps its setgid bit.

    Returns whether it has them now: a file system without permissions refuses them, or does
    nothing.

    Raises:
        OSError: it does not exist, is a link, or the system refused for another reason.
    """
    if isinstance(target, int):
        return _set_mode(target, mode)
    try:
        descriptor = open_without_waiting(target, os.O_NOFOLLOW)
    except PermissionError:  # this user's own, which its mode does not let this user read
        return _set_mode(target, mode)
    try:
        return _set_mode(descriptor, mode)
    finally:
        os.close(descriptor)


def _set_mode(target: Path | int, mode: int) -> bool:
    status = os.stat(target)  # noqa: PTH116  (takes descriptors too)
    if stat.S_ISDIR(status.st_mode):
        mode |= status.st_mode & stat.S_ISGID
    if stat.S_IMODE(status.st_mode) == mode:
        return True
    try:
        os.chmod(target, mode)  # noqa: PTH101  (takes descriptors too)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        return False
    return stat.S_IMODE(os.stat(target).st_mode) == mode  # noqa: PTH116


def set_owner(descriptor: int, status: os.stat_result) -> None:
    """Give an open file the owner and the group of another one, where this user may do so."""
    with suppress(OSError):
        os.fchown(descriptor, -1, status.st_gid)
    with suppress(OSError):
        os.fchown(descriptor, status.st_uid, -1)


def are_kept(folder: Path) -> bool:
    """Tell whether files in a folder keep their permissions: makes one there, and removes it.

    Returns True where none can be made.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".airgap-") as file:
            made = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            return made == _PRIVATE and set_mode(file.fileno(), _PRIVATE_PROGRAM)
    except OSError:
        return True
