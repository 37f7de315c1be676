"""UBJSON, in which XGBoost saves models: read to its end, so that nothing else is in the file."""

from typing import Final

from airgap.scan.contents import Content
from airgap.scan.verdicts import Judgment, Unreadable, inert

__all__ = ["judge_ubjson", "looks_like_ubjson"]

_WIDTHS: Final = {"i": 1, "U": 1, "I": 2, "u": 2, "l": 4, "m": 4, "L": 8, "M": 8, "d": 4, "D": 8}
_INTEGERS: Final = frozenset("iUIulmLM")
_UNSIGNED: Final = frozenset("UumM")
_ALONE: Final = frozenset("ZNTF")
_DEEPEST: Final = 200


def looks_like_ubjson(content: Content) -> bool:
    """Tell whether the first bytes are an object whose first key has a length."""
    start = content.read(0, 2).decode("latin-1")
    return start[:1] == "{" and start[1:] in _INTEGERS


def judge_ubjson(content: Content) -> Judgment:
    """Judge a content that begins as UBJSON: it is numbers and texts if it ends as such."""
    reader = _UbjsonReader(content)
    reader.skip_value(reader.read_mark(), 0)
    if reader.offset != content.size:
        raise Unreadable(f"{content.size - reader.offset:,} bytes follow its end")
    return inert("UBJSON")


class _UbjsonReader:
    def __init__(self, content: Content) -> None:
        self._content = content
        self.offset = 0

    def read_mark(self) -> str:
        """Return the next byte that says what follows, without padding."""
        mark = "N"
        while mark == "N":
            self._content.budget.spend()
            mark = self._content.read_exactly(self.offset, 1).decode("latin-1")
            self.offset += 1
        return mark

    def skip_value(self, mark: str, depth: int) -> None:
        """Go behind a value whose mark was read."""
        if depth > _DEEPEST:
            raise Unreadable("it is nested too deeply")
        if mark in _WIDTHS:
            self._skip(_WIDTHS[mark])
        elif mark in "SH":
            self._skip(self._read_length())
        elif mark == "C":
            self._skip(1)
        elif mark in "[{":
            self._skip_container("]" if mark == "[" else "}", depth)
        elif mark not in _ALONE:
            raise Unreadable(f"byte {self.offset - 1:,} begins no value")

    def _skip_container(self, end: str, depth: int) -> None:
        kind, count = self._read_header()
        if count is None:
            while (mark := self.read_mark()) != end:
                self._skip_item(mark, end, depth)
            return
        if kind in _WIDTHS and end == "]":
            self._skip(count * _WIDTHS[kind])
            return
        for _ in range(count):
            self._content.budget.spend()
            if end == "}":
                self._skip(self._read_length())
            self.skip_value(kind or self.read_mark(), depth + 1)

    def _skip_item(self, mark: str, end: str, depth: int) -> None:
        if end == "}":
            self._skip(self._read_integer(mark))
            mark = self.read_mark()
        self.skip_value(mark, depth + 1)

    def _read_header(self) -> tuple[str, int | None]:
        """Return the type of all values and their count, where a container gives them."""
        kind = ""
        if self._peek() == "$":
            self.offset += 1
            kind = self.read_mark()
        if self._peek() == "#":
            self.offset += 1
            return kind, self._read_length()
        if kind:
            raise Unreadable("a container has a type and no count")
        return kind, None

    def _peek(self) -> str:
        return self._content.read_exactly(self.offset, 1).decode("latin-1")

    def _read_length(self) -> int:
        return self._read_integer(self.read_mark())

    def _read_integer(self, mark: str) -> int:
        if mark not in _INTEGERS:
            raise Unreadable(f"byte {self.offset - 1:,} begins no length")
        data = self._content.read_exactly(self.offset, _WIDTHS[mark])
        self.offset += len(data)
        value = int.from_bytes(data, "big", signed=mark not in _UNSIGNED)
        if value < 0:
            raise Unreadable("a length is negative")
        return value

    def _skip(self, size: int) -> None:
        self._content.demand(self.offset, size)
        self.offset += size
