"""Makes text printable: a name that a medium, server or token chose must not control a terminal."""

import unicodedata
from itertools import accumulate

__all__ = ["fit_line", "make_printable"]

_WIDE = frozenset("WF")
"""Classes of characters that take two columns of a terminal."""


def make_printable(text: str) -> str:
    r"""Write each character that is not printable as ``\xNN``, ``\uNNNN`` or ``\UNNNNNNNN``.

    These are control characters, with escape and line feed among them, bidirectional controls and
    other invisible characters, lone surrogates, and all spaces but the ordinary one.

    >>> make_printable("a\x1b[2Jb\u202ec")
    'a\\x1b[2Jb\\u202ec'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(ord(char)) for char in text)


def fit_line(text: str, columns: int) -> str:
    r"""Return a text as one printable line, clipped with "…" if it needs more columns.

    Each run of white space becomes one space. A longer text, padded with spaces, would continue at
    the beginning of the next line of a terminal, and look like lines of airgap's own.

    >>> fit_line("all  good\n bundle 0ab6", 16)
    'all good bundle…'
    """
    line = make_printable(" ".join(text.split()))
    ends = list(accumulate(map(_count_columns, line)))
    if not ends or ends[-1] <= columns:
        return line
    kept = sum(end < columns for end in ends)
    return f"{line[:kept].rstrip()}…"


def _count_columns(char: str) -> int:
    return 1 + (unicodedata.east_asian_width(char) in _WIDE)


def _escape(code: int) -> str:
    if code <= 0xFF:  # noqa: PLR2004  (one byte)
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004  (two bytes)
