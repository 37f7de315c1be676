"""Licence expressions of SPDX: ``(MIT OR Apache-2.0) AND BSD-3-Clause`` (format §30.2)."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from airgap.bom.spdx import find_spdx_id

__all__ = ["evaluate", "parse_expression"]

T = TypeVar("T")

_MOST_CHARACTERS: Final = 1_000
_MOST_WORDS: Final = 200
_WORD: Final = re.compile(r"\s*(?:([()])|([A-Za-z0-9][-A-Za-z0-9.+:]*))")
_RANKS: Final = {"AND": 2, "OR": 1}


def parse_expression(text: str) -> tuple[str, ...]:
    """Return an expression in postfix order: licences, ``AND`` and ``OR``; empty if it is none.

    A licence is an identifier of SPDX, one with ``+``, ``LicenseRef-…``, or ``ID WITH ID``. Words
    between them are read in any case. Takes linear time.

    >>> parse_expression("mit OR (apache-2.0 and 0bsd)")
    ('MIT', 'Apache-2.0', '0BSD', 'AND', 'OR')
    """
    try:
        return tuple(_order(list(_join_exceptions(_split(text)))))
    except ValueError:
        return ()


def evaluate(
    postfix: Sequence[str],
    value_of: Callable[[str], T],
    both: Callable[[T, T], T],
    either: Callable[[T, T], T],
) -> T:
    """Compute the value of an expression, which is not empty, from those of its licences."""
    stack: list[T] = []
    for word in postfix:
        if word in _RANKS:
            right, left = stack.pop(), stack.pop()
            stack.append(both(left, right) if word == "AND" else either(left, right))
        else:
            stack.append(value_of(word))
    return stack[0]


def _split(text: str) -> Iterator[str]:
    if len(text) > _MOST_CHARACTERS:
        raise ValueError("too long")
    text, at, count = text.strip(), 0, 0
    while at < len(text):
        match = _WORD.match(text, at)
        count += 1
        if match is None or count > _MOST_WORDS:
            raise ValueError("not an expression")
        yield match[0].strip()
        at = match.end()


def _join_exceptions(words: Iterator[str]) -> Iterator[str]:
    """Yield the words; a licence with its exception is one, and identifiers have their case."""
    licence = ""
    for word in words:
        if word.upper() == "WITH" and licence:
            licence = f"{licence} WITH {_demand_name(next(words, ''))}"
            continue
        if licence:
            yield licence
            licence = ""
        if word in "()" or word.upper() in _RANKS:
            yield word.upper()
        else:
            licence = _demand_licence(word)
    if licence:
        yield licence


def _demand_name(word: str) -> str:
    if not word or word in "()" or word.upper() in (*_RANKS, "WITH"):
        raise ValueError("no name")
    return word


def _demand_licence(word: str) -> str:
    _demand_name(word)
    if word.lower().startswith(("licenseref-", "documentref-")):
        return word
    identifier = find_spdx_id(word)
    if not identifier and word.endswith("+"):
        base = find_spdx_id(word[:-1])
        identifier = f"{base}+" if base else ""
    if not identifier:
        raise ValueError("no licence of SPDX")
    return identifier


def _order(words: Sequence[str]) -> Iterator[str]:
    """Yield the words in postfix order; raises ValueError if they are not an expression."""
    waiting: list[str] = []
    is_operand_next = True
    for word in words:
        if is_operand_next == (word in _RANKS or word == ")"):
            raise ValueError("two licences, or two words between them")
        if word == "(":
            waiting.append(word)
        elif word == ")":
            yield from _close(waiting)
        elif word in _RANKS:
            while waiting and _RANKS.get(waiting[-1], 0) >= _RANKS[word]:
                yield waiting.pop()
            waiting.append(word)
            is_operand_next = True
        else:
            yield word
            is_operand_next = False
    if is_operand_next or "(" in waiting:
        raise ValueError("it does not end")
    yield from reversed(waiting)


def _close(waiting: list[str]) -> Iterator[str]:
    while waiting:
        word = waiting.pop()
        if word == "(":
            return
        yield word
    raise ValueError("a parenthesis that was not opened")
