"""Codec 3: element differences (format §5.4)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.codec import difference, table
from airgap.errors import CorruptError
from tests.support import stores


@settings(max_examples=80, derandomize=True, deadline=None)
@given(st.binary(max_size=3000), st.sampled_from(difference.WIDTHS), st.integers(0, 9))
def test_what_is_stored_comes_back(plain: bytes, width: int, seed: int) -> None:
    base = stores.noise(len(plain), seed)

    stored = difference.encode(plain, base, width)

    assert difference.decode(stored, base, len(plain)) == plain


@pytest.mark.parametrize("width", difference.WIDTHS)
def test_the_ends_of_the_range_come_back(width: int) -> None:
    low, high = bytes(width), b"\xff" * width
    base, plain = low + high + low + high, high + low + low + high

    assert difference.decode(difference.encode(plain, base, width), base, len(plain)) == plain


def test_weights_that_were_nudged_take_a_third() -> None:
    drawn = np.random.Generator(np.random.PCG64(7))
    weights = (drawn.standard_normal(500_000) * 0.02).astype("<f4")
    nudged = (weights + 0.0002 * drawn.standard_normal(500_000)).astype("<f4")
    old, new = ((one.view("<u4") >> 16).astype("<u2").tobytes() for one in (weights, nudged))

    stored = table.encode_difference(new, old, 2)

    assert len(stored) < 0.35 * len(new)
    assert table.decode(table.DIFFERENCE, stored, len(new), old) == new


def test_a_base_of_another_length_is_refused() -> None:
    with pytest.raises(CorruptError, match="base of 3"):
        difference.decode(difference.encode(b"abcd", b"abcx", 2), b"abc", 4)


def test_a_cut_off_difference_is_refused_at_every_length() -> None:
    stored = difference.encode(stores.noise(64, 1), stores.noise(64, 2), 4)

    for length in range(len(stored)):
        with pytest.raises(CorruptError):
            difference.decode(stored[:length], stores.noise(64, 2), 64)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.binary(max_size=200), st.integers(1, 100))
def test_any_bytes_are_a_difference_of_that_length_or_corrupt(stored: bytes, length: int) -> None:
    try:
        plain = difference.decode(stored, bytes(length), length)
    except CorruptError:
        return
    assert len(plain) == length
