"""Two receipts of one ledger fit only if one continues the other (format §29.4)."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.format import tree
from airgap.format.checkpoint import Checkpoint
from airgap.format.ledger_view import EarlierPoint
from airgap.ledger.continuity import LedgerView, compare_views
from tests.support.receipts import LEAVES, ORIGIN

FORKED = (*LEAVES[:6], *(tree.hash_leaf(b"other %d" % number) for number in range(34)))
SIZES = [*range(2, 40, 2)]


def view(
    size: int, leaves: Sequence[bytes] = LEAVES, *, sizes: Sequence[int] = SIZES
) -> LedgerView:
    """Make the view of a receipt at ``size``, when there were receipts at ``sizes`` before."""
    before = [earlier for earlier in sorted(sizes, reverse=True) if earlier < size][:16]
    return LedgerView(
        Checkpoint(ORIGIN, size, tree.compute_root(leaves[:size])),
        [
            EarlierPoint(earlier, tree.prove_consistency(leaves[:size], earlier))
            for earlier in before
        ],
    )


def test_a_receipt_that_continues_an_older_one_is_newer_and_the_older_one_older() -> None:
    assert compare_views(view(8), view(12)) == "newer"
    assert compare_views(view(12), view(8)) == "older"
    assert compare_views(view(12), view(12)) == "same"


@pytest.mark.parametrize("known", [8, 10, 12, 14])
@pytest.mark.parametrize("size", [8, 10, 12, 14])
def test_a_ledger_that_was_restored_and_went_on_is_found_at_any_size(known: int, size: int) -> None:
    assert compare_views(view(known), view(size, FORKED)) == "rewritten"


def test_a_restored_ledger_with_receipts_at_other_sizes_is_found_too() -> None:
    for size in (7, 9, 11, 13):
        forked = view(size, FORKED, sizes=[2, 4, 6, 7, 9, 11])
        assert compare_views(view(10), forked) == "rewritten"


def test_of_receipts_with_sixteen_between_them_nothing_can_be_said() -> None:
    assert compare_views(view(2), view(38)) == "unknown"
    assert compare_views(view(38), view(2)) == "unknown"
    assert compare_views(view(6), view(38)) == "newer"


@settings(max_examples=40, deadline=None)
@given(
    fork=st.integers(0, 10),
    sizes=st.sets(st.integers(1, 20), min_size=1, max_size=12),
    known=st.integers(1, 20),
    others=st.sets(st.integers(1, 20), max_size=8),
    size=st.integers(1, 20),
)
def test_no_other_ledger_passes_for_the_one_that_is_known(
    fork: int, sizes: set[int], known: int, others: set[int], size: int
) -> None:
    leaves = (*LEAVES[:fork], *(tree.hash_leaf(b"x%d" % number) for number in range(20)))
    if max(known, size) <= fork or min(known, size) <= fork < max(known, size):
        return  # one of the two is a beginning of the other
    mine = view(known, sizes=[*sizes])
    assert compare_views(mine, view(size, leaves, sizes=[*others])) == "rewritten"
