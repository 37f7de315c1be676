"""Strict access to maps (format §2.1, §2.2)."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.errors import CorruptError
from airgap.format import fields, limits
from airgap.format.fields import Fields


def wrap(value: object) -> Fields:
    """Wrap one value in a map of one field."""
    return Fields({"x": value}, frozenset({"x"}), "thing")


@pytest.mark.parametrize("value", [{}, {"y": 1}, {"x": 1, "y": 1}, [], None, "x"])
def test_a_map_has_exactly_its_fields(value: object) -> None:
    with pytest.raises(CorruptError, match="The thing must have exactly the fields x"):
        Fields(value, frozenset({"x"}), "thing")


Read = Callable[[Fields], object]

GOOD: list[tuple[Read, object, object]] = [
    (lambda all_: all_.text("x"), "words", "words"),
    (lambda all_: all_.text("x", 2), "\u00fc\u00fc", "\u00fc\u00fc"),
    (lambda all_: all_.integer("x"), 0, 0),
    (lambda all_: all_.integer("x"), 2**53 - 1, 2**53 - 1),
    (lambda all_: all_.integer("x", low=2, high=2), 2, 2),
    (lambda all_: all_.time("x"), limits.TIME, limits.TIME),
    (lambda all_: all_.time_or_none("x"), None, None),
    (lambda all_: all_.time_or_none("x"), 5, 5),
    (lambda all_: all_.boolean("x"), False, False),
    (lambda all_: all_.raw("x"), b"", b""),
    (lambda all_: all_.digest("x"), bytes(32), bytes(32)),
    (lambda all_: all_.array("x", 2), [1, "2"], [1, "2"]),
    (lambda all_: all_.table("x", 1), {"a": 1}, {"a": 1}),
    (lambda all_: all_.sorted_texts("x", 2), ["a", "b"], ("a", "b")),
    (lambda all_: all_.sorted_texts("x", 2), [], ()),
    (lambda all_: list(all_.u32("x", 2)), b"\0\0\0\1\xff\xff\xff\xff", [1, 2**32 - 1]),
    (lambda all_: all_.column("x", 3, 2), b"abcdef", b"abcdef"),
    (lambda all_: all_.expect("x", 1), 1, None),
]

BAD: list[tuple[Read, list[object]]] = [
    (lambda all_: all_.text("x"), [b"words", 1, None, "x" * 1025]),
    (lambda all_: all_.text("x", 2), ["xxx"]),
    (lambda all_: all_.integer("x"), [True, False, None, "1", 1.0, -1, 2**53]),
    (lambda all_: all_.integer("x", low=2, high=2), [1, 3]),
    (lambda all_: all_.time("x"), [limits.TIME + 1, None]),
    (lambda all_: all_.time_or_none("x"), [False, limits.TIME + 1]),
    (lambda all_: all_.boolean("x"), [0, 1, None, "true"]),
    (lambda all_: all_.raw("x"), ["", None, []]),
    (lambda all_: all_.digest("x"), [bytes(31), bytes(33), "0" * 32]),
    (lambda all_: all_.array("x", 2), [[1, 2, 3], {}, (), None]),
    (lambda all_: all_.table("x", 1), [{"a": 1, "b": 2}, []]),
    (lambda all_: all_.sorted_texts("x", 2), [["b", "a"], ["a", "a"], [1], ["a", "b", "c"]]),
    (lambda all_: all_.u32("x", 2), [bytes(3), bytes(12), [1]]),
    (lambda all_: all_.column("x", 3, 2), [b"ab", b"abcdefghi"]),
    (lambda all_: all_.expect("x", 1), [True, 2, "1", None]),
]


@pytest.mark.parametrize(("read", "value", "expected"), GOOD)
def test_a_value_of_the_right_type_is_returned(read: Read, value: object, expected: object) -> None:
    assert read(wrap(value)) == expected


@pytest.mark.parametrize(
    ("read", "value"), [(read, value) for read, values in BAD for value in values]
)
def test_a_value_of_another_type_or_size_is_corrupt(read: Read, value: object) -> None:
    with pytest.raises(CorruptError, match=r"^The thing .*'x'"):
        read(wrap(value))


@settings(max_examples=50, derandomize=True, database=None)
@given(values=st.lists(st.integers(0, 2**32 - 1)))
def test_a_column_of_integers_is_big_endian(values: list[int]) -> None:
    column = fields.encode_u32(values)

    assert column == b"".join(value.to_bytes(4, "big") for value in values)
    assert list(fields.decode_u32(column)) == values


def test_a_column_is_the_same_on_a_big_endian_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    little = list(fields.decode_u32(b"\0\0\0\1"))
    monkeypatch.setattr("sys.byteorder", "big")  # where array's own order is that of the format

    assert (little, list(fields.decode_u32(b"\0\0\0\1"))) == ([1], [1 << 24])
