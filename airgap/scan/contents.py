"""The bytes of a file or of a part of it, read at any offset and within a budget."""

import io
from typing import BinaryIO, Final

__all__ = ["Budget", "Content", "Unreadable"]

PIECE: Final = 1024 * 1024
BUDGET_BYTES: Final = 64 * 1024**3
"""What a scan reads of one file, packed members counted each time that they are unpacked."""
BUDGET_STEPS: Final = 20_000_000
"""Operations, fields and members that a scan follows in one file."""


class Unreadable(Exception):  # noqa: N818 -- it ends in an assessment
    """The content contradicts its form, or exceeds a limit; the text says how, in a few words."""


class Budget:
    """What one file may cost: bytes that are read, and steps that are taken."""

    def __init__(self, data: int = BUDGET_BYTES, steps: int = BUDGET_STEPS) -> None:
        """Begin with all of it."""
        self._data = data
        self._steps = steps

    def spend_bytes(self, count: int) -> None:
        """Count bytes; raises Unreadable when they were too many."""
        self._data -= count
        if self._data < 0:
            raise Unreadable("it unpacks to more bytes than a scan reads")

    def spend_step(self) -> None:
        """Count a step; raises Unreadable when they were too many."""
        self._steps -= 1
        if self._steps < 0:
            raise Unreadable("it has more operations than a scan follows")


class Content:
    """A window of a seekable stream: the file itself, or a part that another form holds."""

    def __init__(self, stream: BinaryIO, start: int, size: int, budget: Budget) -> None:
        """Take ``size`` bytes from ``start`` on."""
        self._stream = stream
        self._start = start
        self.size = size
        self.budget = budget

    def read(self, offset: int, size: int) -> bytes:
        """Return the bytes at an offset, fewer where the content ends."""
        size = max(0, min(size, self.size - offset))
        self.budget.spend_bytes(size)
        self._stream.seek(self._start + offset)
        data = self._stream.read(size)
        if len(data) != size:
            raise Unreadable("it ends too early")
        return data

    def read_exactly(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes; raises Unreadable when the content ends before."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise Unreadable("it ends too early")
        return self.read(offset, size)

    def read_whole(self, limit: int) -> bytes:
        """Return all bytes; raises Unreadable above ``limit``."""
        if self.size > limit:
            raise Unreadable(f"it has {self.size:,} bytes, and a scan reads {limit:,} of this form")
        return self.read_exactly(0, self.size)

    def part(self, offset: int, size: int) -> "Content":
        """Return a window of this one."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise Unreadable("it ends too early")
        return Content(self._stream, self._start + offset, size, self.budget)

    @classmethod
    def of_bytes(cls, data: bytes, budget: Budget) -> "Content":
        """Return the content of bytes in memory."""
        return cls(io.BytesIO(data), 0, len(data), budget)
