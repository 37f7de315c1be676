"""Marks in the names of unfinished uploads, so that only their own thread resumes them.

Each thread that uploads holds a slot below ``AIRGAP_HOME`` until its process ends. The mark belongs
to the slot: two threads at once have two marks, and a run after a killed one gets its mark again
and resumes its uploads.
"""

import os
import re
import secrets
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from airgap.disk import locks
from airgap.disk.sharing import is_shared, make_own_folder
from airgap.state.state_folder import state_folder

__all__ = ["hold_mark"]

_SLOTS: Final = 64
_MARK: Final = re.compile(r"[0-9a-f]{16}")
_SLOT: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HELD: Final[dict[tuple[Path, int, int], tuple[int, str]]] = {}  # for as long as the process runs


def hold_mark() -> str:
    """Return this thread's 16 hex digits; random ones where no slot can be held."""
    folder = state_folder() / "uploads"
    key = folder, os.getpid(), threading.get_ident()
    if key not in _HELD:
        _HELD[key] = _hold(folder)
    return _HELD[key][1]


def _hold(folder: Path) -> tuple[int, str]:
    """Hold the first free slot; return its descriptor and mark."""
    with suppress(OSError):  # read-only, or without locks: nothing is resumed after a crash
        make_own_folder(folder)
        for number in range(_SLOTS):
            descriptor = _open_slot(folder / str(number))
            if descriptor >= 0 and locks.try_lock(descriptor):
                return descriptor, _read(descriptor)
            if descriptor >= 0:
                os.close(descriptor)
    return -1, secrets.token_hex(8)


def _open_slot(path: Path) -> int:
    """Open the file of a slot, which is made if need be; -1 if another operator has made it.

    Nor is a link used: this user would write into the file that it leads to.
    """
    try:
        descriptor = os.open(path, _SLOT, 0o600)
    except OSError:
        if os.path.lexists(path):
            return -1
        raise
    status = os.fstat(descriptor)
    is_own = status.st_uid == os.geteuid() or not is_shared(path.parent)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and is_own:
        return descriptor
    os.close(descriptor)
    return -1


def _read(descriptor: int) -> str:
    """Return the mark in a slot's file, which is written now if it has none."""
    mark = os.pread(descriptor, 16, 0).decode("ascii", "replace")
    if not _MARK.fullmatch(mark):
        mark = secrets.token_hex(8)
        os.pwrite(descriptor, mark.encode(), 0)
    return mark
