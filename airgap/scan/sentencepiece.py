"""Vocabularies of SentencePiece (`tokenizer.model`): pieces of texts, and how a text is cut."""

import re
from typing import Final

from airgap.scan.contents import Content
from airgap.scan.pickle_values import demand
from airgap.scan.protobuf import read_fields
from airgap.scan.verdicts import Judgment, Unreadable, inert

__all__ = ["judge_sentencepiece", "looks_like_sentencepiece"]

_PIECES, _SPECIFICATIONS = 1, frozenset({2, 3, 4, 5})
_PIECE: Final = re.compile(
    rb"\n(?:([\x01-\x7f])|([\x80-\xff])\x01)(.*)\x15....(?:\x18[\x01-\x06])?", re.DOTALL
)
"""A text after its length of one byte or of two, a score, and a type."""
_LONGEST: Final = 512


def looks_like_sentencepiece(content: Content) -> bool:
    """Tell whether a content begins with a piece, as all such vocabularies do."""
    start = content.read(0, 2)
    if start[:1] != b"\n" or len(start) != 2 or start[1] > 127:  # noqa: PLR2004 -- one byte
        return False
    return _is_piece(content.read(2, start[1]))


def _is_piece(data: bytes) -> bool:
    matched = _PIECE.fullmatch(data)
    if matched is None:
        return False
    short, long, text = matched.groups()
    return len(text) == (short or long)[0]


def judge_sentencepiece(content: Content) -> Judgment:
    """Judge a vocabulary: pieces, and specifications whose fields are not looked at."""
    for field in read_fields(content):
        if field.content is None:
            raise Unreadable(f"the field {field.number} is a number")
        if field.number == _PIECES:
            _check_piece(field.content)
        else:
            demand(field.number in _SPECIFICATIONS, f"it has the field {field.number}")
            for _ in read_fields(field.content):
                pass
    return inert("SentencePiece")


def _check_piece(piece: Content) -> None:
    demand(_is_piece(piece.read_whole(_LONGEST)), "a piece is not a text with a score")
