"""The same memory for everybody: what a command may find in its way, before its clock starts.

A virtual machine's host takes memory back that is free, and gives it out again at a gigabyte per
second or less: whichever command comes after a large file was removed pays for that. So free memory
is filled before each command, with pages that cost nothing to give up, and everything is synced.
"""

import os
from pathlib import Path
from typing import Final

__all__ = ["Ballast"]

_PIECE: Final = 1024**2
_STEP: Final = 512
"""How many pieces are read before looking whether that filled anything."""
_MOST_STEPS: Final = 32


class Ballast:
    """A file of holes, ever new parts of which are read into the page cache."""

    def __init__(self, path: Path) -> None:
        """Make the file; it takes no room on the disk."""
        self._file = path.open("w+b", buffering=0)
        self._file.truncate(1024**4)

    def settle(self) -> None:
        """Sync everything, and fill the memory that is free; on Linux only."""
        os.sync()
        piece = bytearray(_PIECE)
        for _ in range(_MOST_STEPS):
            before = _free()
            for _ in range(_STEP):
                self._file.readinto(piece)
            if before - _free() < _STEP * _PIECE // 2:
                return


def _free() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemFree"))
