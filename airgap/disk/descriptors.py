"""Files and folders by descriptor: no link is followed, no FIFO is waited for.

And what the system says of a socket.
"""

import errno
import fcntl
import os
import select
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from typing import Final

__all__ = [
    "count_unacknowledged",
    "hold_folder",
    "name_folder",
    "open_folder",
    "open_part",
    "open_without_waiting",
    "pass_on",
    "publish_part",
    "remove_file",
    "wait_readable",
    "walk_to_folder",
]

_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_PART: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_INT: Final = Struct("=i")
_AT_ONCE: Final = 16 * 1024 * 1024
_CANNOT: Final = (errno.EINVAL, errno.ENOSYS, errno.ENOTSOCK, errno.EOPNOTSUPP)


def count_unacknowledged(descriptor: int) -> int:
    """Return how many bytes of a socket the other end has not acknowledged.

    Raises:
        OSError: the system does not say.
        ValueError: the descriptor is negative: the socket is closed.
    """
    answer = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(_INT.size))
    return int(_INT.unpack(answer)[0])


def pass_on(source: int, target: int) -> int:
    """Let the system copy a file from its beginning; return how many bytes it has copied.

    It copies all of it, or stops where it cannot, such as into a file that is appended to.

    Raises:
        OSError: the target refused.
    """
    copied = 0
    try:
        while count := os.sendfile(target, source, copied, _AT_ONCE):
            copied += count
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    return copied


def open_without_waiting(path: Path | str, flags: int = 0, folder: int | None = None) -> int:
    """Open for reading and return the descriptor; a FIFO is opened, not waited for.

    ``path`` is relative to the open ``folder``, if one is given.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(path, _READ | flags, dir_fd=folder)


@contextmanager
def hold_folder(folder: Path) -> Iterator[Path]:
    """Open a folder that is not a link; give a path that is its own though others take its name.

    A member of the group that shares the folder above could otherwise put a link in its place
    between two uses of its name.

    Raises:
        OSError: it does not exist, is a link, or cannot be opened.
    """
    descriptor = os.open(folder, _FOLDER | os.O_NOFOLLOW)
    try:
        yield name_folder(descriptor, folder)
    finally:
        os.close(descriptor)


def name_folder(descriptor: int, folder: Path) -> Path:
    """Return a path of an open folder that no rename changes; ``folder`` if there is no /proc."""
    held = Path(f"/proc/self/fd/{descriptor}")
    return held if held.is_dir() else folder


@contextmanager
def open_folder(top: Path, folders: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """Open a folder below ``top``, through real folders only, and give its descriptor.

    ``make`` makes those that are missing, each synced into the one above.

    Raises:
        OSError: a folder is missing, is a link or not a folder, or cannot be opened or made.
    """
    descriptor = walk_to_folder(top, folders, make=make)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def walk_to_folder(top: Path, folders: Sequence[str], *, make: bool = False) -> int:
    """Open as ``open_folder``, and return the descriptor, which the caller closes."""
    descriptor = os.open(top, _FOLDER)
    try:
        for name in folders:
            above = descriptor
            if make:
                _make_folder(name, above)
            descriptor = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
            os.close(above)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_part(folder: int, name: str, *, new: bool = False) -> int:
    """Open a file in an open folder for writing, making it if need be; it must not be a link.

    Raises:
        OSError: it cannot be opened, or should be ``new`` and exists.
    """
    return os.open(name, _PART | (os.O_EXCL if new else 0), 0o666, dir_fd=folder)


def publish_part(
    folder: int, descriptor: int, part: str, name: str, *, replace: bool = True
) -> bool:
    """Sync an open part, give it its final name in its folder, and sync that.

    Returns False if the name is taken and may not be replaced.

    Raises:
        OSError: the disk refused.
    """
    os.fsync(descriptor)
    if replace:
        os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        try:
            os.link(part, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            return False
        except OSError:  # no hard links here (FAT): the best that is left
            if name in os.listdir(folder):
                return False
            os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)
    return True


def remove_file(folder: int, name: str) -> None:
    """Remove a file from an open folder, if it exists, and sync that. Raises OSError."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
    os.fsync(folder)


def wait_readable(descriptor: int, seconds: float) -> bool:
    """Wait until a descriptor can be read from, or has been closed by the other side.

    Returns False if nothing happens for ``seconds``. Not ``select``, which takes no descriptor
    from 1,024 on.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _make_folder(name: str, above: int) -> None:
    try:
        os.mkdir(name, dir_fd=above)
    except FileExistsError:
        return
    os.fsync(above)
