"""Lines for people about what was imported and is installed."""

from collections.abc import Iterator
from typing import Final

from airgap.cli.output import size_text
from airgap.cli.terminal import ClaimLine
from airgap.flow.installed.check import CheckedItem, CheckResult, Difference
from airgap.flow.installed.remove import RemovalPlan
from airgap.printable import count_text

__all__ = ["check_lines", "removal_lines"]

_SHOWN: Final = 20
"""Paths of one item; `--json` has all of them."""


def check_lines(result: CheckResult) -> Iterator[str]:
    """Yield what is not as it was imported, then a summary."""
    for checked in result.items:
        if checked.state != "intact":
            yield from _item_lines(checked)
    counts = [
        f"{count} {state}"
        for state in ("intact", "damaged", "missing", "absent", "not known")
        if (count := sum(item.state == state for item in result.items))
    ]
    yield f"{', '.join(counts) or 'No items'}; {size_text(result.bytes_read)} read."
    if result.forgotten:
        bundles = count_text(len(result.forgotten), "imported bundle")
        yield f"What {bundles} held is not known: the manifests in AIRGAP_HOME are lost or damaged."
    if result.was_disturbed:
        yield "Something was imported during the check: check again what it reports."
    if result.is_damaged:
        yield "To restore an item, import its bundle again: airgap import SRC --replace"


def _item_lines(checked: CheckedItem) -> Iterator[str]:
    yield ClaimLine(f"{checked.state.upper()}: {checked.item}")
    if checked.state == "not known":
        yield "  airgap did not import it, or without a manifest"
        return
    if checked.state == "absent":
        yield "  was imported; removed since, or left out of the import"
    if checked.needed_by:
        yield ClaimLine(f"  needed by {', '.join(checked.needed_by)}")
    yield f"  bundle {checked.bundle}"
    for difference in checked.differences[:_SHOWN]:
        yield from _difference_lines(difference)
    if len(checked.differences) > _SHOWN:
        yield f"  and {len(checked.differences) - _SHOWN:,} more"


def _difference_lines(difference: Difference) -> Iterator[str]:
    yield ClaimLine(f"  {difference.state}: {difference}")
    if difference.actual:
        yield f"    SHA-256  {difference.actual.hex()}"
    if difference.expected:
        yield f"    expected {difference.expected.hex()}"


def removal_lines(plan: RemovalPlan, verb: str) -> Iterator[str]:
    """Yield what is removed, what stays although nothing needs it, and the bytes on the disk.

    ``airgap list`` shows the bytes of the content, of which small files occupy more.
    """
    for removal in plan.removals:
        stranger = "" if removal.imported else ", not imported by airgap"
        yield ClaimLine(f"{verb} {removal.item} ({size_text(removal.size)} on disk{stranger})")
    for kept in plan.kept:
        yield ClaimLine(f"keeping {kept.item}: {kept.reason}")
    yield from map(ClaimLine, plan.notes)
    size = size_text(sum(removal.size for removal in plan.removals))
    yield f"{verb} {count_text(len(plan.removals), 'item')}, {size} on disk."
