"""The licence policy at an export: what it says of items before they are packed (format §30.4)."""

import time
from collections.abc import Sequence

from airgap.bom.bill import BilledItem, list_subjects
from airgap.bom.policy import LicencePolicy
from airgap.flow.exporting.select import Source
from airgap.flow.exporting.write_bundle import draft_item
from airgap.flow.licences.gate import (
    APPROVAL,
    LicenceReport,
    examine_licences,
    list_notes,
    refuse_licences,
)
from airgap.flow.licences.read_tree import read_tree
from airgap.flow.progress import Progress

__all__ = ["check_sources"]


def check_sources(
    policy: LicencePolicy, sources: Sequence[Source], progress: Progress
) -> LicenceReport:
    """Judge items that are about to travel. What needs a review is noted: nobody can approve yet.

    Raises:
        PolicyError: the policy refuses one.
        StorageError: a file changed since it was scanned, or cannot be read.
    """
    items = [
        BilledItem(draft_item(source), read_tree(source.kind, source.tree)) for source in sources
    ]
    report = examine_licences(policy, list_subjects(items), int(time.time()))
    refuse_licences(report, allows_review=True)
    for note in list_notes(report):
        progress.note(note)
    for decision in report.waiting:
        progress.note(
            f"An approver must accept the bundle with `airgap approve --name {APPROVAL}`:"
            f" {decision.subject.label}, {decision.reason}."
        )
    return report
