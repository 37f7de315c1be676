"""What a receipt takes from a ledger: the entry of a bundle, and the tree over all entries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from airgap.format import tree
from airgap.format.checkpoint import Checkpoint, make_origin
from airgap.format.ledger_entry import Entry, decode_entry
from airgap.format.ledger_view import EarlierPoint
from airgap.format.receipt import EVENTS

__all__ = ["LedgerReading"]

_MADE: Final = b"receipt-made"
_RECENT: Final = 10_000
"""How many of the last entries are decoded for gaps and holds."""


@dataclass(frozen=True)
class LedgerReading:
    """The entries of a ledger, as bytes, without those that a receipt passes over at its end."""

    site: str
    raws: Sequence[bytes]
    leaves: Sequence[bytes]
    ends_with_receipt: bool
    """Whether a ``receipt-made`` follows, which the checkpoint does not cover (format §29.2)."""

    @classmethod
    def of(cls, site: str, raws: Sequence[bytes]) -> "LedgerReading":
        """Read a ledger that is consistent."""
        ends = _is_made(raws[-1])
        raws = raws[:-1] if ends else raws
        return cls(site, raws, [tree.hash_leaf(raw) for raw in raws], ends)

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint, which is not signed yet."""
        origin = make_origin(self.site, self.raws[0])
        return Checkpoint(origin, len(self.raws), tree.compute_root(self.leaves))

    def find_entry(self, bundle: bytes, *, passed: bool) -> int | None:
        """Return the index of the last entry that says what became of a bundle."""
        events = EVENTS[:-1] if passed else EVENTS[-1:]
        for index in range(len(self.raws) - 1, -1, -1):
            if bundle in self.raws[index]:  # decoding every entry would take seconds
                entry = decode_entry(self.raws[index])
                if entry.bundle == bundle and entry.event in events:
                    return index
        return None

    def decode(self, index: int) -> Entry:
        """Return an entry."""
        return decode_entry(self.raws[index])

    def prove_earlier(self, acknowledged: int, most: int) -> tuple[EarlierPoint, ...]:
        """Prove that the ledger continues what it was at the last receipts, and at another size."""
        made = [index for index, raw in enumerate(self.raws) if _is_made(raw)]
        sizes = {*made[-most:], acknowledged}
        return tuple(
            EarlierPoint(size, tree.prove_consistency(self.leaves, size))
            for size in sorted(sizes, reverse=True)
            if 0 < size < len(self.leaves)
        )

    def list_recent(self) -> Iterator[Entry]:
        """Yield the last entries about bundles, the newest first."""
        for raw in reversed(self.raws[-_RECENT:]):
            entry = decode_entry(raw)
            if entry.bundle is not None and entry.event in EVENTS:
                yield entry


def _is_made(raw: bytes) -> bool:
    return _MADE in raw and decode_entry(raw).event == "receipt-made"
