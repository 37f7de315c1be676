"""Expressions of SPDX: what they are made of, and what follows from their parts."""

from operator import and_, or_

import pytest

from airgap.bom.expression import evaluate, parse_expression
from airgap.bom.spdx import find_spdx_id


@pytest.mark.parametrize(
    ("text", "postfix"),
    [
        ("MIT", "MIT"),
        ("mit or apache-2.0", "MIT Apache-2.0 OR"),
        ("MIT AND Apache-2.0 OR ISC", "MIT Apache-2.0 AND ISC OR"),
        ("MIT AND (Apache-2.0 OR ISC)", "MIT Apache-2.0 ISC OR AND"),
        ("(MIT)", "MIT"),
        ("GPL-2.0+", "GPL-2.0+"),
        ("Apache-2.0+", "Apache-2.0+"),
        ("LicenseRef-mine AND MIT", "LicenseRef-mine MIT AND"),
    ],
)
def test_an_expression_is_read(text: str, postfix: str) -> None:
    assert " ".join(parse_expression(text)) == postfix


def test_a_licence_and_its_exception_are_one() -> None:
    text = "GPL-2.0-only with Classpath-exception-2.0 OR MIT"

    assert parse_expression(text) == ("GPL-2.0-only WITH Classpath-exception-2.0", "MIT", "OR")


@pytest.mark.parametrize(
    "text",
    [
        *("", "MIT ISC", "MIT AND", "AND MIT", "(MIT", "MIT)", "()", "MIT OR OR ISC", "MIT (ISC)"),
        *("MIT WITH", "MIT WITH OR", "WITH MIT", "MIT WITH (", "nonsense", "MIT; ISC", "nonsense+"),
        *("(" * 150 + "MIT" + ")" * 150, "MIT OR " * 150 + "MIT", "MIT\x00"),
    ],
)
def test_what_is_no_expression_has_no_parts(text: str) -> None:
    assert parse_expression(text) == ()


def test_and_needs_both_and_or_takes_either() -> None:
    good = {"MIT": True, "ISC": False, "0BSD": True}
    postfix = parse_expression("MIT AND ISC OR MIT AND 0BSD")

    assert evaluate(postfix, good.__getitem__, and_, or_)
    assert not evaluate(parse_expression("MIT AND ISC"), good.__getitem__, and_, or_)


@pytest.mark.parametrize("text", ["\uff2dIT", "mit\u212a", "m" * 200, "", "mit-"])
def test_a_text_that_only_looks_like_an_identifier_is_none(text: str) -> None:
    assert find_spdx_id(text) == ""
