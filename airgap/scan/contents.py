"""The bytes of a file or of a part of it, read at any offset and within a budget."""

import io
from typing import BinaryIO, Final

from airgap.scan.verdicts import Unreadable

__all__ = ["PIECE", "Budget", "Content"]

PIECE: Final = 1024 * 1024
_STEPS_OF_SMALL: Final = 300_000
_STEPS_OF_LARGE: Final = 1_000_000
_BYTES_PER_STEP: Final = 12
_UNPACKED_PER_STEP: Final = 96
_WINDOW: Final = 64 * 1024
_WINDOW_STEPS: Final = 16


class Budget:
    """The steps that the gate follows in one file (format §32.2).

    A step takes some millionths of a second, and what it leaves in memory has about a hundred
    bytes. So the budget bounds time and memory, whatever is in the file.
    """

    def __init__(self, steps: int = _STEPS_OF_LARGE) -> None:
        """Begin with so many steps."""
        self.steps = steps

    @classmethod
    def of_file(cls, size: int) -> "Budget":
        """Return the budget of a file of ``size`` bytes."""
        return cls(min(_STEPS_OF_SMALL + size // _BYTES_PER_STEP, _STEPS_OF_LARGE))

    def spend(self, steps: int = 1) -> None:
        """Count operations, fields, members; raises Unreadable when they were too many."""
        self.steps -= steps
        if self.steps < 0:
            raise Unreadable("it has more in it than the gate follows")

    def spend_unpacked(self, size: int) -> None:
        """Count bytes that are unpacked; raises Unreadable when they were too many."""
        self.spend(-(-size // _UNPACKED_PER_STEP))


class Content:
    """A window of a seekable stream: the file itself, or a part that another form holds."""

    def __init__(self, stream: BinaryIO, start: int, size: int, budget: Budget) -> None:
        """Take ``size`` bytes from ``start`` on."""
        self._stream = stream
        self._start = start
        self.size = size
        self.budget = budget
        self._window = b""
        self._window_start = 0

    def read(self, offset: int, size: int) -> bytes:
        """Return the bytes at an offset, fewer where the content ends."""
        size = max(0, min(size, self.size - offset))
        begin = offset - self._window_start
        if begin >= 0 and begin + size <= len(self._window):
            return self._window[begin : begin + size]
        if size > _WINDOW // 2:
            return self._read_stream(offset, size)
        self.budget.spend(_WINDOW_STEPS)  # or a file that leads to and fro is read for hours
        self._window = self._read_stream(offset, min(_WINDOW, self.size - offset))
        self._window_start = offset
        return self._window[:size]

    def _read_stream(self, offset: int, size: int) -> bytes:
        self._stream.seek(self._start + offset)
        data = self._stream.read(size)
        if len(data) != size:
            raise Unreadable("it ends too early")
        return data

    def read_exactly(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes; raises Unreadable when the content ends before."""
        self.demand(offset, size)
        return self.read(offset, size)

    def read_whole(self, limit: int) -> bytes:
        """Return all bytes; raises Unreadable above ``limit``."""
        if self.size > limit:
            raise Unreadable(f"it has {self.size:,} bytes; of this form at most {limit:,} are read")
        return self.read_exactly(0, self.size)

    def demand(self, offset: int, size: int) -> None:
        """Demand that so many bytes are there; raises Unreadable."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise Unreadable("it ends too early")

    def part(self, offset: int, size: int) -> "Content":
        """Return a window of this one."""
        self.demand(offset, size)
        return Content(self._stream, self._start + offset, size, self.budget)

    @classmethod
    def of_bytes(cls, data: bytes, budget: Budget) -> "Content":
        """Return the content of bytes in memory."""
        return cls(io.BytesIO(data), 0, len(data), budget)

    @classmethod
    def of_memory(cls, stream: io.BytesIO, budget: Budget) -> "Content":
        """Return the content of a stream in memory, which is not copied."""
        return cls(stream, 0, stream.getbuffer().nbytes, budget)
