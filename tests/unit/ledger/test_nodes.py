"""Proofs by stored nodes are those by leaves (format §28.8)."""

import pytest

from airgap.format import tree
from airgap.ledger.nodes import StoredTree, compute_nodes, count_nodes, part_of

LEAVES = [tree.hash_leaf(bytes([number])) for number in range(41)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 21, 40, 41])
def test_stored_nodes_give_the_same_roots_and_proofs(size: int) -> None:
    nodes = compute_nodes(LEAVES)
    stored = StoredTree(part_of(nodes))
    leaves = LEAVES[:size]
    assert len(nodes) == 32 * count_nodes(len(LEAVES))
    assert compute_nodes(leaves) == nodes[: 32 * count_nodes(size)]
    assert stored.compute_root(size) == tree.compute_root(leaves)
    for index in range(size):
        assert stored.prove_inclusion(index, size) == tree.prove_inclusion(leaves, index)
        assert stored.prove_consistency(index + 1, size) == tree.prove_consistency(
            leaves, index + 1
        )
