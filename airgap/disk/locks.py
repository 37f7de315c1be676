"""Locks between processes (flock), which the system frees when their holder ends."""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from airgap.disk.descriptors import open_without_waiting
from airgap.disk.permissions import set_mode
from airgap.disk.sharing import choose_file_mode

__all__ = [
    "is_held",
    "is_locked",
    "lock",
    "lock_folder",
    "lock_removable",
    "share",
    "try_lock",
]

_LOCK_FILE: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_TRIES: Final = 100
_OPEN_PAUSE: Final = 0.01
"""In seconds. Another process makes or removes a file, and changes its mode, in less."""
_LOCK_TRIES: Final = 10_000


def try_lock(descriptor: int) -> bool:
    """Lock an open file or folder until it is closed; return False if another process holds it.

    Raises:
        OSError: the file system has no locks.
    """
    return _try(descriptor, fcntl.LOCK_EX)


def share(descriptor: int) -> None:
    """Hold an open file, beside others who do the same, until all who inherit it have closed it.

    Waits for a process that has locked it.

    Raises:
        OSError: the file system has no locks.
    """
    _flock(descriptor, fcntl.LOCK_SH)


def lock(descriptor: int, on_wait: Callable[[], None] | None = None) -> None:
    """Lock an open file or folder until it is closed.

    ``on_wait`` is called before waiting for another process.

    Raises:
        OSError: the file system has no locks.
    """
    if on_wait is not None:
        if try_lock(descriptor):
            return
        on_wait()
    _flock(descriptor, fcntl.LOCK_EX)


@contextmanager
def lock_folder(
    folder: Path, on_wait: Callable[[], None] | None = None, flags: int = 0
) -> Iterator[int]:
    """Hold a folder against other processes; call ``on_wait`` if another one holds it.

    Gives the folder's descriptor. ``flags`` are for opening it, too.

    Raises:
        OSError: it cannot be opened, or the file system has no locks.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | flags)
    try:
        with _name_in_errors(folder):
            lock(descriptor, on_wait)
        yield descriptor
    finally:
        os.close(descriptor)


def lock_removable(
    path: Path, on_wait: Callable[[], None], make_folder: Callable[[], object]
) -> int:
    """Make and lock a file that its holders remove; return its descriptor.

    What was locked must still be what is there: the holder before may have removed it, and the
    folder, which ``make_folder`` makes.

    Raises:
        OSError: it cannot be made, or the file system has no locks, or no stable inode numbers.
    """
    for _ in range(_LOCK_TRIES):
        descriptor = _open_lock(path, make_folder)
        try:
            with _name_in_errors(path):
                lock(descriptor, on_wait)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, OSError) and error.errno == errno.ENOLCK:  # nobody can hold it
                path.unlink(missing_ok=True)
            raise
        os.close(descriptor)
    raise OSError(errno.ENOLCK, "cannot be locked (its inode number is not stable)", str(path))


def is_locked(path: Path) -> bool:
    """Tell whether a process holds the lock of a file right now; False if that cannot be asked."""
    with suppress(OSError):
        descriptor = open_without_waiting(path, os.O_NOFOLLOW)
        try:
            return is_held(descriptor)
        finally:
            os.close(descriptor)
    return False


def is_held(descriptor: int) -> bool:
    """Tell whether another process holds the lock of a file that is open for reading.

    Asked with a shared lock: NFS 4 gives an exclusive one only to who may write.

    Raises:
        OSError: the file system has no locks.
    """
    return not _try(descriptor, fcntl.LOCK_SH)


def _try(descriptor: int, kind: int) -> bool:
    try:
        _flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _flock(descriptor: int, kind: int) -> None:
    """Call flock. An error of a file system without locks gets the number ENOLCK."""
    try:
        fcntl.flock(descriptor, kind)
    except (BlockingIOError, InterruptedError):
        raise
    except OSError as error:
        raise OSError(errno.ENOLCK, f"cannot be locked ({error.strerror})") from error


@contextmanager
def _name_in_errors(path: Path) -> Iterator[None]:
    """Give the path to an OSError about a descriptor."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def _open_lock(path: Path, make_folder: Callable[[], object]) -> int:
    """Open the lock file; its folder may vanish meanwhile, when another process is done.

    In a shared folder, another operator may have made the file, and not yet given it its mode.
    """
    for _ in range(_OPEN_TRIES):
        with suppress(FileNotFoundError, FileExistsError, PermissionError):
            make_folder()
            return _open_shared(path)
        time.sleep(_OPEN_PAUSE)
    make_folder()
    return _open_shared(path)


def _open_shared(path: Path) -> int:
    descriptor = os.open(path, _LOCK_FILE, 0o660)
    mode = choose_file_mode(path.parent)
    if mode is not None:  # the umask may have taken it from the group
        set_mode(descriptor, mode)
    return descriptor
