"""Whether two receipts are of one ledger that only grew (format §29.4). Pure.

A site's ledger lies on the machine that writes it: a copy that is put back looks whole. Who has an
older checkpoint of it finds out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from airgap.format import limits
from airgap.format.checkpoint import Checkpoint
from airgap.format.ledger_view import EarlierPoint
from airgap.format.tree import verify_consistency

__all__ = ["Continuity", "LedgerView", "compare_views"]

Continuity = Literal["newer", "same", "older", "rewritten", "unknown"]


@dataclass(frozen=True, slots=True)
class LedgerView:
    """What a receipt says of a ledger: a checkpoint, and proofs from the receipts before it."""

    checkpoint: Checkpoint
    earlier: Sequence[EarlierPoint]
    """The largest first."""


def compare_views(kept: LedgerView, other: LedgerView) -> Continuity:
    """Compare another view of a ledger with the one that is kept; their origins are the same."""
    old, new = kept.checkpoint, other.checkpoint
    if old.size == new.size:
        return "same" if old.root == new.root else "rewritten"
    if old.size < new.size:
        return _prove(old, other) or "newer"
    return _prove(new, kept) or "older"


def _prove(old: Checkpoint, new: LedgerView) -> Literal["rewritten", "unknown"] | None:
    """Return what is wrong unless the newer view proves that it continues the older one."""
    path = next((proof.path for proof in new.earlier if proof.size == old.size), None)
    if path is not None:
        point = new.checkpoint
        fits = verify_consistency(old.size, point.size, old.root, point.root, path)
        return None if fits else "rewritten"
    # A receipt names the 16 before it: a gap in them is not an old receipt, but another ledger.
    last = new.earlier[: limits.RECEIPT_EARLIER]
    is_full = len(last) == limits.RECEIPT_EARLIER
    return "unknown" if is_full and old.size < last[-1].size else "rewritten"
