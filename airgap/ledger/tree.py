"""A ledger as a tree: its entries by number, its roots and its proofs (format §28)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from airgap.errors import CorruptError
from airgap.format import tree
from airgap.format.checkpoint import Checkpoint, make_origin
from airgap.format.ledger import LENGTH_BYTES
from airgap.ledger.check import iterate_frames
from airgap.ledger.nodes import OFFSET_BYTES, ReadPart, StoredTree, compute_nodes, part_of

__all__ = ["LedgerParts", "LedgerTree", "NodeFiles", "StaleNodesError", "make_node_files"]

_FIRST_BATCH: Final = 16
_MOST_BATCH: Final = 4096
"""How many entries are read at once, looking for some: first few, then twice as many each time."""


class StaleNodesError(CorruptError):
    """Stored nodes do not lead to the root of their ledger: they are to be made again."""

    def __init__(self) -> None:
        """Say what a person sees if they do not fit even when they are made again."""
        super().__init__(
            "The ledger does not lead to the root in its state.", "See `airgap doctor`."
        )


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """The stored nodes of a ledger, and where its entries begin (format §28.8)."""

    nodes: bytes
    offsets: bytes


@dataclass(frozen=True, slots=True)
class LedgerParts:
    """What reads the files of a ledger, part by part."""

    ledger: ReadPart
    nodes: ReadPart
    offsets: ReadPart

    @classmethod
    def of(cls, ledger: bytes, files: NodeFiles) -> "LedgerParts":
        """Read parts of what is in memory."""
        return cls(part_of(ledger), part_of(files.nodes), part_of(files.offsets))


def make_node_files(ledger: bytes) -> NodeFiles:
    """Compute the nodes from the bytes of a ledger that is known to be intact."""
    offsets, leaves = bytearray(), []
    for at, raw in iterate_frames(ledger):
        offsets += at.to_bytes(OFFSET_BYTES, "little")
        leaves.append(tree.hash_leaf(raw))
    return NodeFiles(compute_nodes(leaves), bytes(offsets))


class LedgerTree:
    """The tree over the entries of a ledger that is known to be intact.

    Stored nodes may be damaged: every root and every proof is compared with ``root``, that of the
    state. What does not fit raises StaleNodesError.
    """

    def __init__(self, site: str, parts: LedgerParts, size: int, root: bytes) -> None:
        """Take the files of a ledger, the number of its entries, at least one, and its root."""
        self.site = site
        self.size = size
        self._root = root
        self._parts = parts
        self._tree = StoredTree(parts.nodes)

    @property
    def origin(self) -> str:
        """The ledger's origin (format §28.2)."""
        return make_origin(self.site, self.read_entry(0))

    def fits(self) -> bool:
        """Tell whether the stored nodes lead to the root; a single one below it may be wrong."""
        return self._tree.compute_root(self.size) == self._root

    def read_entry(self, index: int) -> bytes:
        """Return the entry of leaf ``index``, from 0 on; nothing if its offset is wrong."""
        at = self._read_offset(index)
        length = int.from_bytes(self._parts.ledger(at, LENGTH_BYTES), "big")
        return self._parts.ledger(at + LENGTH_BYTES, length)

    def read_entries(self, start: int, end: int) -> list[bytes]:
        """Return the entries of the leaves from ``start`` to before ``end``.

        Raises:
            StaleNodesError: the stored offsets do not say where they are.
        """
        if start >= end:
            return []
        first, last = self._read_offset(start), self._read_offset(end - 1)
        length = int.from_bytes(self._parts.ledger(last, LENGTH_BYTES), "big")
        frames = self._parts.ledger(first, max(0, last + LENGTH_BYTES + length - first))
        raws = [raw for _, raw in iterate_frames(frames)]
        if len(raws) != end - start or (start == 0 and first):
            raise StaleNodesError
        return raws

    def find(self, part: bytes, *, newest_first: bool = False) -> Iterator[int]:
        """Yield the numbers of the leaves in whose entries something occurs."""
        for start, end in self._list_batches(newest_first=newest_first):
            raws = self.read_entries(start, end)
            found = [start + number for number, raw in enumerate(raws) if part in raw]
            yield from reversed(found) if newest_first else found

    def make_checkpoint(self, size: int) -> Checkpoint:
        """Return what the checkpoint over the first ``size`` entries says."""
        root = self._tree.compute_root(size)
        self._demand(size, root)
        return Checkpoint(self.origin, size, root)

    def begins_with(self, seen: Checkpoint) -> bool:
        """Tell whether a checkpoint is of a tree that this one begins with."""
        if not seen.size:
            return seen.root == tree.compute_root(())
        return seen.size <= self.size and self.make_checkpoint(seen.size).root == seen.root

    def prove_inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the proof that leaf ``index`` is in the tree over ``size`` entries."""
        path, root = self._tree.prove_inclusion(index, size), self._tree.compute_root(size)
        leaf = tree.hash_leaf(self.read_entry(index))
        self._demand(size, root)
        if not tree.verify_inclusion(leaf, index, size, path, root):
            raise StaleNodesError
        return path

    def prove_consistency(self, old: int, size: int) -> tuple[bytes, ...]:
        """Return the proof that the tree over ``size`` entries continues that over ``old``."""
        path, root = self._tree.prove_consistency(old, size), self._tree.compute_root(size)
        self._demand(size, root)
        if not tree.verify_consistency(old, size, self._tree.compute_root(old), root, path):
            raise StaleNodesError
        return path

    def _demand(self, size: int, root: bytes) -> None:
        """Demand that the tree over all entries continues one over ``size`` with this root."""
        path = self._tree.prove_consistency(size, self.size)
        if not tree.verify_consistency(size, self.size, root, self._root, path):
            raise StaleNodesError

    def _list_batches(self, *, newest_first: bool) -> Iterator[tuple[int, int]]:
        done, count = 0, _FIRST_BATCH
        while done < self.size:
            count = min(count, self.size - done)
            start = self.size - done - count if newest_first else done
            yield start, start + count
            done, count = done + count, min(2 * count, _MOST_BATCH)

    def _read_offset(self, index: int) -> int:
        return int.from_bytes(self._parts.offsets(index * OFFSET_BYTES, OFFSET_BYTES), "little")
