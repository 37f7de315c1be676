"""The tree over a ledger's entries (format §28.1)."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.format import tree

LEAVES = [tree.hash_leaf(bytes([number])) for number in range(70)]


def plain_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, as it is written there."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    left, right = plain_root(leaves[:half]), plain_root(leaves[half:])
    return hashlib.sha256(b"\1" + left + right).digest()


# Roots over DATA that logs of certificates compute, too.
KNOWN = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
DATA = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]


@pytest.mark.parametrize("size", KNOWN)
def test_roots_are_those_that_other_programs_compute(size: int) -> None:
    assert tree.compute_root(map(tree.hash_leaf, DATA[:size])).hex() == KNOWN[size]


@pytest.mark.parametrize("size", range(len(LEAVES)))
def test_a_root_is_that_of_the_definition(size: int) -> None:
    assert tree.compute_root(LEAVES[:size]) == plain_root(LEAVES[:size])


@pytest.mark.parametrize("size", range(1, 41))
def test_every_leaf_is_proven_and_no_other_one(size: int) -> None:
    leaves, root = LEAVES[:size], tree.compute_root(LEAVES[:size])
    for index in range(size):
        path = tree.prove_inclusion(leaves, index)
        assert tree.verify_inclusion(leaves[index], index, size, path, root)
        assert not tree.verify_inclusion(LEAVES[-1], index, size, path, root)
        for other in (index - 1, index + 1, size, -1):
            assert not tree.verify_inclusion(leaves[index], other, size, path, root)
        assert not tree.verify_inclusion(leaves[index], index, size, (*path, root), root)
        if path:
            assert not tree.verify_inclusion(leaves[index], index, size, path[:-1], root)


@pytest.mark.parametrize("size", range(1, 41))
def test_every_beginning_is_proven_and_no_other_one(size: int) -> None:
    leaves, root = LEAVES[:size], tree.compute_root(LEAVES[:size])
    for old in range(1, size + 1):
        old_root = tree.compute_root(leaves[:old])
        path = tree.prove_consistency(leaves, old)
        assert tree.verify_consistency(old, size, old_root, root, path)
        assert not tree.verify_consistency(old, size, LEAVES[-1], root, path)
        assert not tree.verify_consistency(old, size, old_root, LEAVES[-1], path)
        assert not tree.verify_consistency(old, size, old_root, root, (*path, root))
        if path:
            assert not tree.verify_consistency(old, size, old_root, root, path[:-1])


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_a_changed_entry_of_the_past_cannot_be_proven(
    old: int, more: int, draw: st.DataObject
) -> None:
    size = min(old + more, len(LEAVES))
    old = min(old, size - 1) or 1
    changed = list(LEAVES[:size])
    place = draw.draw(st.integers(0, old - 1))
    changed[place] = tree.hash_leaf(b"another")
    old_root, root = tree.compute_root(LEAVES[:old]), tree.compute_root(changed)
    path = tree.prove_consistency(changed, old)
    assert not tree.verify_consistency(old, size, old_root, root, path)


def test_what_no_tree_has_is_refused() -> None:
    with pytest.raises(ValueError, match="no leaf 3"):
        tree.prove_inclusion(LEAVES[:3], 3)
    with pytest.raises(ValueError, match="does not continue one of 4"):
        tree.prove_consistency(LEAVES[:3], 4)
    assert not tree.verify_consistency(0, 3, tree.EMPTY_ROOT, LEAVES[0], ())
    assert not tree.verify_consistency(3, 4, LEAVES[0], LEAVES[1], ())
