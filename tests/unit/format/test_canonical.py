"""Canonical msgpack (format §2.1)."""

from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.errors import CorruptError
from airgap.format import canonical, limits
from tests.support import forge

trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, limits.INTEGER)
    | st.text(max_size=40)
    | st.binary(max_size=300),
    lambda below: st.lists(below, max_size=20) | st.dictionaries(st.text(), below, max_size=20),
    max_leaves=30,
)


def decode(raw: bytes, limit: int = limits.ROOT_BYTES) -> Any:  # noqa: ANN401
    return canonical.decode(raw, limit=limit, what="test")


@settings(max_examples=100, derandomize=True, database=None, deadline=None)
@given(tree=trees)
def test_what_was_encoded_is_decoded_to_the_same(tree: object) -> None:
    raw = canonical.encode(tree)

    assert decode(raw) == tree
    assert raw == forge.pack(tree)


@pytest.mark.parametrize(
    "number", [0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**53 - 1]
)
def test_each_width_of_an_integer_is_read(number: int) -> None:
    assert decode(canonical.encode(number)) == number


@pytest.mark.parametrize("size", [0, 15, 16, 31, 32, 255, 256, 65535, 65536])
def test_each_width_of_a_header_is_read(size: int) -> None:
    for value in ("x" * size, b"x" * size, [None] * size):
        assert decode(canonical.encode(value)) == value == decode(forge.pack(value))


def test_keys_are_sorted_by_their_utf8_bytes() -> None:
    # U+FF5E sorts behind U+10000 by UTF-16, and before it by UTF-8.
    keys = ["", "a", "b", "\x7f", "\u00e9", "\uff5e", "\U00010000"]

    raw = canonical.encode(dict.fromkeys(reversed(keys), 0))

    assert list(decode(raw)) == keys


def test_a_tuple_is_an_array() -> None:
    assert canonical.encode((1, 2)) == canonical.encode([1, 2])


@pytest.mark.parametrize(
    "value",
    [1.5, -1, 2**53, {1: 2}, {b"a": 2}, {None: 1}, [set()], object(), bytearray(b"x"), {"a": -1}],
)
def test_what_the_format_does_not_have_is_not_encoded(value: object) -> None:
    with pytest.raises(TypeError):
        canonical.encode(value)


def test_no_subclass_passes_for_its_parent() -> None:
    class Number(int):
        """An integer that is more than one."""

    with pytest.raises(TypeError):
        canonical.encode(Number(1))


def test_a_document_is_as_long_as_its_limit_at_most() -> None:
    raw = canonical.encode("x" * 10)

    assert decode(raw, limit=len(raw)) == "x" * 10
    with pytest.raises(CorruptError, match="at most 10 are allowed"):
        decode(raw, limit=10)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xc0\xc0", id="two values"),
        pytest.param(b"\xcc\x01", id="a longer integer"),
        pytest.param(b"\xd9\x01a", id="a longer string"),
        pytest.param(b"\xff", id="a negative integer"),
        pytest.param(b"\xca\x00\x00\x00\x00", id="a float"),
        pytest.param(b"\xa1\xff", id="no UTF-8"),
        pytest.param(b"\x82\xa1b\x00\xa1a\x00", id="another order"),
        pytest.param(b"\x82\xa1a\x00\xa1a\x00", id="a key twice"),
        pytest.param(b"\x81\x00\x00", id="a key that is a number"),
        pytest.param(b"\x81\xc4\x01a\x00", id="a key that is bytes"),
        pytest.param(b"\x81\x90\x00", id="a key that is an array"),
        pytest.param(msgpack.packb(msgpack.ExtType(5, b"x")), id="an extension"),
        pytest.param(msgpack.packb(msgpack.Timestamp(1)), id="a timestamp"),
        pytest.param(b"\xdd\x00\x1e\x84\x81", id="too many elements"),
        pytest.param(b"\xdf\x00\x00\x03\xe9", id="too many pairs"),
        pytest.param(b"\x91" * 5000 + b"\xc0", id="too deep"),
        pytest.param(b"\x91" * 600 + b"\xc0", id="too deep to encode"),
    ],
)
def test_anything_but_the_one_encoding_is_corrupt(raw: bytes) -> None:
    with pytest.raises(CorruptError, match="The test is not") as caught:
        decode(raw)
    assert caught.value.hint


@pytest.mark.parametrize(("containers", "values"), [(3, 100), (100, 3)])
def test_what_a_document_holds_is_counted(
    containers: int, values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CONTAINERS", containers)
    monkeypatch.setattr(limits, "VALUES", values)

    assert decode(canonical.encode([[], {"a": 1}])) == [[], {"a": 1}]
    with pytest.raises(CorruptError, match="too many values"):
        decode(canonical.encode([[], [], [], []]))
