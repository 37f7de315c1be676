"""Both sides witness each other's ledgers: checkpoints that travel with bundles (format §29.5).

A machine that was restored from a copy looks whole to itself. The other side has an older
checkpoint of its ledger, and finds out at the next courier.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Final, Literal, TypeVar

from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError
from airgap.flow.admission import history
from airgap.flow.admission.history import Side
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.ledger.record import ANY_SITE
from airgap.flow.progress import Progress, Silent
from airgap.flow.receipts.read_ledger import prove_sizes
from airgap.format import checkpoint as checkpoints
from airgap.format import limits
from airgap.format.attachment import CHECKPOINT, attachment_file, parse_attachment_file
from airgap.format.checkpoint import Checkpoint, make_origin
from airgap.format.ledger_entry import decode_entry
from airgap.format.ledger_view import decode_view, encode_view
from airgap.format.root import Key
from airgap.ledger.continuity import Continuity, LedgerView, compare_views
from airgap.ledger.tree import LedgerTree
from airgap.signing.checkpoints import sign_checkpoint, verify_checkpoint
from airgap.signing.signer import Signer
from airgap.state.receipt_store import ReceiptStore

__all__ = [
    "Witnessed",
    "examine_checkpoints",
    "is_beginning",
    "list_witnessed",
    "load_acknowledged",
    "make_checkpoint",
    "name_ledger",
    "use_ledger",
]

T = TypeVar("T")

WitnessVerdict = Continuity | Literal["first", "own", "own rewritten", "own before a reset"]
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
    own = {name_ledger(site, "importing"), *_list_origins_aside(site)}
    seen = [view.checkpoint for view in map(_read_view, ReceiptStore(site).read_witnessed())]
    return tuple(
        sorted((point for point in seen if point.origin not in own), key=lambda point: point.origin)
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
    made = use_ledger(
        site, "exporting", lambda tree: _make_view(tree, bundle, acknowledged, signer)
    )
    if made is None:
        return None
    origin, view = made
    return attachment_file(origin[-_DIGITS:], signer.key.id, CHECKPOINT), view


def _make_view(
    tree: LedgerTree, bundle: bytes, acknowledged: int, signer: Signer
) -> tuple[str, bytes] | None:
    """Return origin and checkpoint of a ledger up to the entry of an export; None: it has none."""
    ends = (
        (index + 1, entry.bundle)
        for index in tree.find(_EXPORTED, newest_first=True)
        if (entry := decode_entry(tree.read_entry(index))).event == "exported"
    )
    size = next((end for end, exported in ends if exported == bundle), None)
    if size is None:
        return None
    point = tree.make_checkpoint(size)
    sizes = {acknowledged, *(end for end, _ in islice(ends, limits.RECEIPT_EARLIER))}
    view = encode_view(sign_checkpoint(point, signer), prove_sizes(tree, sizes, size))
    return point.origin, view


def name_ledger(site: str, side: Side) -> str:
    """Return the origin of a ledger of this machine; empty if it is not consistent."""
    return use_ledger(site, side, lambda tree: tree.origin) or ""


def is_beginning(tree: LedgerTree, seen: Checkpoint) -> bool | None:
    """Tell whether a ledger begins with what was seen of it; None: that is of another ledger."""
    return tree.begins_with(seen) if tree.origin == seen.origin else None


def use_ledger(site: str, side: Side, work: Callable[[LedgerTree], T]) -> T | None:
    """Do something with the tree of a ledger of this machine; None if it is not consistent.

    It is locked meanwhile: call this for no ledger that is locked already.

    Raises:
        StorageError: it cannot be read.
    """
    if not history.locate_ledger(site, side).exists():
        return None
    with history.lock_history(site, Silent(), side, whole=False) as (writer, status):
        if status.consistent is None:
            return None
        with translate_errors(writer.store.folder):
            return writer.store.use_tree(status.consistent.state, work)


def _examine(site: str, raw: bytes, keys: Mapping[str, Key]) -> Witnessed:
    """Verify one, compare it, and remember it or the contradiction.

    Raises:
        CorruptError, NotTrustedError: it cannot be verified.
        StorageError: the disk refused.
    """
    note, earlier = decode_view(raw)
    checkpoint, _ = verify_checkpoint(note, keys, "The checkpoint", (site, ANY_SITE))
    if checkpoint.origin in _list_origins_aside(site):  # what became of it led to the reset
        return Witnessed(checkpoint, "own before a reset")
    store, view = ReceiptStore(site), LedgerView(checkpoint, earlier)
    before = next(
        (
            kept
            for kept in store.read_witnessed()
            if _read_view(kept).checkpoint.origin == checkpoint.origin
        ),
        None,
    )
    verdict: WitnessVerdict = "first"
    fits = use_ledger(site, "importing", lambda tree: is_beginning(tree, checkpoint))
    if fits is not None:
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


def _list_origins_aside(site: str) -> frozenset[str]:
    """Return the origins of this machine's own ledgers that resets put aside (format §17.7)."""
    aside = history.locate_ledger(site).list_aside()
    return frozenset(make_origin(site, first) for _, first in aside)


def _read_view(raw: bytes) -> LedgerView:
    """Read a checkpoint that this machine has kept after it was verified."""
    note, earlier = decode_view(raw)
    text = checkpoints.parse_note(note, "A checkpoint that was seen").text
    return LedgerView(checkpoints.parse_checkpoint(text, "A checkpoint that was seen"), earlier)
