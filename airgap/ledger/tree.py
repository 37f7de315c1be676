"""A ledger as a tree: its entries by number, its roots and its proofs (format §28)."""

from collections.abc import Sequence
from functools import cached_property

from airgap.format import tree
from airgap.format.checkpoint import Checkpoint, make_origin

__all__ = ["LedgerTree"]


class LedgerTree:
    """The tree over the entries of a ledger that is known to be intact."""

    def __init__(self, site: str, entries: Sequence[bytes]) -> None:
        """Take the entries, without their lengths: at least one."""
        self.site = site
        self.entries = entries

    @property
    def size(self) -> int:
        """The number of entries."""
        return len(self.entries)

    @property
    def origin(self) -> str:
        """The ledger's origin (format §28.2)."""
        return make_origin(self.site, self.entries[0])

    def read_entry(self, index: int) -> bytes:
        """Return the entry of leaf ``index``, from 0 on."""
        return self.entries[index]

    def make_checkpoint(self, size: int) -> Checkpoint:
        """Return what the checkpoint over the first ``size`` entries says."""
        return Checkpoint(self.origin, size, tree.compute_root(self._leaves[:size]))

    def prove_inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the proof that leaf ``index`` is in the tree over ``size`` entries."""
        return tree.prove_inclusion(self._leaves[:size], index)

    def prove_consistency(self, old: int, size: int) -> tuple[bytes, ...]:
        """Return the proof that the tree over ``size`` entries continues that over ``old``."""
        return tree.prove_consistency(self._leaves[:size], old)

    @cached_property
    def _leaves(self) -> list[bytes]:
        return list(map(tree.hash_leaf, self.entries))
