"""A file written from front to back, of which an interrupted run may have left a part (format §9).

What is in the part is compared with what is written, and not written again where it is equal.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from airgap.codec.buffer import Buffer
from airgap.disk.part_file import PartFile
from airgap.printable import size_text

__all__ = ["ResumedFile"]

_PIECE_BYTES: Final = 1024 * 1024


class ResumedFile:
    """A part file whose first ``front`` bytes are written last."""

    def __init__(self, path: Path, front: int, tell: Callable[[str], object]) -> None:
        """Go on with an abandoned part, or make a new one; ``tell`` gets a sentence about it.

        Raises:
            OSError: the disk refused.
        """
        self._part = PartFile(path, resume=True)
        self._file = self._part.file
        self._front, self._at, self._tell = front, front, tell
        self._is_comparing = self._part.size > front
        try:
            if self._part.size:
                _clear(self._file, min(front, self._part.size))
            self._file.seek(front)
        except BaseException:
            self._part.leave()
            raise
        if self._is_comparing:
            size = size_text(self._part.size - front)
            tell(
                f"Going on with {self._part.part}, which has {size}: what is equal is not written"
                " again."
            )

    def append(self, pieces: Sequence[Buffer]) -> bool:
        """Append bytes that belong together; return False if they were there.

        Raises:
            OSError: the disk refused.
        """
        size = sum(map(len, pieces))
        if self._is_comparing and self._has(pieces):
            self._at += size
            return False
        self._stop_comparing()
        self._file.writelines(pieces)
        self._at += size
        return True

    def publish(
        self, end: bytes, front: Sequence[tuple[int, bytes]], *, is_spool: bool = False
    ) -> None:
        """Append ``end``, write what belongs in front, by its offsets, sync and rename.

        A spool is not synced.

        Raises:
            OSError: the disk refused.
        """
        self._stop_comparing()
        self._file.write(end)
        for offset, data in front:
            self._file.seek(offset)
            self._file.write(data)
        self._part.publish(is_spool=is_spool)

    def leave(self) -> None:
        """Close. The part stays if it has more than its front, for the next run."""
        if self._at > self._front:
            self._part.leave()
        else:
            self._part.discard()

    def discard(self) -> None:
        """Close, and remove the part."""
        self._part.discard()

    def _has(self, pieces: Sequence[Buffer]) -> bool:
        """Read on in the part; tell whether all these bytes are there."""
        for piece in pieces:
            view = memoryview(piece).cast("B")
            for begin in range(0, len(view), _PIECE_BYTES):
                expected = view[begin : begin + _PIECE_BYTES]
                data = self._file.read(len(expected))
                if data != expected:
                    if data != expected[: len(data)]:
                        self._tell_difference()
                    return False
        return True

    def _tell_difference(self) -> None:
        if self._at == self._front:
            self._tell(f"{self._part.part} is of something else: it is written anew.")
        else:
            size = size_text(self._at - self._front)
            self._tell(f"{self._part.part} differs after {size}: the rest is written anew.")

    def _stop_comparing(self) -> None:
        """Cut off what was not found equal."""
        if self._is_comparing:
            self._is_comparing = False
            self._file.seek(self._at)
            self._file.truncate()


def _clear(file: BinaryIO, size: int) -> None:
    """Write zeros over the first bytes of a file, where it has others."""
    for begin in range(0, size, _PIECE_BYTES):
        length = min(_PIECE_BYTES, size - begin)
        file.seek(begin)
        if file.read(length).strip(b"\0"):
            file.seek(begin)
            file.write(bytes(length))
