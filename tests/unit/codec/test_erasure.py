"""The code of parity packs (format §20)."""

import random
from itertools import combinations, zip_longest

import pytest

from airgap.codec import erasure
from tests.support.stores import noise


def product(one: int, other: int) -> int:
    """Multiply in the field of format §20, as one does with a pencil."""
    whole = 0
    for bit in range(8):
        if other >> bit & 1:
            whole ^= one << bit
    for bit in range(15, 7, -1):
        if whole >> bit & 1:
            whole ^= 0x11D << (bit - 8)
    return whole


def reciprocal(value: int) -> int:
    return next(one for one in range(256) if product(value, one) == 1)


def as_documented(packs: list[bytes], row: int) -> bytes:
    """One parity pack, byte by byte by the formula."""
    factors = [reciprocal((len(packs) + row) ^ column) for column in range(len(packs))]
    made = []
    for column in zip_longest(*packs, fillvalue=0):
        whole = 0
        for factor, value in zip(factors, column, strict=True):
            whole ^= product(factor, value)
        made.append(whole)
    return bytes(made)


@pytest.mark.parametrize("library", [True, False], ids=["library", "tables"])
@pytest.mark.parametrize("length", [1, 7, 8, 333, 4096, 4112])
def test_parity_is_what_the_document_says(length: int, library: bool) -> None:  # noqa: FBT001
    packs = [noise(length, seed) for seed in range(5)]

    made = erasure.compute_parity(packs, 3, library=library)

    assert made == [as_documented(packs, row) for row in range(3)]


def test_these_are_the_bytes_of_version_1_for_ever() -> None:
    made = erasure.compute_parity([b"airgap", b"parity", b"\0\1\2\3\4\5"], 2)

    assert [one.hex() for one in made] == ["ec98156fea6c", "166b7c43452c"]


@pytest.mark.parametrize(("packs", "rows"), [(1, 1), (20, 2), (100, 10), (128, 4)])
def test_library_and_tables_make_the_same(packs: int, rows: int) -> None:
    assert erasure.is_fast(), "pyeclib is not installed"
    for length in (8192, 65536 + 8192, 2 * 65536 + 4096):
        pieces = [noise(length, seed) for seed in range(packs)]
        assert erasure.compute_parity(pieces, rows) == erasure.compute_parity(
            pieces, rows, library=False
        )


def test_any_packs_come_back_from_any_parity_packs_of_their_number() -> None:
    packs = [noise(64, seed) for seed in range(6)]
    parity = erasure.compute_parity(packs, 3)
    for count in (1, 2, 3):
        for missing in combinations(range(6), count):
            for rows in combinations(range(3), count):
                left = {one: packs[one] for one in range(6) if one not in missing}
                used = {row: parity[row] for row in rows}
                made = erasure.restore(6, left, used, missing)
                assert made == [packs[one] for one in missing], (missing, rows)


def test_the_largest_group_comes_back_from_parity_alone() -> None:
    packs = [noise(16, seed) for seed in range(128)]
    parity = erasure.compute_parity(packs, 128)
    rows = list(range(128))
    random.Random(20260102).shuffle(rows)  # noqa: S311

    assert erasure.restore(128, {}, {row: parity[row] for row in rows}, range(128)) == packs
