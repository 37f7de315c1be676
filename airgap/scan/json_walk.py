"""JSON read once, in pieces, and checked to its end; only what may name a program is looked at.

A reader that builds values takes twenty times the bytes of the text. This one keeps the objects and
arrays that are open, and goes over values within one object or array at once.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from airgap.scan.contents import PIECE, Content
from airgap.scan.verdicts import Unreadable

__all__ = ["CONTAINER", "NotJson", "walk_json"]

CONTAINER: Final = object()
"""Stands for a value that is an object or an array with something in it."""
_LARGEST: Final = 16 * 1024 * 1024
_MARGIN: Final = 64 * 1024
_LONGEST: Final = 4096
_LONG_TEXT: Final = "--…"
"""Stands for texts that are too long for a name: what is looked for in texts counts as found."""
_LITERALS: Final = {b"null": None, b"true": True, b"false": False}
_DEEPEST: Final = 100
_BOM: Final = b"\xef\xbb\xbf"

_SPACE: Final = rb"[ \t\r\n]*+"
_TEXT: Final = rb'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*+"'
_NUMBER: Final = rb"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+"
_SCALAR: Final = b"(?>" + _TEXT + b"|" + _NUMBER + rb"|true|false|null|NaN|-?Infinity)"
_PLAIN_KEY: Final = (
    rb'"(?!auto_map|chat_template|custom_|expr_str|graph_module|_target_|trust_remote_code|py/|'
    rb'activation_f|sbert_ce_|_?attn_impl|megatron_core|class_name"|module"|config"|'
    rb'registered_name")[^"\\\x00-\x1f]*+"'
)
"""A key that names no program, whatever its value is."""


def _list_of(item: bytes) -> bytes:
    """Return the pattern of items with commas between them, or of nothing."""
    return b"(?:" + item + _SPACE + b"(?:," + _SPACE + item + _SPACE + b")*+)?+"


_FLAT_ARRAY: Final = rb"\[" + _SPACE + _list_of(_SCALAR) + rb"\]"
_PAIR: Final = _PLAIN_KEY + _SPACE + b":" + _SPACE
_FLAT_OBJECT: Final = (
    rb"\{" + _SPACE + _list_of(_PAIR + b"(?>" + _SCALAR + b"|" + _FLAT_ARRAY + b")") + rb"\}"
)
_FLAT: Final = b"(?>" + _SCALAR + b"|" + _FLAT_ARRAY + b"|" + _FLAT_OBJECT + b")"
_SPACES: Final = re.compile(_SPACE)
_A_TEXT: Final = re.compile(_TEXT)
_A_SCALAR: Final = re.compile(_SCALAR)
_A_FLAT: Final = re.compile(_FLAT)
_EMPTY: Final = re.compile(rb"\[" + _SPACE + rb"\]|\{" + _SPACE + rb"\}")
_ITEMS: Final = re.compile(b"(?:" + _SPACE + _FLAT + _SPACE + b",)*+")
_PAIRS: Final = re.compile(b"(?:" + _SPACE + _PAIR + _FLAT + _SPACE + b",)*+")


class NotJson(Exception):  # noqa: N818 -- it ends in a judgment
    """The text is not JSON."""


@dataclass(slots=True)
class _Level:
    """An object or an array that is open, and what may be a layer in it."""

    is_object: bool
    is_watched: bool
    """Whether it is within a value of which every text is looked at."""
    members: list[tuple[str, object]] = field(default_factory=list)


def walk_json(
    content: Content,
    see: Callable[[str, object], bool],
    see_text: Callable[[str], None],
    see_object: Callable[[list[tuple[str, object]]], None],
    *,
    is_lines: bool = False,
) -> None:
    """Read JSON to its end.

    Args:
        content: UTF-8.
        see: gets each key that may name a program, with its value: a text, a number, None, an
            empty list, or CONTAINER; returns whether each text within the value is to be seen.
        see_text: gets the texts within such a value.
        see_object: gets the keys and values of an object that were given to ``see``.
        is_lines: whether several values follow one another.

    Raises:
        NotJson: it is not JSON, as Python reads it.
        Unreadable: it is nested too deeply, or a text in it is too long.
    """
    _Walk(content, see, see_text, see_object).follow(is_lines=is_lines)


class _Walk:
    def __init__(
        self,
        content: Content,
        see: Callable[[str, object], bool],
        see_text: Callable[[str], None],
        see_object: Callable[[list[tuple[str, object]]], None],
    ) -> None:
        self._content = content
        self._see, self._see_text, self._see_object = see, see_text, see_object
        self._data = b""
        self._at = 0
        self._read_to = 0
        self._open: list[_Level] = []

    def follow(self, *, is_lines: bool) -> None:
        self._fill()
        if self._data.startswith(_BOM):
            self._at = len(_BOM)
        count = 0
        while self._peek():
            if count and not is_lines:
                raise NotJson
            count += 1
            self._follow_value()
            while self._open:
                self._follow_next()
        if not count and not is_lines:
            raise NotJson

    # The window of the text: it always holds a whole item, or all that is left.

    def _fill(self) -> bool:
        """Read on, at least as much as is there; tells whether there was more."""
        if self._read_to >= self._content.size:
            return False
        rest = self._data[self._at :]
        if len(rest) > _LARGEST:
            raise Unreadable("a text in it is too long")
        more = self._content.read(self._read_to, max(PIECE, len(rest)))
        self._read_to += len(more)
        self._data, self._at = rest + more, 0
        return True

    def _match(self, pattern: re.Pattern[bytes]) -> bytes | None:
        """Return what a pattern matches here, and go behind it; None: nothing."""
        if len(self._data) - self._at < _MARGIN:  # else a number could be cut: 1.|5
            self._fill()
        while True:
            matched = pattern.match(self._data, self._at)
            if matched is not None and matched.end() < len(self._data):
                break
            if (matched is None and not self._may_go_on()) or not self._fill():
                break
        if matched is None:
            return None
        self._at = matched.end()
        return matched[0]

    def _may_go_on(self) -> bool:
        """Tell whether what does not match may match with more bytes: a long text alone does."""
        rest = len(self._data) - self._at
        return rest < _MARGIN or self._data[self._at : self._at + 1] == b'"'

    def _skip(self, pattern: re.Pattern[bytes]) -> None:
        """Go behind as many items as are whole in the window."""
        if len(self._data) - self._at < _MARGIN:
            self._fill()
        while matched := pattern.match(self._data, self._at):
            if matched.end() == self._at:
                return
            self._at = matched.end()
            if len(self._data) - self._at >= _MARGIN or not self._fill():
                return

    def _peek(self) -> bytes:
        """Return the next character that is not a space, without going behind it."""
        self._match(_SPACES)
        return self._data[self._at : self._at + 1]

    def _take(self, character: bytes) -> None:
        if self._peek() != character:
            raise NotJson
        self._at += 1

    # The values.

    def _follow_value(self) -> None:
        """Go behind a value, or into an object or an array."""
        self._content.budget.spend()
        is_watched = bool(self._open) and self._open[-1].is_watched
        start = self._peek()
        if not is_watched and self._match_flat(start):
            return
        if start in {b"{", b"["}:
            self._enter(start, is_watched=is_watched)
            return
        raw = self._match(_A_SCALAR)
        if raw is None:
            raise NotJson
        if is_watched and start == b'"':
            self._see_text(_read_text(raw))

    def _match_flat(self, start: bytes) -> bool:
        """Go behind a value that has no object or array within; tells whether it is one.

        An array that goes on behind the window is entered: the window does not grow for it.
        """
        if start not in {b"{", b"["}:
            return self._match(_A_FLAT) is not None
        if len(self._data) - self._at < _MARGIN:
            self._fill()
        matched = _A_FLAT.match(self._data, self._at)
        if matched is not None:
            self._at = matched.end()
        return matched is not None

    def _enter(self, start: bytes, *, is_watched: bool) -> None:
        if len(self._open) >= _DEEPEST:
            raise Unreadable("it is nested too deeply")
        self._at += 1
        self._open.append(_Level(start == b"{", is_watched))
        end = b"}" if start == b"{" else b"]"
        if self._peek() == end:
            self._close()
        else:
            self._follow_item()

    def _follow_next(self) -> None:
        """Go behind the comma and the next item, or behind the end of what is open."""
        self._content.budget.spend(2)
        end = b"}" if self._open[-1].is_object else b"]"
        if self._peek() == end:
            self._close()
        else:
            self._take(b",")
            self._follow_item()

    def _close(self) -> None:
        self._at += 1
        closed = self._open.pop()
        if closed.members:
            self._see_object(closed.members)

    def _follow_item(self) -> None:
        """Follow items up to one that is not flat: the last one, at the latest."""
        here = self._open[-1]
        if not here.is_watched:
            self._skip(_PAIRS if here.is_object else _ITEMS)
        if here.is_object:
            self._follow_pair(here)
        else:
            self._follow_value()

    def _follow_pair(self, here: _Level) -> None:
        self._peek()
        raw = self._match(_A_TEXT)
        if raw is None:
            raise NotJson
        key = _read_text(raw)
        self._take(b":")
        if here.is_watched:
            self._see_text(key)
        start = self._peek()
        if re.fullmatch(_PLAIN_KEY, raw):
            self._follow_value()
        elif start in {b"{", b"["} and self._match(_EMPTY) is None:
            here.members.append((key, CONTAINER))
            is_watched = self._see(key, CONTAINER) or here.is_watched
            self._enter(start, is_watched=is_watched)
        else:
            value = self._read_scalar(start)
            here.members.append((key, value))
            self._see(key, value)
            if here.is_watched and isinstance(value, str):
                self._see_text(value)

    def _read_scalar(self, start: bytes) -> object:
        if start in {b"{", b"["}:
            return []
        raw = self._match(_A_SCALAR)
        if raw is None:
            raise NotJson
        return _read_text(raw) if start == b'"' else _LITERALS.get(raw, 1)


def _read_text(raw: bytes) -> str:
    """Return a text; one that is too long for any name is cut."""
    if len(raw) > _LONGEST:
        return _LONG_TEXT
    return str(json.loads(raw))
