"""Accepts receipts of a site, at those who sent the bundle (format §29.4)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

from airgap.disk.named_files import read_named
from airgap.errors import ConfigurationError, NotTrustedError, PolicyError
from airgap.flow.admission.policy import require_root
from airgap.flow.bundle.open_to_sign import load_known_root
from airgap.flow.ledger.record import EventRecord, record_event
from airgap.flow.receipts.witness import is_beginning, use_ledger
from airgap.format import checkpoint as checkpoints
from airgap.format import limits
from airgap.format import root as roots
from airgap.format.read_receipt import decode_receipt
from airgap.format.receipt import Receipt
from airgap.format.receipt_note import ReceiptNote, make_note, note_lines, parse_note
from airgap.format.root import Root
from airgap.ledger.continuity import Continuity, LedgerView, compare_views
from airgap.signing import trust
from airgap.signing.receipts import SignedReceipt, read_envelope, verify_receipt
from airgap.state import exported_manifests, pinned_root
from airgap.state.receipt_store import KeptReceipt, ReceiptStore

__all__ = [
    "AcceptedNote",
    "AcceptedReceipt",
    "NewLedger",
    "accept_note",
    "accept_receipt",
    "find_holds",
    "inspect_receipt",
    "load_root",
    "read_kept",
    "read_receipt_file",
    "write_note",
]

NewLedger = Literal["replaces", "beside"]
"""What a person says of a ledger that is not known: it takes the place of those that are, or is of
another machine of the site."""
_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class AcceptedReceipt:
    """A receipt that was accepted, and how it fits those that were accepted before."""

    signed: SignedReceipt
    path: Path
    continuity: Continuity | Literal["first"]
    is_new: bool
    """Whether it was not accepted before."""
    is_known: bool
    """Whether this machine exported its bundle."""
    gone: tuple[str, ...] = ()
    """Bundles that the site held by the newest receipt before, and does not hold any more."""
    is_replaced: bool = False
    """Whether another ledger has taken the place of its ledger since."""


@dataclass(frozen=True, slots=True)
class AcceptedNote:
    """A note that somebody read out, and the bundles exported here that it may mean."""

    note: ReceiptNote
    path: Path
    bundles: tuple[str, ...]


def load_root(path: Path | None) -> Root:
    """Return the root with which a receipt is verified: the one in a file, or the pinned one.

    The person who names a file vouches for it; it must be signed by its own root keys.

    Raises:
        ConfigurationError: there is none, or it cannot be read.
        NotTrustedError, CorruptError: it is not signed, or not a root.
    """
    if path is None:
        try:
            return require_root().value
        except ConfigurationError as error:
            raise ConfigurationError(
                error.message, "Give the root of the site that made the receipt: --root FILE."
            ) from error
    raw, envelopes = pinned_root.read_root_files(path)
    return trust.accept_root(raw, envelopes, roots.fingerprint(raw)).value


def read_receipt_file(path: Path) -> bytes:
    """Read the file of a receipt.

    Raises:
        ConfigurationError: it cannot be read, or is too long to be one.
    """
    try:
        return read_named(path, limits.RECEIPT_FILE_BYTES)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}.", "Give a .receipt.json file."
        ) from error


def inspect_receipt(raw: bytes, path: Path | None) -> tuple[Receipt, SignedReceipt | None]:
    """Read a receipt, and verify it if there is a root: the one in a file, or the site's pinned.

    Raises:
        NotTrustedError: there is a root, and no recorder of it has signed the receipt.
        CorruptError: it is malformed.
        ConfigurationError: the root cannot be read.
    """
    if path is not None:
        signed = verify_receipt(raw, load_root(path), demand_approvals=False)
        return signed.receipt, signed
    receipt, root = decode_receipt(read_envelope(raw).payload), load_known_root()
    if root is None or root.site != receipt.site:
        return receipt, None
    return receipt, verify_receipt(raw, root, demand_approvals=False)


def accept_receipt(raw: bytes, root: Root, new_ledger: NewLedger | None = None) -> AcceptedReceipt:
    """Accept a receipt: verify it, compare it with those before, record it, and keep it.

    Raises:
        NotTrustedError: it is not signed as the site demands; or the site's ledger, or this
            machine's own, was rewritten, of which the evidence is kept.
        PolicyError: its ledger is not known, and no person has said what it is; or receipts in
            between are missing; or it cannot be recorded.
        CorruptError: it is malformed.
        StorageError: the disk refused.
    """
    signed = verify_receipt(raw, root)
    receipt, store = signed.receipt, ReceiptStore(root.site)
    origin, size = signed.checkpoint.origin, signed.checkpoint.size
    ledger = origin[-_DIGITS:]
    path = store.locate(
        ledger,
        size,
        receipt.ledger.index + 1,
        receipt.bundle_id,
        read_envelope(raw).payload,
        passed=receipt.passed,
    )
    kept = [other for other in store.list_accepted() if other.ledger == ledger]
    continuity = _compare(store, kept, signed)
    is_new = path not in {other.path for other in kept}
    before = find_holds(store, kept)
    if is_new:
        _require_known_ledger(store, signed, new_ledger)
        _record(receipt, read_envelope(raw).payload)
        store.write(path, raw)
    held = find_holds(store, [other for other in store.list_accepted() if other.ledger == ledger])
    known = exported_manifests.locate_exported(receipt.bundle_id).is_file()
    _check_own_ledger(store, signed)
    in_use = store.list_ledgers().get(origin, False)
    gone = tuple(sorted(before - held)) if in_use else ()
    return AcceptedReceipt(signed, path, continuity, is_new, known, gone, is_replaced=not in_use)


def find_holds(store: ReceiptStore, kept: Sequence[KeptReceipt]) -> frozenset[str]:
    """Return the ids of the bundles that a site holds by the receipts of one ledger.

    Those with the most entries count. Of several with as many, which differ only if something was
    removed in between, the least counts: none of them says which is the newest.
    """
    if not kept:
        return frozenset()
    newest = max(other.size for other in kept)
    views = [frozenset(read_kept(store, other).holds) for other in kept if other.size == newest]
    return frozenset.intersection(*views)


def write_note(signed: SignedReceipt | None, receipt: Receipt) -> list[str]:
    """Return the five lines of a receipt that are read out (format §29.6).

    Raises:
        CorruptError: its checkpoint is malformed.
    """
    point = signed.checkpoint if signed else _view(receipt).checkpoint
    return note_lines(make_note(receipt, point), receipt.site)


def accept_note(text: str, site: str) -> AcceptedNote:
    """Keep a note that somebody read out (format §29.6).

    Raises:
        UsageError: it is not a note of this site.
        NotTrustedError: a receipt with as many entries has another root.
        StorageError: the disk refused.
    """
    note, store = parse_note(text, site), ReceiptStore(site)
    for kept in store.list_accepted():
        if kept.size == note.size and kept.bundle.startswith(note.bundle):
            receipt = read_kept(store, kept)
            root = _view(receipt).checkpoint.root
            if root != note.root:
                raise NotTrustedError(
                    f"The note names another root than the receipt {kept.path.name} of as many"
                    " entries.",
                    "Ask the site which of the two is right: its ledger may have been rewritten.",
                )
    lines = "".join(f"{line}\n" for line in note_lines(note, site))
    path = store.write_note(note.bundle, note.size, lines, passed=note.passed)
    return AcceptedNote(note, path, tuple(exported_manifests.find_exported(note.bundle)))


def _compare(
    store: ReceiptStore, kept: Sequence[KeptReceipt], signed: SignedReceipt
) -> Continuity | Literal["first"]:
    """Compare with the receipts of the nearest sizes: what fits both fits all.

    Raises:
        NotTrustedError: the ledger was rewritten.
        PolicyError: nothing can be said of the two.
    """
    if not kept:
        return "first"
    size = signed.checkpoint.size
    below = max((other for other in kept if other.size <= size), key=_size, default=None)
    above = min((other for other in kept if other.size > size), key=_size, default=None)
    view = LedgerView(signed.checkpoint, signed.receipt.ledger.earlier)
    verdicts: list[Continuity] = []
    for other in filter(None, (below, above)):
        verdict = compare_views(_view(read_kept(store, other)), view)
        if verdict == "rewritten":
            raise _make_fork(store, other, signed)
        if verdict == "unknown":
            raise PolicyError(
                f"The receipt of {size:,} entries cannot be compared with the one of"
                f" {other.size:,} entries that was accepted.",
                f"Accept the receipts in between first: site {signed.receipt.site} makes one for"
                " each import.",
            )
        verdicts.append(verdict)
    return "older" if above else verdicts[0]


def _make_fork(store: ReceiptStore, other: KeptReceipt, signed: SignedReceipt) -> NotTrustedError:
    """Keep two receipts that cannot be of one ledger, and say so."""
    folder = store.keep_evidence(
        {"kept.receipt.json": store.read(other), "new.receipt.json": signed.raw}
    )
    point, site = signed.checkpoint, signed.receipt.site
    return NotTrustedError(
        f"The ledger of site {site} was rewritten: with {point.size:,} entries it does not fit the"
        f" receipt of {other.size:,} entries that was accepted before.",
        "The machine there may have been restored from a copy. Show the site both receipts; after"
        " `airgap trust reset-state --reason` there, accept its next receipt with --new-ledger"
        " replaces.",
        (
            f"ledger {point.origin}",
            f"bundle {signed.receipt.bundle_id}",
            f"both are kept in {folder}",
        ),
    )


def _require_known_ledger(
    store: ReceiptStore, signed: SignedReceipt, new_ledger: NewLedger | None
) -> None:
    """Demand that a person has said what a ledger is that is not known; remember it.

    One that was replaced stays so: what was judged before is confirmed late (format §29.4).

    Raises:
        PolicyError: nobody has.
    """
    ledgers, origin = store.list_ledgers(), signed.checkpoint.origin
    if ledgers.get(origin):
        return
    if origin in ledgers and signed.receipt.verified_at <= _find_beginning(store):
        return
    if ledgers and new_ledger is None:
        known = ", ".join(known for known, in_use in ledgers.items() if in_use)
        raise PolicyError(
            f"The receipt is of ledger {origin}, and the site is known by {known}.",
            "Ask the site: if it reset its history, give --new-ledger replaces; if it is another"
            " machine of the site, give --new-ledger beside.",
        )
    if new_ledger == "replaces":
        ledgers = dict.fromkeys(ledgers, False)
    store.write_ledgers({**ledgers, origin: True})


def _find_beginning(store: ReceiptStore) -> str:
    """Return when the first bundle was judged that a receipt of a ledger in use is about."""
    in_use = {origin[-_DIGITS:] for origin, is_used in store.list_ledgers().items() if is_used}
    firsts: dict[str, KeptReceipt] = {}
    for kept in store.list_accepted():
        if kept.ledger in in_use:
            firsts[kept.ledger] = min(firsts.get(kept.ledger, kept), kept, key=_size)
    return min((read_kept(store, kept).verified_at for kept in firsts.values()), default="")


def _record(receipt: Receipt, payload: bytes) -> None:
    record_event(
        receipt.site,
        "exporting",
        EventRecord(
            "receipt-accepted",
            bundle=receipt.bundle,
            channel=receipt.channel,
            sequence=receipt.sequence,
            documents={"receipt": hashlib.sha256(payload).digest()},
            note=receipt.event if receipt.passed else f"{receipt.event}: {receipt.reason}",
        ),
    )


def _check_own_ledger(store: ReceiptStore, signed: SignedReceipt) -> None:
    """Compare what the site has seen of this machine's ledger of exports with that ledger.

    Raises:
        NotTrustedError: it was rewritten.
    """
    for seen in signed.receipt.witnessed:
        fits = use_ledger(signed.receipt.site, "exporting", partial(is_beginning, seen=seen))
        if fits is False:
            folder = store.keep_evidence({"new.receipt.json": signed.raw})
            raise NotTrustedError(
                f"The receipt is accepted, but this machine's ledger of exports {seen.origin} was"
                f" rewritten: the site has seen {seen.size:,} entries that it does not begin with.",
                "This machine may have been restored from a copy: find out what it exported since.",
                (f"the receipt is kept in {folder}",),
            )


def read_kept(store: ReceiptStore, kept: KeptReceipt) -> Receipt:
    """Read a receipt that was verified when it was accepted.

    Raises:
        CorruptError: it was damaged since.
    """
    return decode_receipt(read_envelope(store.read(kept)).payload)


def _view(receipt: Receipt) -> LedgerView:
    note = checkpoints.parse_note(receipt.ledger.checkpoint, "A receipt's checkpoint")
    point = checkpoints.parse_checkpoint(note.text, "A receipt's checkpoint")
    return LedgerView(point, receipt.ledger.earlier)


def _size(kept: KeptReceipt) -> int:
    return kept.size
