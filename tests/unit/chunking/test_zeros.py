"""Shared zeros are cut and hashed like any others, and are not looked at."""

import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.chunking import content
from airgap.chunking.sizes import LARGEST, PIECE
from airgap.chunking.zeros import digest_chunk, is_zeros, zeros
from tests.support import stores

NOISE = stores.noise(3 * PIECE)
BLOCKS = st.lists(
    st.one_of(
        st.just(zeros(PIECE)),
        st.just(zeros(PIECE)),
        st.builds(
            lambda start, size: NOISE[start : start + size],
            st.integers(0, 2 * PIECE),
            st.integers(1, PIECE),
        ),
        st.integers(1, PIECE).map(bytes),
    ),
    max_size=14,
)


@settings(max_examples=60, deadline=None)
@given(blocks=BLOCKS)
def test_shared_zeros_are_cut_where_others_are(blocks: list[bytes]) -> None:
    copies = (bytes(bytearray(block)) for block in blocks)

    assert list(content.cut(iter(blocks))) == list(content.cut(copies))


@pytest.mark.parametrize("before", [0, 1, 7, 8, PIECE - 1])
def test_a_cut_that_ends_in_zeros_is_where_it_is_without_them(before: int) -> None:
    inverse = pow(0x9E37_79B9_7F4A_7C15, -1, 2**64)
    word = ((0x5A5A5 << 44) * inverse % 2**64).to_bytes(8, "little")
    data = NOISE[:before] + word + NOISE[: PIECE - 8 - before]
    blocks = [zeros(PIECE), data, *[zeros(PIECE)] * 9, data]

    cut = list(content.cut(iter(blocks)))

    assert cut == list(content.cut(iter([b"".join(blocks)])))
    assert len(cut) > 3


def test_a_long_run_is_one_object_again_and_again() -> None:
    chunks = list(content.cut(iter([NOISE, *[zeros(PIECE)] * 40])))

    assert sum(map(is_zeros, chunks)) >= 8
    assert {len(chunk) for chunk in chunks if is_zeros(chunk)} == {LARGEST}


def test_their_digest_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = hashlib.sha256(bytes(LARGEST)).digest()
    assert digest_chunk(zeros(LARGEST)) == expected

    monkeypatch.setattr(hashlib, "sha256", _refuse)

    assert digest_chunk(zeros(LARGEST)) == expected


@pytest.mark.parametrize("data", [b"", b"\0", bytes(PIECE), b"x" * PIECE])
def test_other_bytes_are_not_taken_for_them(data: bytes) -> None:
    assert not is_zeros(data)
    assert digest_chunk(data) == hashlib.sha256(data).digest()


def _refuse(*_: object) -> Iterator[None]:
    raise AssertionError("hashed again")
