"""Quotas: how much each user has stored, and may store."""

import errno
import os
import stat
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import Final

__all__ = ["Quota", "measure_usage"]

_NAMES_PER_STEP: Final = 500


def measure_usage(folders: Iterable[Path]) -> Generator[None, None, tuple[int, int]]:
    """Return bytes and names below folders. The bytes of a file with several names count once.

    Yields after every ``_NAMES_PER_STEP`` names, so that others can be served meanwhile.
    """
    size = count = 0
    inodes: set[tuple[int, int]] = set()
    for top in folders:
        for folder, subfolders, files in os.walk(top):
            for number, name in enumerate((*subfolders, *files)):
                count += 1
                if count % _NAMES_PER_STEP == 0:
                    yield
                if number < len(subfolders):
                    continue
                try:
                    status = os.lstat(Path(folder, name))
                except OSError:  # taken by the intake since it was listed
                    continue
                inode = (status.st_dev, status.st_ino)
                if stat.S_ISREG(status.st_mode) and inode not in inodes:
                    inodes.add(inode)
                    size += status.st_size
    return size, count


class Quota:
    """What one user has stored. Exact for uploads, also while the disk is being measured."""

    def __init__(self, max_bytes: int, max_files: int) -> None:
        """Start at zero; call ``measure`` before the first upload."""
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._base = (0, 0)
        self._grown = [0, 0]
        self._shrink_count = 0
        self._lock = Lock()

    @property
    def used(self) -> tuple[int, int]:
        """Bytes and names that count against the quota."""
        return self._base[0] + self._grown[0], self._base[1] + self._grown[1]

    def has_room(self) -> bool:
        """Tell whether another upload may begin."""
        size, count = self.used
        return size < self._max_bytes and count < self._max_files

    def grow(self, size: int, count: int = 0) -> None:
        """Count bytes and names before they are written; negative ones after they are removed.

        Raises:
            OSError: the quota would be exceeded (EDQUOT). Nothing is counted.
        """
        with self._lock:
            used_bytes, used_files = self.used
            if (size > 0 and used_bytes + size > self._max_bytes) or (
                count > 0 and used_files + count > self._max_files
            ):
                raise OSError(errno.EDQUOT, "Quota exceeded")
            self._grown[0] += size
            self._grown[1] += count
            self._shrink_count += size < 0 or count < 0

    def measure(self, folders: Iterable[Path]) -> Iterator[None]:
        """Measure the disk in steps; safe beside running uploads and removals.

        Growth during the measurement counts twice until the next one. If anything shrinks during
        it the result is discarded: the file may have been seen before or after it was removed.
        """
        with self._lock:
            grown, shrink_count = tuple(self._grown), self._shrink_count
        size, count = yield from measure_usage(folders)
        with self._lock:
            if self._shrink_count == shrink_count:
                self._base = (size - grown[0], count - grown[1])
