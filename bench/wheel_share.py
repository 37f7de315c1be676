"""How much of a wheel is new to those who have an older version of it.

    python bench/wheel_share.py OLD.whl NEW.whl

Two wheels of one package, for example from `pip download --no-deps numpy==2.4.5`. For each way of
cutting, it prints how many chunks the newer wheel has, and how many of its bytes are in chunks
that the older one has not.
"""

import hashlib
import sys
from pathlib import Path

from airgap.chunking import cutters


class Wheel:
    """A file in memory, to be cut."""

    def __init__(self, path: Path, *, as_wheel: bool) -> None:
        self._data = path.read_bytes()
        self._at = 0
        self.size = len(self._data)
        self.path = path.name if as_wheel else "archive.zip"

    def peek(self, offset: int, count: int) -> bytes:
        return self._data[offset : offset + count]

    def read(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]


def cut(path: Path, *, as_wheel: bool) -> dict[bytes, int]:
    """Return the digests of the chunks, and their lengths."""
    pieces = [piece.plain for piece in cutters.cut(Wheel(path, as_wheel=as_wheel))]
    return {hashlib.sha256(piece).digest(): len(piece) for piece in pieces}


def main() -> None:
    old, new = map(Path, sys.argv[1:])
    for title, as_wheel in (("by content", False), ("at the members of the wheel", True)):
        before, after = cut(old, as_wheel=as_wheel), cut(new, as_wheel=as_wheel)
        size = sum(after.values())
        fresh = sum(length for digest, length in after.items() if digest not in before)
        print(f"{title}: {len(after)} chunks, {fresh:,} of {size:,} bytes new ({fresh / size:.0%})")


if __name__ == "__main__":
    main()
