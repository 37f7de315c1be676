"""What a receipt takes from a ledger: the entry of a bundle, and the tree over all entries."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from airgap.format.checkpoint import Checkpoint
from airgap.format.ledger_entry import Entry, decode_entry
from airgap.format.ledger_view import EarlierPoint
from airgap.format.receipt import EVENTS
from airgap.ledger.tree import LedgerTree

__all__ = ["LedgerReading", "prove_sizes"]

_MADE: Final = b"receipt-made"
_CAME: Final = frozenset({*EVENTS, "carried"})
"""What says that a bundle came: after a reset, also the numbers of the ledger before."""
_RECENT: Final = 10_000
"""How many of the last entries are looked at for gaps and holds."""


@dataclass(frozen=True, slots=True)
class LedgerReading:
    """A ledger without the entry that a receipt passes over at its end (format §29.2)."""

    tree: LedgerTree
    ends_with_receipt: bool
    """Whether a ``receipt-made`` follows, which the checkpoint does not cover."""

    @classmethod
    def of(cls, tree: LedgerTree) -> "LedgerReading":
        """Read a ledger that is consistent."""
        return cls(tree, _is_made(tree.read_entry(tree.size - 1)))

    @property
    def size(self) -> int:
        """The number of entries that the checkpoint covers."""
        return self.tree.size - self.ends_with_receipt

    def make_checkpoint(self) -> Checkpoint:
        """Return the checkpoint, which is not signed yet."""
        return self.tree.make_checkpoint(self.size)

    def find_entry(self, bundle: bytes, root: int, *, passed: bool) -> int | None:
        """Return the index of the last entry that says what became of a bundle.

        An import must have been judged by this version of the root.
        """
        events = EVENTS[:-1] if passed else EVENTS[-1:]
        for index in self.tree.find(bundle, newest_first=True):
            entry = self.decode(index)
            fits = entry.root == root or not passed
            if entry.bundle == bundle and entry.event in events and fits and index < self.size:
                return index
        return None

    def decode(self, index: int) -> Entry:
        """Return an entry."""
        return decode_entry(self.tree.read_entry(index))

    def prove_earlier(self, acknowledged: int, most: int) -> tuple[EarlierPoint, ...]:
        """Prove that the ledger continues what it was at the last receipts, and at another size."""
        made = (
            index
            for index in self.tree.find(_MADE, newest_first=True)
            if index < self.size and _is_made(self.tree.read_entry(index))
        )
        return prove_sizes(self.tree, {*islice(made, most), acknowledged}, self.size)

    def list_recent(self) -> Iterator[Entry]:
        """Yield the last entries about bundles that came, the newest first."""
        start = max(0, self.size - _RECENT)
        for raw in reversed(self.tree.read_entries(start, self.size)):
            if any(event.encode() in raw for event in _CAME):  # decoding all would take a second
                entry = decode_entry(raw)
                if entry.bundle is not None and entry.event in _CAME:
                    yield entry


def prove_sizes(tree: LedgerTree, sizes: set[int], size: int) -> tuple[EarlierPoint, ...]:
    """Prove that the tree over ``size`` entries continues those over fewer; the largest first."""
    return tuple(
        EarlierPoint(old, tree.prove_consistency(old, size))
        for old in sorted(sizes, reverse=True)
        if 0 < old < size
    )


def _is_made(raw: bytes) -> bool:
    return _MADE in raw and decode_entry(raw).event == "receipt-made"
