"""Space on the disk, taken before it is needed."""

import errno
import os
from typing import Final

__all__ = ["reserve"]

_NOT_SUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


def reserve(descriptor: int, offset: int, length: int, *, grow: bool = False) -> None:
    """Take room for ``length`` bytes of an open file at ``offset``; the file grows to hold them.

    Where the file system cannot do that, nothing is reserved; with ``grow`` the file grows
    all the same.

    Raises:
        OSError: the disk is full, or refused otherwise.
    """
    try:
        os.posix_fallocate(descriptor, offset, length)
    except AttributeError:  # not on macOS
        return
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
        if grow:
            os.ftruncate(descriptor, offset + length)
