"""The licence policy at an import: what it says before anything is installed (format §30.4).

Packs in local folders are read before anything is written. What comes only once, or over a network,
is judged when it is staged, before it is renamed into place; so is what earlier runs left.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from airgap.bom.bill import BilledItem, list_subjects
from airgap.bom.policy import LicencePolicy
from airgap.errors import AirgapError, CorruptError, MissingError, PolicyError
from airgap.flow.admission import history
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.importing.item_documents import read_item_facts
from airgap.flow.importing.plan import Plan
from airgap.flow.licences.gate import (
    LicenceReport,
    demand_named_policy,
    examine_licences,
    find_approvers,
    list_notes,
    load_policy,
    refuse_licences,
)
from airgap.flow.licences.read_tree import read_tree
from airgap.flow.progress import Progress
from airgap.format.inventory import Item
from airgap.format.ledger import Entry, bound_signers
from airgap.format.root import Root
from airgap.store.item_kind import Reference
from airgap.store.kinds import find_kind
from airgap.store.source_tree import scan

__all__ = ["LicenceCheck", "make_check", "make_unsigned_check"]


@dataclass(slots=True)
class LicenceCheck:
    """A policy at one import. ``approvers`` are keys that accept the bundle as ``licence``."""

    policy: LicencePolicy
    now: int
    approvers: tuple[str, ...] = ()
    entry: Entry | None = None
    """What the ledger is to say of a refusal; None: nothing, nobody signed the bundle."""
    report: LicenceReport | None = None
    on_refusal: Callable[[bytes, AirgapError], object] = lambda bundle, error: None  # noqa: ARG005
    """As that of ``AdmissionPolicy``."""

    def look_ahead(self, opened: Opened, jobs: int, progress: Progress) -> None:
        """Judge a bundle whose packs can be read twice; what is damaged or missing is not judged.

        Raises:
            PolicyError: the policy refuses it.
        """
        if not opened.packs.volumes:
            return
        manifest = opened.manifest.value
        try:
            facts = read_item_facts(
                opened.reader,
                opened.bundle,
                manifest,
                sources=opened.chunk_sources,
                jobs=jobs,
                progress=progress,
            )
        except (MissingError, CorruptError):  # the import says so, or goes on with what is there
            return
        pairs = [
            BilledItem(item, found)
            for item, found in zip(manifest.items, facts, strict=True)
            if opened.only is None or item.key in opened.only
        ]
        self._judge(pairs, progress)

    def check_staged(self, plan: Plan, progress: Progress) -> Mapping[str, bytes]:
        """Judge what is staged or in place, unless that is done; return digests for the ledger.

        Raises:
            PolicyError: the policy refuses it.
        """
        if self.report is None:
            folders = {staged.item.key: staged.folder for staged in plan.staged}
            items = [_read(item.item, folders.get(item.item.key)) for item in plan.items]
            self._judge(items, progress)
        return self.report.documents if self.report else {}

    def _judge(self, items: Sequence[BilledItem], progress: Progress) -> None:
        self.report = examine_licences(self.policy, list_subjects(items), self.now, self.approvers)
        try:
            refuse_licences(self.report)
        except PolicyError as error:
            raise self._record(error) from error
        for note in list_notes(self.report):
            progress.note(note)

    def _record(self, error: AirgapError) -> AirgapError:
        if self.entry is None or self.report is None:
            return error
        entry = replace(self.entry, documents=self.report.documents)
        self.on_refusal(entry.bundle or b"", error)
        return history.record_refusal(entry, error)


def make_check(path: Path | None, opened: Opened) -> LicenceCheck | None:
    """Load a policy for an import; None: there is none, and the root names none.

    Raises:
        ConfigurationError: it cannot be used.
        PolicyError: the root names another one.
    """
    policy = load_policy(path) if path else None
    demand_named_policy(opened.root.value, policy)
    if policy is None:
        return None
    approvers = find_approvers(opened.manifest.attestations)
    on_refusal = opened.policy.on_refusal
    entry = _make_refusal(opened)
    return LicenceCheck(policy, opened.policy.now, approvers, entry, on_refusal=on_refusal)


def make_unsigned_check(path: Path | None, root: Root | None, now: int) -> LicenceCheck | None:
    """Do the same for an archive that nobody signed, and so nobody has approved."""
    policy = load_policy(path) if path else None
    if root:
        demand_named_policy(root, policy)
    return LicenceCheck(policy, now) if policy else None


def _make_refusal(opened: Opened) -> Entry:
    bundle = bytes.fromhex(opened.bundle)
    entry = opened.policy.make_entry(opened.manifest.value, bundle)
    signers = bound_signers({"builder": opened.manifest.signers["builder"]})
    return replace(entry, signed_by=signers)


def _read(item: Item, staged: Path | None) -> BilledItem:
    """Read an item in staging; one that is in place already, there."""
    tree = (
        scan(staged)
        if staged
        else find_kind(item.kind).scan(Reference(item.kind, item.name, item.version)).tree
    )
    digests = {file.path: file.digest for file in item.files}
    return BilledItem(item, read_tree(item.kind, tree, digests))
