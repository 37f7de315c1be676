"""SHA-256 of uploads, read in slices: a file that has only grown is not read again."""

import hashlib
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from airgap.disk.descriptors import open_without_waiting
from airgap.disk.digests import SLICE_BYTES

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["UploadDigests"]

MAX_REMEMBERED: Final = 50_000
_PIECE_BYTES: Final = 256 * 1024


@dataclass(slots=True)
class _Progress:
    """How far a file has been hashed. ``end``: where a slice that is being read may end."""

    inode: int
    offset: int = 0
    end: int = 0
    digest: "_Hash" = field(default_factory=hashlib.sha256)


class UploadDigests:
    """Hashes uploads step by step. Sessions report what they overwrite. Thread-safe."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self._progress: OrderedDict[str, _Progress] = OrderedDict()
        self._lock = Lock()

    def read_slice(self, path: Path) -> bytes | None:
        """Read at most ``SLICE_BYTES`` more of a file; return its SHA-256 if that was all of it.

        Raises:
            OSError: it cannot be read.
        """
        descriptor = open_without_waiting(path, os.O_NOFOLLOW)
        try:
            status = os.fstat(descriptor)
            progress = self._begin(str(path), status.st_ino, status.st_size)
            _advance(progress, descriptor)
            complete = progress.offset == os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        with self._lock:
            valid = self._progress.get(str(path)) is progress
        return progress.digest.digest() if complete and valid else None

    def _begin(self, path: str, inode: int, size: int) -> _Progress:
        """Return the progress of a file, which becomes the last to be forgotten."""
        with self._lock:
            progress = self._progress.pop(path, None)
            if progress is None or progress.inode != inode or progress.offset > size:
                progress = _Progress(inode)
            progress.end = progress.offset + SLICE_BYTES
            self._progress[path] = progress
            while len(self._progress) > MAX_REMEMBERED:
                self._progress.popitem(last=False)
            return progress

    def overwrite(self, path: str, offset: int = 0) -> None:
        """Forget a file if more than its first ``offset`` bytes may have been read."""
        with self._lock:
            progress = self._progress.get(path)
            if progress is not None and progress.end > offset:
                del self._progress[path]


def _advance(progress: _Progress, descriptor: int) -> None:
    """Hash up to ``progress.end``, or to the end of the file."""
    while piece := os.pread(
        descriptor, min(_PIECE_BYTES, progress.end - progress.offset), progress.offset
    ):
        progress.digest.update(piece)
        progress.offset += len(piece)
    progress.end = progress.offset
