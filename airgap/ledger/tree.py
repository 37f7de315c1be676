"""A ledger as a tree: its entries by number, its roots and its proofs (format §28)."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from airgap.format import tree
from airgap.format.checkpoint import Checkpoint, make_origin
from airgap.format.fields import DIGEST_BYTES
from airgap.format.ledger import LENGTH_BYTES
from airgap.ledger.check import iterate_frames
from airgap.ledger.nodes import OFFSET_BYTES, StoredTree, compute_nodes, count_nodes

__all__ = ["LedgerTree", "NodeFiles", "make_node_files"]


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """The stored nodes of a ledger, and where its entries begin (format §28.8)."""

    nodes: bytes
    offsets: bytes

    def fit(self, entries: int, root: bytes) -> bool:
        """Tell whether they are of a ledger with this root."""
        is_long = len(self.offsets) >= entries * OFFSET_BYTES
        is_complete = is_long and len(self.nodes) >= count_nodes(entries) * DIGEST_BYTES
        return is_complete and StoredTree(self.nodes).compute_root(entries) == root


def make_node_files(ledger: bytes) -> NodeFiles:
    """Compute the nodes from the bytes of a ledger that is known to be intact."""
    offsets, leaves = bytearray(), []
    for at, raw in iterate_frames(ledger):
        offsets += at.to_bytes(OFFSET_BYTES, "little")
        leaves.append(tree.hash_leaf(raw))
    return NodeFiles(compute_nodes(leaves), bytes(offsets))


class LedgerTree:
    """The tree over the entries of a ledger that is known to be intact."""

    def __init__(self, site: str, ledger: bytes, files: NodeFiles, size: int) -> None:
        """Take a ledger of at least one entry, nodes that fit it, and the number of entries."""
        self.site = site
        self.size = size
        self._ledger = ledger
        self._tree = StoredTree(files.nodes)
        self._offsets = array("Q", files.offsets[: size * OFFSET_BYTES])
        if memoryview(b"\1\0").cast("H")[0] != 1:  # a machine that stores the high byte first
            self._offsets.byteswap()

    @property
    def origin(self) -> str:
        """The ledger's origin (format §28.2)."""
        return make_origin(self.site, self.read_entry(0))

    def read_entry(self, index: int) -> bytes:
        """Return the entry of leaf ``index``, from 0 on; nothing if its offset is wrong."""
        at = self._offsets[index]
        length = int.from_bytes(self._ledger[at : at + LENGTH_BYTES], "big")
        return self._ledger[at + LENGTH_BYTES : at + LENGTH_BYTES + length]

    def read_entries(self, start: int, end: int) -> list[bytes]:
        """Return the entries of the leaves from ``start`` to before ``end``."""
        return [self.read_entry(index) for index in range(start, end)]

    def find(self, part: bytes) -> Iterator[int]:
        """Yield the numbers of the leaves in whose entries something occurs."""
        at, last = -1, -1
        while (at := self._ledger.find(part, at + 1)) >= 0:
            index = bisect_right(self._offsets, at) - 1
            if last < index and part in self.read_entry(index):
                yield index
            last = max(last, index)

    def make_checkpoint(self, size: int) -> Checkpoint:
        """Return what the checkpoint over the first ``size`` entries says."""
        return Checkpoint(self.origin, size, self._tree.compute_root(size))

    def prove_inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the proof that leaf ``index`` is in the tree over ``size`` entries."""
        return self._tree.prove_inclusion(index, size)

    def prove_consistency(self, old: int, size: int) -> tuple[bytes, ...]:
        """Return the proof that the tree over ``size`` entries continues that over ``old``."""
        return self._tree.prove_consistency(old, size)
