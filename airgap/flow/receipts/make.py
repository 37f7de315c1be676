"""Makes the receipt of an import or of a refusal, at the site (format §29.2, §29.3)."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from airgap.disk import durable
from airgap.disk.os_errors import translate_errors
from airgap.errors import ConfigurationError, MissingError
from airgap.flow.admission import history
from airgap.flow.admission.history import HistoryStatus
from airgap.flow.bundle.counted import list_counted
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.location.destination import require_folder_above, require_writable
from airgap.flow.progress import Progress
from airgap.flow.receipts.read_ledger import LedgerReading
from airgap.flow.receipts.witness import list_witnessed, load_acknowledged
from airgap.format import intoto, limits
from airgap.format.checkpoint import Checkpoint
from airgap.format.counted_files import WAIVER
from airgap.format.envelope import BUNDLE_ROLES
from airgap.format.intoto import StatementEnvelope
from airgap.format.layout import parse_attestation_file, parse_envelope_file
from airgap.format.ledger_entry import Entry
from airgap.format.receipt import (
    EVENTS,
    FAILED,
    LedgerProof,
    Receipt,
    ReceiptEvent,
    ReceiptItem,
    ReceiptOutcome,
    encode_receipt,
    make_levels,
    receipt_file,
    shorten,
)
from airgap.format.root import Root
from airgap.format.tree import hash_leaf
from airgap.ledger.log import LedgerWriter
from airgap.signing.checkpoints import sign_checkpoint
from airgap.signing.receipts import add_signature
from airgap.signing.signer import Signer
from airgap.signing.trust import Verified
from airgap.state import installed_manifests
from airgap.store.compare import is_whole
from airgap.store.kinds import install_path
from airgap.times import format_time
from airgap.version import __version__

__all__ = [
    "UNAPPROVED",
    "BundleFate",
    "MadeReceipt",
    "ReceiptOptions",
    "make_receipt",
    "require_receipts",
]

UNAPPROVED: Final = "unapproved"
"""The folder of receipts that approvers have not signed: they may not leave yet."""


@dataclass(frozen=True, slots=True)
class ReceiptOptions:
    """Where receipts go, who signs them, and whether they name nothing but the bundle id."""

    folder: Path
    signer: Signer
    terse: bool = False


@dataclass(frozen=True, slots=True)
class BundleFate:
    """What became of a bundle: the items that were imported, or why it was refused."""

    bundle: bytes
    opened: Opened | None = None
    """None: it was refused."""
    outcomes: Mapping[tuple[int, str, str], ReceiptOutcome] = field(default_factory=dict)
    """By the keys of items; those that lack were left out."""
    reason: str = ""
    """For a refusal, the word of its exit code."""
    note: str = ""
    """For a refusal, the note of its entry."""


@dataclass(frozen=True, slots=True)
class MadeReceipt:
    """A receipt that was written, and how many approvers must sign it before it may leave."""

    path: Path
    receipt: Receipt
    approvals: int


def require_receipts(options: ReceiptOptions, root: Root) -> None:
    """Prove that a receipt can be made, before anything is imported.

    Raises:
        ConfigurationError: the key is not a recorder of the site.
        MissingError, StorageError: the folder does not exist, or cannot be written.
    """
    if options.signer.key.id not in root.signers("recorder"):
        raise ConfigurationError(
            f"The key {options.signer.key.id} is not a recorder of site {root.site}"
            f" (root version {root.version}): nobody could verify a receipt.",
            "Give it the role: airgap root add-key ROOT recorder KEY.pub -o NEXT. Or give another"
            " --recorder-key.",
        )
    require_folder_above(options.folder)
    require_writable(options.folder)


def make_receipt(
    fate: BundleFate, options: ReceiptOptions, root: Verified[Root], progress: Progress
) -> MadeReceipt:
    """Make the receipt of the last import or refusal of a bundle, record it, and write it.

    Raises:
        MissingError: the ledger does not say what became of the bundle, or has another refusal.
        PolicyError: the ledger is not consistent.
        StorageError: it cannot be recorded, or written.
        ConfigurationError: the keeper of the key refuses.
    """
    site = root.value.site
    seen = _Seen(load_acknowledged(site), list_witnessed(site))
    with history.lock_history(site, progress, whole=False) as (writer, status):
        state = status.require().state
        with translate_errors(writer.store.folder):
            draft = writer.store.use_tree(
                state, lambda tree: _draft(fate, options, root, seen, LedgerReading.of(tree))
            )
        payload = encode_receipt(draft.receipt)
        envelope = add_signature(StatementEnvelope(payload), options.signer)
        if not draft.ends_with_receipt:
            _record(writer, status, draft.entry, root.value, payload)
    approvals = root.value.rules.receipts.approvals
    folder = options.folder / UNAPPROVED if approvals else options.folder
    path = folder / receipt_file(draft.receipt)
    with translate_errors(path):
        durable.make_folder(folder)
        durable.replace_file(path, intoto.encode_envelope(envelope))
    return MadeReceipt(path, draft.receipt, approvals)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the sender is known to have seen of this ledger, and this machine of the sender's."""

    acknowledged: int
    """How many entries of this one."""
    witnessed: tuple[Checkpoint, ...]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A receipt that is not signed yet, and the entry that it is about."""

    receipt: Receipt
    entry: Entry
    ends_with_receipt: bool


def _draft(
    fate: BundleFate,
    options: ReceiptOptions,
    root: Verified[Root],
    seen: _Seen,
    reading: LedgerReading,
) -> _Draft:
    """Take from the ledger what the receipt says. Raises MissingError as ``make_receipt``."""
    site = root.value.site
    index = reading.find_entry(fate.bundle, root.value.version, passed=not fate.reason)
    if index is None:
        raise MissingError(
            f"The ledger of site {site} does not say what became of bundle {fate.bundle.hex()}.",
            "The history was reset meanwhile: import the bundle again, and it gets a new receipt.",
        )
    entry = reading.decode(index)
    _require_same_refusal(fate, entry, index + 1, root.value.version)
    receipt = shorten(_fill(fate, options, root, seen, reading, index))
    return _Draft(receipt, entry, reading.ends_with_receipt)


def _require_same_refusal(fate: BundleFate, entry: Entry, number: int, root: int) -> None:
    """Refuse to tell of a refusal by the entry of another one: a ledger has only the first."""
    if fate.reason and (entry.note, entry.root) != (fate.note, root):
        raise MissingError(
            f"The ledger of site {entry.site} has only an earlier refusal of this bundle: entry"
            f" {number}, {format_time(entry.at)}, by root version {entry.root}.",
            "The receipt of that one still holds.",
        )


def _record(
    writer: LedgerWriter, status: HistoryStatus, fate: Entry, root: Root, payload: bytes
) -> None:
    """Append that the receipt was made, before it appears (format §29.3)."""
    consistent = status.require()
    entry = replace(
        history.make_root_entry(root, "receipt-made"),
        bundle=fate.bundle,
        channel=fate.channel,
        sequence=fate.sequence,
        documents={"receipt": hashlib.sha256(payload).digest()},
    )
    with translate_errors(writer.store.folder):
        writer.append(consistent, history.stamp_entry(entry, consistent.state))


def _fill(  # noqa: PLR0913, PLR0917  (what a receipt is made of)
    fate: BundleFate,
    options: ReceiptOptions,
    root: Verified[Root],
    seen: _Seen,
    reading: LedgerReading,
    index: int,
) -> Receipt:
    entry, site = reading.decode(index), root.value.site
    recent = list(reading.list_recent())
    receipt = Receipt(
        site=site,
        bundle=fate.bundle,
        event=_get_event(entry),
        verified_at=format_time(entry.at),
        root=root.value.version,
        root_digest=hashlib.sha256(root.raw).digest(),
        tool=__version__,
        ledger=_prove(reading, index, seen.acknowledged, options.signer),
        holds=tuple(sorted(_find_holds(recent))),
        levels=_count_levels(entry),
        reason=fate.reason,
        witnessed=seen.witnessed,
    )
    if options.terse:
        return receipt
    channel = entry.channel or ""
    return replace(
        receipt,
        note=entry.note if root.value.rules.receipts.notes else "",
        channel=channel,
        sequence=entry.sequence,
        items=tuple(_list_items(fate)),
        item_count=len(fate.opened.manifest.value.items) if fate.opened else 0,
        evidence=tuple(_list_evidence(fate.opened))[: limits.RECEIPT_EVIDENCE],
        gaps=_find_gaps(entry.sequence for entry in recent if entry.channel == channel),
    )


def _prove(reading: LedgerReading, index: int, acknowledged: int, signer: Signer) -> LedgerProof:
    tree = reading.tree
    return LedgerProof(
        index,
        hash_leaf(tree.read_entry(index)),
        tree.prove_inclusion(index, reading.size),
        sign_checkpoint(reading.make_checkpoint(), signer),
        reading.prove_earlier(acknowledged, limits.RECEIPT_EARLIER),
    )


def _get_event(entry: Entry) -> ReceiptEvent:
    """Return the event of an entry that ``find_entry`` found."""
    return next(event for event in EVENTS if event == entry.event)


def _count_levels(entry: Entry) -> tuple[str, ...]:
    """Count the keys that the entry names: what was judged then, and not what is there now."""
    if entry.event == "refused":
        return FAILED
    counts = {str(role): len(entry.signed_by.get(role, ())) for role in BUNDLE_ROLES}
    return make_levels(counts, waived=entry.event == "waived")


def _list_items(fate: BundleFate) -> Iterator[ReceiptItem]:
    for item in fate.opened.manifest.value.items if fate.opened else ():
        outcome = fate.outcomes.get(item.key, "left out")
        yield ReceiptItem(str(item), item.digest, outcome)


def _list_evidence(opened: Opened | None) -> Iterator[tuple[str, bytes]]:
    """Yield name and SHA-256 of each envelope and attestation that was counted."""
    for name, raw in list_counted(opened) if opened else ():
        if parse_envelope_file(name) or parse_attestation_file(name):
            yield name, hashlib.sha256(raw).digest()
        elif name == WAIVER:
            yield "waiver", hashlib.sha256(raw).digest()


def _find_holds(recent: Iterable[Entry]) -> Iterator[str]:
    """Yield the bundles of which all items are still installed; contents are not read."""
    imported = dict.fromkeys(
        entry.bundle.hex() for entry in recent if entry.bundle and entry.event != "refused"
    )
    for bundle in [*imported][: limits.RECEIPT_HOLDS]:
        manifest = installed_manifests.load_manifest(bundle)
        if manifest is not None and all(
            is_whole(item, install_path(item)) for item in manifest.items
        ):
            yield bundle


def _find_gaps(sequences: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return the runs of numbers that never came, first and last: the last ones."""
    came = sorted({sequence for sequence in sequences if sequence})
    gaps = [(before + 1, after - 1) for before, after in pairwise(came) if after > before + 1]
    return tuple(gaps[-limits.RECEIPT_GAPS :])
