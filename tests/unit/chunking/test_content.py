"""Cuts by content: they tile the file, and stay where they are when bytes are put in front."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.chunking import content, cutters
from airgap.chunking.sizes import LARGEST, SMALLEST
from airgap.format import limits
from tests.support import stores

NOISE = stores.noise(12 * limits.MIB)


def pieces(data: bytes, sizes: Iterator[int]) -> Iterator[bytes]:
    """Give a file as a reader might: in pieces of these sizes."""
    start = 0
    while start < len(data):
        size = next(sizes)
        yield data[start : start + size]
        start += size


def cut(data: bytes) -> list[bytes]:
    with stores.open_file(data) as file:
        return [piece.plain for piece in cutters.cut(file)]


@pytest.mark.parametrize(
    "size",
    [0, 1, SMALLEST - 1, SMALLEST, SMALLEST + 1, LARGEST, LARGEST + 1, 3 * LARGEST, len(NOISE)],
)
@pytest.mark.parametrize("fill", ["noise", "zeros"])
def test_chunks_tile_the_file(size: int, fill: str) -> None:
    data = NOISE[:size] if fill == "noise" else bytes(size)

    chunks = cut(data)

    assert b"".join(chunks) == data
    assert all(1 <= len(chunk) <= LARGEST for chunk in chunks)
    assert all(len(chunk) >= SMALLEST for chunk in chunks[:-1])
    assert len(chunks) <= cutters.max_pieces(size)


@pytest.mark.parametrize("seed", range(4))
def test_where_it_is_cut_does_not_depend_on_how_it_is_read(seed: int) -> None:
    data = NOISE[: 5 * limits.MIB + 123]
    some = random.Random(seed)  # noqa: S311  (the same at every run)
    sizes = iter(lambda: some.choice((1, 7, 4096, 100_000, 1_000_003)), None)

    assert list(content.cut(pieces(data, sizes))) == cut(data)


@settings(max_examples=12, derandomize=True, database=None, deadline=None)
@given(prefix=st.binary(min_size=1, max_size=200), at=st.integers(0, 2 * limits.MIB))
def test_bytes_that_are_put_in_change_few_chunks(prefix: bytes, at: int) -> None:
    before = cut(NOISE)

    after = cut(NOISE[:at] + prefix + NOISE[at:])

    new = set(after) - set(before)
    assert len(new) <= 4
    assert len(before) > 8


def test_a_file_that_ends_at_a_cut_has_no_empty_chunk() -> None:
    first, *_ = cut(NOISE)

    assert cut(first) == [first]


def test_chunks_are_about_as_long_as_they_should_be() -> None:
    average = len(NOISE) / len(cut(NOISE))

    assert SMALLEST < average < LARGEST / 2


def test_a_file_that_repeats_itself_repeats_its_chunks() -> None:
    assert len(set(cut(bytes(20 * limits.MIB)))) == 1
