"""Measures what the files below folders take on the disk while a command runs in this process.

It looks before each step that makes, renames or removes a file: what was written until then is
there, and what a step removes is still there.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

STEPS = frozenset({"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "open"})


def measure_blocks(folder: Path) -> int:
    """Return the bytes of the blocks of everything below a folder; links to one file count once."""
    sizes: dict[tuple[int, int], int] = {}
    for top, folders, files in os.walk(folder):
        for name in (*folders, *files):
            try:
                status = os.lstat(f"{top}/{name}")
            except OSError:  # removed meanwhile
                continue
            sizes[status.st_dev, status.st_ino] = 512 * status.st_blocks
    return sum(sizes.values())


def measure_used(folder: Path) -> int:
    """Return the bytes in use on a folder's file system: also of files without a name."""
    status = os.statvfs(folder)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


@dataclass
class Watch:
    """What was seen: for each folder the bytes at the begin, and the most there were."""

    folders: tuple[Path, ...]
    measure: Callable[[Path], int] = measure_blocks
    begin: dict[Path, int] = field(default_factory=dict)
    most: dict[Path, int] = field(default_factory=dict)

    def look(self) -> None:
        for folder in self.folders:
            size = self.measure(folder)
            self.begin.setdefault(folder, size)
            self.most[folder] = max(size, self.most.get(folder, 0))

    def peak(self, folder: Path) -> int:
        """Return how many bytes more there were than at the begin."""
        return self.most[folder] - self.begin[folder]


_lock = threading.RLock()
_watches: list[Watch] = []
_hooked: list[bool] = []


@contextmanager
def watch(*folders: Path, measure: Callable[[Path], int] = measure_blocks) -> Iterator[Watch]:
    """Watch folders for the length of the block."""
    if not _hooked:  # a hook cannot be taken away
        sys.addaudithook(_see)
        _hooked.append(True)
    seen = Watch(folders, measure)
    seen.look()
    _watches.append(seen)
    try:
        yield seen
        seen.look()
    finally:
        _watches.remove(seen)


def _see(event: str, args: tuple[object, ...]) -> None:
    if not _watches or event not in STEPS:
        return
    if event == "open" and not (isinstance(args[2], int) and args[2] & os.O_CREAT):
        return
    with _lock:
        for seen in _watches:
            seen.look()
