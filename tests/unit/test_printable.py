"""Text that others chose cannot control a terminal, whatever characters it has."""

import sys

import pytest

from airgap.printable import fit_line, make_printable


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
    ("text", "line"),
    [
        ("", ""),
        (" a \t\n\xa0\u3000 b ", "a b"),
        ("a" * 10, "a" * 10),
        ("a" * 11, "a" * 9 + "…"),
        ("a" * 8 + " bc", "a" * 8 + "…"),
        ("日" * 5, "日" * 5),
        ("日" * 6, "日" * 4 + "…"),
        ("a\x1b[2Jbcdefg", r"a\x1b[2Jb…"),
    ],
)
def test_a_text_that_others_chose_takes_one_line(text: str, line: str) -> None:
    assert fit_line(text, 10) == line
