"""What the operating system refused, as errors of this package."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from airgap.errors import CorruptError, MissingError, StorageError

__all__ = ["raise_not_regular", "raise_translated", "storage_error", "translate_errors"]


@contextmanager
def translate_errors(path: Path | str) -> Iterator[None]:
    """Turn an OSError within the block into a StorageError about ``path``."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: Path | str) -> StorageError:
    """Return the StorageError for what the disk refused, with a hint that fits the reason."""
    hints = {
        errno.ENOSPC: "Free some space and run the same command again.",
        errno.EDQUOT: "Free some of your quota and run the same command again.",
        errno.EACCES: "Check who owns it, or run this as the right user.",
        errno.EPERM: "Check who owns it, or run this as the right user.",
        errno.EFBIG: "Raise the limit on the size of files (ulimit -f), or choose another disk.",
        errno.EROFS: "Mount it for writing, or choose another location.",
        errno.EIO: "The medium may be damaged: clean it, or try another copy.",
        errno.ENOLCK: "Choose a file system with locks (flock): a local disk, or NFS with locking.",
        errno.EOPNOTSUPP: "Choose another file system, or mount this one with the kernel's driver.",
        errno.ESTALE: "The server has removed it, or was restarted: run the same command again.",
        errno.EXDEV: "Put the whole folder on one file system, on one mount.",
    }
    reason = error.strerror or type(error).__name__
    return StorageError(
        f"{path}: {reason}.", hints.get(error.errno or 0, "Check the path and the disk.")
    )


def raise_translated(error: OSError, top: Path, name: str) -> NoReturn:
    """Raise what an error means for the file ``name`` below ``top``.

    Raises:
        MissingError: it does not exist.
        CorruptError: it, or a folder on the way, is a link or not a regular file.
        StorageError: anything else.
    """
    if error.errno == errno.ENOENT:
        raise MissingError(
            f"{top / name} is not there.", "Check the path; if it is right, copy the file again."
        ) from error
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EMLINK):
        raise_not_regular(top, name)
    raise storage_error(error, top / name) from error


def raise_not_regular(top: Path, name: str) -> NoReturn:
    """Refuse a link, a device, a FIFO or a folder where a bundle has a file.

    Raises:
        CorruptError: always.
    """
    raise CorruptError(
        f"{top / name} is not a regular file.",
        "A bundle has plain files only: copy it from its source again.",
    )
