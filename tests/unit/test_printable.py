"""Text that others chose cannot control a terminal, whatever characters it has."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.printable import (
    count_text,
    cut_text,
    is_printable,
    list_some,
    make_printable,
    quote,
    wrap_text,
)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("", ""),
        ("a b-ß日本→…", "a b-ß日本→…"),
        ("\x1b]0;owned\x07\x1b[2J", r"\x1b]0;owned\x07\x1b[2J"),
        ("a\r\nb\tc\x7f", r"a\x0d\x0ab\x09c\x7f"),
        ("\x9b2J\x85", r"\x9b2J\x85"),
        ("a\u202eb\u2066c\u200bd\u2028e", r"a\u202eb\u2066c\u200bd\u2028e"),
        ("\xa0\u3000", r"\xa0\u3000"),
        ("\udcff", r"\udcff"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_what_is_not_printable_is_written_as_its_number(text: str, printed: str) -> None:
    assert make_printable(text) == printed


def test_every_character_is_printable_afterwards() -> None:
    for first in range(0, sys.maxunicode + 1, 64):
        assert make_printable("".join(map(chr, range(first, first + 64)))).isprintable(), first


@pytest.mark.parametrize(
    "code",
    [0x34F, 0x115F, 0x1160, 0x17B4, 0x180B, 0x2800, 0x3164, 0xFE0F, 0xFFA0, 0x16FE4, 0xE0100],
)
def test_a_character_that_shows_nothing_is_written_as_its_number(code: int) -> None:
    number = f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
    assert make_printable(f"a{chr(code)}b") == f"a{number}b"


def test_no_filler_blank_or_selector_of_unicode_is_printable() -> None:
    visible = {0x2422, 0xA8F9, 0x10AF6, 0x1144E, 0x11945, 0x11C44, 0x11C45, 0x1BC9D}
    for code in range(sys.maxunicode + 1):
        words = unicodedata.name(chr(code), "").replace("-", " ").split()
        if not {"FILLER", "BLANK", "SELECTOR", "INHERENT"}.isdisjoint(words):
            assert is_printable(chr(code)) == (code in visible), hex(code)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [""]),
        ("  a b", ["  a b"]),
        ("  label a: one two", ["  label a:", "    … one", "    … two"]),
        ("a" * 12, ["a" * 12]),
        ("a" * 13, ["a" * 12, "    … a"]),
        ("  " + "a" * 22, ["  " + "a" * 10, "    … aaaaaa", "    … aaaaaa"]),
        ("日" * 7, ["日" * 6, "    … 日"]),
        (f"x{' ' * 11}OK: a", ["x", "    … OK: a"]),
        ("  " + " " * 20 + "x", ["", "    … x"]),
        ("a" * 11 + "  ", ["a" * 11]),
        ("  " + "a" * 10 + " ", ["  " + "a" * 10]),
    ],
)
def test_a_long_line_is_broken_into_marked_rows(text: str, rows: list[str]) -> None:
    assert wrap_text(text, 12, indent="    … ", breaks_words=True) == rows


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("see /a/long/path/with/more now", ["see", "  /a/long/path/with/more", "  now"]),
        ("/a/long/path/with/more", ["/a/long/path/with/more"]),
    ],
)
def test_a_word_is_left_whole(text: str, rows: list[str]) -> None:
    assert wrap_text(text, 12, indent="  ") == rows


@given(st.text("ab 日", max_size=60), st.booleans())
def test_rows_have_all_words_and_end(text: str, breaks: bool) -> None:  # noqa: FBT001
    rows = wrap_text(text, 12, indent="… ", breaks_words=breaks)
    joined = "".join(row.removeprefix("… ") if number else row for number, row in enumerate(rows))
    assert joined.replace(" ", "") == text.replace(" ", "")
    columns = [sum(2 if char == "日" else 1 for char in row) for row in rows]
    assert max(columns) <= 12 or not breaks


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("abcd", "'abcd'"),
        ("abcdefg", "'abcde…' (cut; 7 characters)"),
        ("a" * 1234, "'aaaaa…' (cut; 1,234 characters)"),
        (b"abcdefg", "b'abcd…' (cut; 7 characters)"),
        ([1, 2, 3, 4], "[1, 2,…] (cut; 12 characters)"),
        (None, "None"),
    ],
)
def test_a_value_that_is_cut_says_so(value: object, text: str) -> None:
    assert quote(value, 6) == text


def test_a_text_that_is_cut_says_so() -> None:
    assert [cut_text("abc", limit) for limit in (3, 2)] == ["abc", "ab… (cut; 3 characters)"]


def test_a_list_that_is_cut_says_how_many_are_left_out() -> None:
    lines = ["a", "b", "c"]

    assert list_some(lines, 3) == lines
    assert list_some(lines, 2) == ["a", "b", "and 1 more"]


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 entries"), (1, "1 entry"), (3, "3 entries"), (2000, "2,000 entries")]
)
def test_a_count_has_the_right_word(count: int, text: str) -> None:
    assert count_text(count, "entry", "entries") == text
    assert count_text(count, "pack") == text.replace("entries", "packs").replace("entry", "pack")
