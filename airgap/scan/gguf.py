"""GGUF: its header is read to its end, and a chat template in it is code."""

from typing import Final

from airgap.scan.contents import Content
from airgap.scan.verdicts import Judgment, Unreadable, code, inert

__all__ = ["GGUF_MARK", "judge_gguf"]

GGUF_MARK: Final = b"GGUF"
_FORM: Final = "GGUF"
_WIDTHS: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _ARRAY = 8, 9
_VERSIONS: Final = frozenset({2, 3})
_MOST_VALUES: Final = 1_000_000
_MOST_DIMENSIONS: Final = 8
_KEY_BYTES: Final = 65_535
_DEEPEST: Final = 4
_TEMPLATE: Final = "chat_template"


def judge_gguf(content: Content) -> Judgment:
    """Judge a GGUF file: metadata, and tensors that lie within the file."""
    reader = _GgufReader(content)
    version, tensors, pairs = reader.read_start()
    if version not in _VERSIONS or max(tensors, pairs) > _MOST_VALUES:
        raise Unreadable(f"version {version} with {tensors:,} tensors and {pairs:,} values")
    template = ""
    for _ in range(pairs):
        key = reader.read_text(_KEY_BYTES)
        reader.skip_value(reader.read_number(4), 0)
        if _TEMPLATE in key:
            template = key
    for _ in range(tensors):
        reader.skip_tensor()
    if template:
        return code(_FORM, f"{template[:80]!r} is a program for chats")
    return inert(_FORM)


class _GgufReader:
    def __init__(self, content: Content) -> None:
        self._content = content
        self._offset = len(GGUF_MARK)

    def read_start(self) -> tuple[int, int, int]:
        """Return the version, and how many tensors and values there are."""
        return self.read_number(4), self.read_number(8), self.read_number(8)

    def read_number(self, width: int) -> int:
        """Return an unsigned number."""
        self._content.budget.spend()
        data = self._content.read_exactly(self._offset, width)
        self._offset += width
        return int.from_bytes(data, "little")

    def read_text(self, limit: int) -> str:
        """Return a text of at most ``limit`` bytes."""
        size = self.read_number(8)
        if size > limit:
            raise Unreadable(f"a text has {size:,} bytes")
        data = self._content.read_exactly(self._offset, size)
        self._offset += size
        return data.decode("utf-8", "replace")

    def skip_value(self, kind: int, depth: int) -> None:
        """Go behind a value of a type."""
        if kind in _WIDTHS:
            self._skip(_WIDTHS[kind])
        elif kind == _TEXT:
            self._skip(self.read_number(8))
        elif kind == _ARRAY and depth < _DEEPEST:
            item, count = self.read_number(4), self.read_number(8)
            if item in _WIDTHS:
                self._skip(count * _WIDTHS[item])
            else:
                for _ in range(count):
                    self.skip_value(item, depth + 1)
        else:
            raise Unreadable(f"a value has the type {kind}")

    def skip_tensor(self) -> None:
        """Go behind the description of a tensor, whose data must begin within the file."""
        self.read_text(_KEY_BYTES)
        dimensions = self.read_number(4)
        if dimensions > _MOST_DIMENSIONS:
            raise Unreadable(f"a tensor has {dimensions:,} dimensions")
        self._skip(8 * dimensions + 4)
        if self.read_number(8) > self._content.size:
            raise Unreadable("a tensor lies behind the end")

    def _skip(self, size: int) -> None:
        self._content.demand(self._offset, size)
        self._offset += size
