"""Both sides witness each other's ledgers: checkpoints that travel with bundles (format §29.5).

A machine that was restored from a copy looks whole to itself. The other side has an older
checkpoint of its ledger, and finds out at the next courier.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError
from airgap.flow.admission import history
from airgap.flow.admission.history import Side
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.ledger.record import ANY_SITE
from airgap.flow.progress import Progress
from airgap.format import checkpoint as checkpoints
from airgap.format import limits, tree
from airgap.format.attachment import CHECKPOINT, attachment_file, parse_attachment_file
from airgap.format.checkpoint import Checkpoint, make_origin
from airgap.format.ledger_entry import decode_entry
from airgap.format.ledger_view import EarlierPoint, decode_view, encode_view
from airgap.format.root import Key
from airgap.ledger.continuity import Continuity, LedgerView, begins_with, compare_views
from airgap.signing.checkpoints import sign_checkpoint, verify_checkpoint
from airgap.signing.signer import Signer
from airgap.state.receipt_store import ReceiptStore

__all__ = [
    "Witnessed",
    "examine_checkpoints",
    "list_witnessed",
    "load_acknowledged",
    "make_checkpoint",
    "name_ledger",
    "read_raw_entries",
]

WitnessVerdict = Continuity | Literal["first", "own", "own rewritten"]
_DIGITS: Final = 16
_EXPORTED: Final = b"exported"
_WARNINGS: Final[Mapping[WitnessVerdict, str]] = MappingProxyType(
    {
        "rewritten": "The sender's ledger {} was rewritten: it does not continue the checkpoint"
        " that this machine has seen before. The machine there may have been restored from a copy:"
        " ask the sender. Both are kept in {}.",
        "own rewritten": "This machine's ledger {} was rewritten: the sender has a receipt of it"
        " that it does not continue. This machine may have been restored from a copy. Both are kept"
        " in {}; see `airgap trust reset-state --reason`.",
    }
)


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A checkpoint that came with a bundle, and how it fits what was seen before."""

    checkpoint: Checkpoint
    verdict: WitnessVerdict
    warning: str = ""
    """For people; empty: nothing is wrong."""


def examine_checkpoints(opened: Opened, progress: Progress) -> tuple[Witnessed, ...]:
    """Compare the checkpoints beside a bundle with what was seen; remember them, and report.

    Call it before packs are read. Nothing of it refuses an import: attachments are not trusted,
    and anyone can leave them out.
    """
    keys = opened.root.value.signers("recorder")
    if not keys:
        return ()
    examined = []
    for file, raw in sorted(opened.reader.read_attachments().items()):
        if parse_attachment_file(file) != CHECKPOINT:
            continue
        try:
            witnessed = _examine(opened.root.value.site, raw, keys)
        except AirgapError as error:
            progress.note(f"The attachment {file} is passed over: {error.message}")
            continue
        if witnessed.warning:
            progress.note(witnessed.warning)
        examined.append(witnessed)
    return tuple(examined)


def list_witnessed(site: str) -> tuple[Checkpoint, ...]:
    """Return the last checkpoints of the sender's ledgers that this machine has seen, by origin."""
    own = name_ledger(site, "importing")
    seen = [view.checkpoint for view in map(_read_view, ReceiptStore(site).read_witnessed())]
    return tuple(
        sorted((point for point in seen if point.origin != own), key=lambda point: point.origin)
    )


def load_acknowledged(site: str) -> int:
    """Return how many entries of this machine's ledger the sender is known to have seen."""
    own = name_ledger(site, "importing")
    seen = [view.checkpoint for view in map(_read_view, ReceiptStore(site).read_witnessed())]
    return max((point.size for point in seen if point.origin == own), default=0)


def make_checkpoint(
    site: str, bundle: bytes, acknowledged: int, signer: Signer
) -> tuple[str, bytes] | None:
    """Return the attachment with the checkpoint of the ledger of exports; None: it has no entry.

    Args:
        site: the site that the bundle is for.
        bundle: its id; the checkpoint ends with its entry.
        acknowledged: how many entries the site is known to have seen; 0: none.
        signer: the recorder.
    """
    raws = read_raw_entries(site, "exporting")
    ends = [index + 1 for index, raw in enumerate(raws) if _is_export(raw)]
    size = next(
        (end for end in reversed(ends) if decode_entry(raws[end - 1]).bundle == bundle), None
    )
    if size is None:
        return None
    leaves = [tree.hash_leaf(raw) for raw in raws[:size]]
    point = Checkpoint(make_origin(site, raws[0]), size, tree.compute_root(leaves))
    earlier = [end for end in ends if end < size][-limits.RECEIPT_EARLIER :]
    sizes = sorted({*earlier, acknowledged}, reverse=True)
    view = encode_view(
        sign_checkpoint(point, signer),
        [EarlierPoint(old, tree.prove_consistency(leaves, old)) for old in sizes if 0 < old < size],
    )
    return attachment_file(point.origin[-_DIGITS:], signer.key.id, CHECKPOINT), view


def name_ledger(site: str, side: Side) -> str:
    """Return the origin of a ledger of this machine; empty if it is not consistent."""
    raws = read_raw_entries(site, side)
    return make_origin(site, raws[0]) if raws else ""


def read_raw_entries(site: str, side: Side) -> Sequence[bytes]:
    """Return the entries of a ledger of this machine, as bytes; none if it is not consistent."""
    status = history.check_history(site, side)
    if status.consistent is None:
        return ()
    with translate_errors(status.store.folder):
        return status.store.read_raw_entries(status.consistent.state)


def _examine(site: str, raw: bytes, keys: Mapping[str, Key]) -> Witnessed:
    """Verify one, compare it, and remember it or the contradiction.

    Raises:
        CorruptError, NotTrustedError: it cannot be verified.
        StorageError: the disk refused.
    """
    note, earlier = decode_view(raw)
    checkpoint, _ = verify_checkpoint(note, keys, "The checkpoint", (site, ANY_SITE))
    store, view = ReceiptStore(site), LedgerView(checkpoint, earlier)
    before = next(
        (
            kept
            for kept in store.read_witnessed()
            if _read_view(kept).checkpoint.origin == checkpoint.origin
        ),
        None,
    )
    own = read_raw_entries(site, "importing")
    verdict: WitnessVerdict = "first"
    if own and checkpoint.origin == make_origin(site, own[0]):
        fits = begins_with([tree.hash_leaf(entry) for entry in own], checkpoint)
        verdict = "own" if fits else "own rewritten"
    elif before is not None:
        verdict = compare_views(_read_view(before), view)
    if verdict in _WARNINGS:
        kept = {"kept.checkpoint.json": before} if before else {}
        folder = store.keep_evidence({"new.checkpoint.json": raw, **kept})
        return Witnessed(checkpoint, verdict, _WARNINGS[verdict].format(checkpoint.origin, folder))
    if before is None or _read_view(before).checkpoint.size < checkpoint.size:
        store.write_witnessed(checkpoint.origin[-_DIGITS:], raw)
    return Witnessed(checkpoint, verdict)


def _read_view(raw: bytes) -> LedgerView:
    """Read a checkpoint that this machine has kept after it was verified."""
    note, earlier = decode_view(raw)
    text = checkpoints.parse_note(note, "A checkpoint that was seen").text
    return LedgerView(checkpoints.parse_checkpoint(text, "A checkpoint that was seen"), earlier)


def _is_export(raw: bytes) -> bool:
    return _EXPORTED in raw and decode_entry(raw).event == "exported"
