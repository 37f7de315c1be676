"""Text for people: names that others chose must not control a terminal, nor look whole if cut."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final

__all__ = [
    "count_columns",
    "count_text",
    "cut_text",
    "duration_text",
    "is_printable",
    "list_some",
    "make_printable",
    "quote",
    "series_text",
    "size_text",
    "wrap_text",
]

_WIDE = frozenset("WF")
"""Classes of characters that take two columns of a terminal."""
_KILO: Final = 1000
_DURATIONS: Final = (
    (86_400, "d", 3600, "h"),
    (3600, "h", 60, "min"),
    (60, "min", 1, "s"),
)
_BLANK: Final = re.compile(
    "["
    # Of the property Default_Ignorable_Code_Point (Unicode 16), what Python calls printable: the
    # grapheme joiner, Hangul fillers, Khmer inherent vowels, variation selectors.
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef"
    # Characters whose glyph is empty: the Braille, hieroglyphic and Khitan blanks, a note's head.
    "\u2800\U00013441\U00013442\U00016fe4\U0001d159"
    "]"
)
"""Characters that show nothing, although ``str.isprintable`` is true of them.

Two names may differ in them alone, and one that stands for a space can put words at the beginning
of a terminal's next row.
"""


def is_printable(text: str) -> bool:
    """Tell whether each character of a text can be seen, or is the ordinary space."""
    return text.isprintable() and (text.isascii() or not _BLANK.search(text))


def make_printable(text: str) -> str:
    r"""Write each character that is not printable as ``\xNN``, ``\uNNNN`` or ``\UNNNNNNNN``.

    These are control characters, with escape and line feed among them, bidirectional controls and
    all other characters that cannot be seen, lone surrogates, and all spaces but the ordinary one.

    >>> make_printable("a\x1b[2Jb\u202ec\u3164")
    'a\\x1b[2Jb\\u202ec\\u3164'
    """
    if is_printable(text):
        return text
    return "".join(char if is_printable(char) else _escape(ord(char)) for char in text)


def cut_text(text: str, limit: int) -> str:
    """Return a text of at most ``limit`` characters; a longer one ends with a mark that it was cut.

    >>> cut_text("a long text", 6)
    'a long… (cut; 11 characters)'
    """
    return text if len(text) <= limit else f"{text[:limit]}… (cut; {len(text):,} characters)"


def quote(value: object, limit: int = 200) -> str:
    """Write a value as Python does, for a message; one that is cut says so after its quotes.

    >>> quote("abc"), quote("abcdef", 4)
    ("'abc'", "'abc…' (cut; 6 characters)")
    """
    text = repr(value)
    if len(text) <= limit:
        return text
    size = len(value) if isinstance(value, str | bytes) else len(text)
    return f"{text[:limit]}…{text[-1]} (cut; {size:,} characters)"


def list_some(lines: Sequence[str], limit: int = 10) -> list[str]:
    """Return the first lines, and one that says how many were left out.

    >>> list_some(["a", "b", "c"], 1)
    ['a', 'and 2 more']
    """
    left = len(lines) - limit
    return [*lines[:limit], f"and {left:,} more"] if left > 0 else [*lines]


def series_text(words: Sequence[str], limit: int = 10) -> str:
    """Write words as a series, of which only the first are named if there are many.

    >>> series_text(["1", "2", "3"]), series_text(["1", "2", "3"], 1)
    ('1, 2 and 3', '1 and 2 more')
    """
    if len(words) > limit:
        return f"{', '.join(words[:limit])} and {len(words) - limit:,} more"
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def count_text(count: int, what: str, plural: str = "") -> str:
    """Write a number of things for people; ``plural`` is needed if it is not ``what`` and an s.

    >>> count_text(1, "pack"), count_text(2000, "pack"), count_text(3, "entry", "entries")
    ('1 pack', '2,000 packs', '3 entries')
    """
    return f"{count:,} {what if count == 1 else plural or what + 's'}"


def size_text(count: float, rounding: Callable[[float], int] = round) -> str:
    """Write a number of bytes for people, in decimal units, with one decimal from 1 kB on.

    ``rounding`` is ``math.ceil`` for what is needed, and ``math.floor`` for what is there: two
    numbers that differ then look so.

    >>> size_text(999), size_text(1_500_000), size_text(999_960)
    ('999 B', '1.5 MB', '1.0 MB')
    """
    if count < _KILO:
        return f"{count:.0f} B"
    *smaller, largest = ("kB", "MB", "GB", "TB")
    for unit in smaller:
        count /= _KILO
        tenths = rounding(count * 10)
        if tenths < 10 * _KILO:
            return f"{tenths / 10:.1f} {unit}"
    return f"{rounding(count / _KILO * 10) / 10:.1f} {largest}"


def duration_text(seconds: float) -> str:
    """Write a duration for people, by its two largest units.

    >>> duration_text(9.4), duration_text(140), duration_text(7_500), duration_text(200_000)
    ('9 s', '2 min 20 s', '2 h 5 min', '2 d 7 h')
    """
    total = max(round(seconds), 0)
    for size, name, small, small_name in _DURATIONS:
        if total >= size:
            rest = total % size // small
            return (
                f"{total // size} {name} {rest} {small_name}" if rest else f"{total // size} {name}"
            )
    return f"{total} s"


def wrap_text(text: str, columns: int, *, indent: str, breaks_words: bool = False) -> list[str]:
    """Break a printable line at its spaces into rows; all but the first begin with ``indent``.

    A word that is longer than a row is broken only if that is asked for. Spaces at the beginning
    stay, up to half a row: a text may begin with very many of them.

    >>> wrap_text("  label a: one two", 12, indent="    … ", breaks_words=True)
    ['  label a:', '    … one', '    … two']
    """
    rows, row, start = [], text, min(len(text) - len(text.lstrip(" ")), columns // 2)
    while True:
        fitting = sum(end <= columns for end in accumulate(map(_count_columns, row)))
        cut = fitting if fitting == len(row) else row.rfind(" ", start, fitting + 1)
        if cut <= start and not breaks_words:
            cut = row.find(" ", start)
        elif cut <= start:
            cut = max(fitting, start + 1)
        is_cut = start < cut < len(row)
        rest = row[cut:].lstrip(" ") if is_cut else ""
        rows.append(row[:cut].rstrip(" ") if is_cut else row)
        if not rest:
            return rows
        row, start = indent + rest, len(indent)


def count_columns(text: str) -> int:
    """Count the columns of a terminal that a printable text takes.

    >>> count_columns("ab"), count_columns("模型")
    (2, 4)
    """
    return len(text) if text.isascii() else sum(map(_count_columns, text))


def _count_columns(char: str) -> int:
    return 1 + (unicodedata.east_asian_width(char) in _WIDE)


def _escape(code: int) -> str:
    if code <= 0xFF:  # noqa: PLR2004  (one byte)
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004  (two bytes)
