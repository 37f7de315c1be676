"""The nodes of a ledger's tree, in files beside the ledger (format §28.8).

They follow from the ledger, and nothing relies on them: who reads them compares the root that they
lead to with that of the state.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from airgap.format import tree
from airgap.format.fields import DIGEST_BYTES

__all__ = [
    "OFFSET_BYTES",
    "ReadPart",
    "StoredTree",
    "compute_nodes",
    "count_nodes",
    "list_completed",
    "part_of",
]

OFFSET_BYTES: Final = 8
ReadPart: TypeAlias = Callable[[int, int], bytes]
"""Returns so many bytes of a file from an offset on, and fewer at its end."""


def part_of(data: bytes) -> ReadPart:
    """Return what reads parts of bytes that are in memory."""
    return lambda offset, count: data[offset : offset + count]


def count_nodes(leaves: int) -> int:
    """Return how many nodes a tree of so many leaves has stored: those of its full subtrees."""
    return 2 * leaves - leaves.bit_count()


def list_completed(edge: list[bytes], count: int, leaf: bytes) -> Iterator[bytes]:
    """Yield the nodes that a leaf completes, itself first; ``edge`` becomes that with the leaf."""
    node = leaf
    yield node
    while count & 1:
        node = tree.join_nodes(edge.pop(), node)
        count >>= 1
        yield node
    edge.append(node)


def compute_nodes(leaves: Sequence[bytes]) -> bytes:
    """Return all nodes of a tree, in the order in which they are completed."""
    edge: list[bytes] = []
    return b"".join(
        node for count, leaf in enumerate(leaves) for node in list_completed(edge, count, leaf)
    )


class StoredTree:
    """A tree by its stored nodes, of which each proof needs a few."""

    def __init__(self, read_nodes: ReadPart) -> None:
        """Take what reads the nodes, which are in the order in which they are completed."""
        self._read_nodes = read_nodes

    def compute_root(self, size: int) -> bytes:
        """Return the root over the first ``size`` leaves."""
        return self._fold(0, size)

    def prove_inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the digests that lead from leaf ``index`` to the root over ``size`` leaves."""
        return tuple(self._fold(*part) for part in tree.list_inclusion(index, size))

    def prove_consistency(self, old: int, size: int) -> tuple[bytes, ...]:
        """Return the digests that show that a tree begins with its ``old`` first leaves."""
        return tuple(self._fold(*part) for part in tree.list_consistency(old, size))

    def _fold(self, start: int, end: int) -> bytes:
        """Return the root over a part that begins where a subtree begins."""
        edge, at = [], start
        for level in range((end - start).bit_length() - 1, -1, -1):
            if (end - start) >> level & 1:
                edge.append(self._read(level, at >> level))
                at += 1 << level
        return tree.fold_edge(edge)

    def _read(self, level: int, number: int) -> bytes:
        """Return a stored node: it is written right after the last leaf below it."""
        last = (number << level) + (1 << level) - 1
        at = (count_nodes(last) + level) * DIGEST_BYTES
        return self._read_nodes(at, DIGEST_BYTES)
