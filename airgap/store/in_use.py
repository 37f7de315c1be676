"""Items that a process reads for a while, as for an environment: they are not removed meanwhile.

The process holds a shared lock (flock) of the item's folder, which the system frees when the
process ends; a removal takes the lock alone. Where a file system has no locks, nothing is held.
"""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from airgap.disk import locks
from airgap.errors import ConflictError, MissingError

__all__ = ["hold_alone", "is_in_use", "keep_installed"]

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TRIES: Final = 100
_PAUSE: Final = 0.05
"""In seconds. A removal has the lock for a few renames."""
_TRIES_ALONE: Final = 10
_PAUSE_ALONE: Final = 0.02
"""In seconds. A removal that only asks has the lock for two system calls."""


@contextmanager
def keep_installed(folders: Iterable[Path]) -> Iterator[None]:
    """Keep installed items from being removed by `airgap remove` and `airgap prune`.

    Raises:
        MissingError: one has been removed, or is being removed.
    """
    with ExitStack() as held:
        for folder in (folder.resolve() for folder in folders):  # a proof has links to items
            try:
                descriptor = os.open(folder, _FOLDER)
                held.callback(os.close, descriptor)
                is_there = _share(descriptor)
                is_there = is_there and os.path.samestat(os.fstat(descriptor), folder.lstat())
            except OSError:
                is_there = False
            if not is_there:
                raise MissingError(
                    f"{folder} was removed meanwhile.", "Import it again, and run this again."
                )
        yield


def is_in_use(folder: Path) -> bool:
    """Tell whether a process keeps an item from being removed."""
    with suppress(OSError), ExitStack() as held:
        descriptor = os.open(folder, _FOLDER)
        held.callback(os.close, descriptor)
        return not _take_alone(descriptor)
    return False


@contextmanager
def hold_alone(folder: Path) -> Iterator[None]:
    """Let no process begin to use an item; it is about to be removed.

    Raises:
        ConflictError: a process uses it.
    """
    with ExitStack() as held:
        is_free = True
        with suppress(OSError):  # it is a link, or the file system has no locks
            descriptor = os.open(folder, _FOLDER)
            held.callback(os.close, descriptor)
            is_free = _take_alone(descriptor)
        if not is_free:
            raise ConflictError(
                f"{folder} is in use: an environment is being made from it.",
                "Wait until that is done, and run the same command again.",
            )
        yield


def _take_alone(descriptor: int) -> bool:
    """Lock alone; return False if a process does not give the lock up. Raises OSError."""
    for _ in range(_TRIES_ALONE):
        if locks.try_lock(descriptor):
            return True
        time.sleep(_PAUSE_ALONE)
    return False


def _share(descriptor: int) -> bool:
    """Share the lock; return False if a removal does not give it up."""
    for _ in range(_TRIES):
        try:
            if not locks.is_held(descriptor):
                return True
        except OSError:  # no locks here
            return True
        time.sleep(_PAUSE)
    return False
