"""What an auditor must look at first (format §38.2). Pure."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from airgap.flow.audit.join import Movement, MovementStep
from airgap.flow.audit.material import (
    AuditedEntry,
    AuditedLedger,
    AuditedReceipt,
    AuditFilter,
    AuditMaterial,
)
from airgap.flow.audit.revoked import explain_revoked
from airgap.format.ledger import NUMBERED
from airgap.format.tree import fold_edge, hash_leaf, push_leaf
from airgap.printable import count_text, series_text
from airgap.times import format_time

__all__ = ["CONTRADICTIONS", "KINDS", "AuditException", "find_exceptions"]

KINDS: Final[Mapping[str, str]] = {
    "contradiction": "Evidence that contradicts itself",
    "ledger-fault": "Ledgers that are not consistent",
    "receipt-not-verified": "Receipts that could not be verified",
    "not-admitted": "Bundles that today's root refuses",
    "unreadable": "Bundles that could not be read",
    "copies-differ": "Bundles of which two copies have different files of one name",
    "key-revoked": "Bundles admitted by a key that was revoked later",
    "bundle-revoked": "Bundles that were imported and revoked later",
    "unsigned": "Archives imported without signatures (--insecure-allow-unsigned)",
    "waived": "Bundles imported by a waiver",
    "waiver-written": "Waivers that were signed",
    "refused": "Bundles that were refused",
    "rejected": "Bundles that a scanner or an approver rejected",
    "reset": "Histories that were reset",
    "incomplete": "Imports that ended before their end",
    "gap": "Numbers of a channel that never came",
    "unmatched": "Bundles that only one of two ledgers names",
    "missing-receipt": "Exported bundles without a receipt that joins the two sides",
    "unscanned": "Imported bundles without the signature of a scanner",
    "stamp-missing": "Bundles without a time stamp that counts",
    "stamp-expired": "Time stamps whose certificate has ended, and that were not renewed",
    "stamp-not-checked": "Time stamps that do not count, or could not be checked",
    "not-covered": "Entries that no checkpoint covers",
    "not-shown": "Entries of a ledger that were not shown",
    "clock": "Clocks that ran backwards",
    "root-refused": "Roots that today's root does not lead to",
}
"""Every kind of exception, with its title, in the order of the report."""
CONTRADICTIONS: Final = frozenset({"contradiction", "ledger-fault"})
_SHOWN_RUNS: Final = 20


@dataclass(frozen=True, slots=True)
class AuditException:
    """Something that is not as it should be, and where the evidence of it is."""

    kind: str
    statement: str
    at: int | None = None
    bundle: str = ""
    ledger: AuditedLedger | None = None
    entry: AuditedEntry | None = None
    other: AuditedLedger | None = None
    """The second ledger, of two that contradict each other."""
    files: tuple[str, ...] = ()
    """Evidence that is not an entry: names of files."""
    note: str = ""
    """What a person or a machine wrote of it, in words that are not airgap's."""


def find_exceptions(material: AuditMaterial, movements: Sequence[Movement]) -> list[AuditException]:
    """Return all exceptions of what a filter has left, by kind, then in the order of the material.

    Exceptions about a ledger as a whole are always among them.
    """
    found = [
        *_find_of_ledgers(material),
        *_find_of_entries(material, frozenset(one.bundle for one in movements)),
        *(one for movement in movements for one in _find_of_movement(material, movement)),
        *_find_of_rest(material),
    ]
    order = list(KINDS)
    return sorted(found, key=lambda one: order.index(one.kind))


def _find_of_ledgers(material: AuditMaterial) -> Iterator[AuditException]:
    yield from _compare_ledgers(material.ledgers)
    for ledger in material.ledgers:
        yield from _compare_receipts(ledger, material.receipts)
        yield from _compare_replaced(material, ledger)
    if material.forks:
        pairs = count_text(material.forks, "pair")
        yield AuditException(
            "contradiction",
            f"This machine keeps {pairs} of documents that cannot both be of one ledger, below"
            " receipts/ in its state folder.",
        )
    for ledger in material.ledgers:
        yield from _find_of_ledger(ledger, {"", *(one.origin for one in material.ledgers)})


def _compare_ledgers(ledgers: Sequence[AuditedLedger]) -> Iterator[AuditException]:
    """Yield pairs of ledgers with one origin that do not have the same entries."""
    for at, ledger in enumerate(ledgers):
        for other in ledgers[:at]:
            if other.origin == ledger.origin and _differ(other, ledger):
                statement = (
                    f"{other.label} and {ledger.label} are both of the ledger {ledger.origin}, and"
                    " do not have the same entries: the ledger was rewritten."
                )
                yield AuditException("contradiction", statement, ledger=ledger, other=other)


def _differ(first: AuditedLedger, second: AuditedLedger) -> bool:
    numbered = {entry.number: entry.raw for entry in first.entries}
    if any(numbered.get(entry.number, entry.raw) != entry.raw for entry in second.entries):
        return True
    points = [ledger.signed.point for ledger in (first, second) if ledger.signed]
    return len({point.root for point in points}) > 1 and len({p.size for p in points}) == 1


def _compare_replaced(material: AuditMaterial, ledger: AuditedLedger) -> Iterator[AuditException]:
    """Compare a ledger that a reset put aside with what the reset says of it (format §17.7)."""
    successor = material.find_successor(ledger)
    if successor is None:
        if ledger.reset and ledger.entries:
            statement = f"{ledger.label}: it lies among ledgers put aside, and no reset names it."
            yield AuditException("contradiction", statement, ledger=ledger)
        return
    first = successor.find(1)
    replaces = first.entry.replaces if first else None
    if replaces is None or not ledger.is_whole or ledger.first > 1:
        return
    roots = _compute_roots(ledger, {replaces.entries})
    count = len(ledger.entries)
    is_other = roots.get(replaces.entries, replaces.root) != replaces.root
    if is_other or (ledger.reset and count != replaces.entries):
        statement = (
            f"{ledger.label} is not the ledger that the reset in {successor.label} put aside: that"
            f" had {replaces.entries:,} entries and the head {replaces.head.hex()}; this one has"
            f" {count:,} intact ones."
        )
        yield AuditException("contradiction", statement, ledger=ledger, entry=None, other=successor)


def _find_of_ledger(ledger: AuditedLedger, origins: Collection[str]) -> Iterator[AuditException]:
    label = ledger.label
    if ledger.fault and not ledger.reset:  # else the reset was because of it
        yield AuditException("ledger-fault", f"{label}: {ledger.fault}", ledger=ledger)
    if not ledger.is_whole:
        statement = f"{label}: one entry of {ledger.covered:,} was shown, with its proof."
        yield AuditException("not-shown", statement, ledger=ledger)
    elif ledger.first > 1:
        statement = f"{label}: the entries before number {ledger.first:,} were not shown."
        yield AuditException("not-shown", statement, ledger=ledger)
    last = ledger.entries[-1].number if ledger.entries else 0
    if ledger.signed is None:
        reason = ledger.problem or "it has no checkpoint."
        statement = f"{label}: {reason} Its {last:,} entries prove nothing to others."
        yield AuditException("not-covered", statement, ledger=ledger)
    elif ledger.is_whole and last > ledger.covered:
        statement = (
            f"{label}: the checkpoint covers {ledger.covered:,} of {last:,} entries; what follows"
            " proves nothing to others."
        )
        yield AuditException("not-covered", statement, ledger=ledger)
    if ledger.replaced not in origins:
        statement = f"{label}: the ledger before the reset, {ledger.replaced}, was not shown."
        yield AuditException("not-shown", statement, ledger=ledger)
    yield from _find_backward_clocks(ledger)
    if not ledger.reset or ledger.side == "exports":  # else the next one carries its numbers
        yield from _find_gaps(ledger)


def _find_backward_clocks(ledger: AuditedLedger) -> Iterator[AuditException]:
    for before, after in pairwise(ledger.entries):
        if after.entry.at < before.entry.at:
            yield AuditException(
                "clock",
                f"{ledger.label}, entry {after.number}: dated {format_time(after.entry.at)}, before"
                f" the entry above it ({format_time(before.entry.at)}).",
                after.entry.at,
                ledger=ledger,
                entry=after,
            )


def _find_gaps(ledger: AuditedLedger) -> Iterator[AuditException]:
    """Yield the numbers between the lowest and the highest of a channel that are in no entry."""
    events = NUMBERED if ledger.side != "exports" else frozenset({"exported"})
    came: dict[str, set[int]] = {}
    for _, entry, _ in ledger.entries:
        if entry.event in events and entry.channel and entry.sequence:
            came.setdefault(entry.channel, set()).add(entry.sequence)
    for channel, numbers in sorted(came.items()):
        runs = [
            (before + 1, after - 1)
            for before, after in pairwise(sorted(numbers))
            if after > before + 1
        ]
        if runs:
            missing = sum(last - first + 1 for first, last in runs)
            texts = [f"{a:,}" if a == b else f"{a:,} to {b:,}" for a, b in runs]
            verb = "were exported" if ledger.side == "exports" else "came"
            yield AuditException(
                "gap",
                f"{ledger.label}, channel {channel}: {count_text(missing, 'number')} never"
                f" {verb}: {series_text(texts, _SHOWN_RUNS)}.",
                ledger=ledger,
            )


def _compare_receipts(
    ledger: AuditedLedger, receipts: Sequence[AuditedReceipt]
) -> Iterator[AuditException]:
    """Yield the receipts of a ledger whose entry or checkpoint it does not have."""
    own = [one for one in receipts if one.receipt is not None and one.origin == ledger.origin]
    roots = _compute_roots(ledger, {one.size for one in own}) if ledger.is_whole else {}
    for audited in own:
        proof = audited.receipt.ledger if audited.receipt else None
        entry = ledger.find(proof.index + 1) if proof else None
        is_other = entry and proof and hash_leaf(entry.raw) != proof.leaf
        if is_other or roots.get(audited.size, audited.root) != audited.root:
            statement = (
                f"{ledger.label} with {audited.size:,} entries is not the ledger that the receipt"
                f" {audited.file} is of: the ledger was rewritten."
            )
            files = (audited.file,)
            yield AuditException("contradiction", statement, ledger=ledger, files=files)


def _compute_roots(ledger: AuditedLedger, sizes: Collection[int]) -> dict[int, bytes]:
    """Return the roots of the tree over the first entries, for several numbers of them."""
    edge, roots = list(ledger.edge), {}
    for audited in ledger.entries:
        push_leaf(edge, audited.number - 1, hash_leaf(audited.raw))
        if audited.number in sizes:
            roots[audited.number] = fold_edge(edge)
    return roots


def _find_of_entries(material: AuditMaterial, selected: frozenset[str]) -> Iterator[AuditException]:
    """Yield the exceptions that an entry is by itself."""
    for ledger, audited in material.all_entries():
        entry = audited.entry
        bundle = entry.bundle.hex() if entry.bundle else ""
        describe = _EVENTS.get(entry.event)
        is_about = bundle in selected if bundle else material.wanted.is_empty
        if entry.event == "unsigned":
            is_about = material.wanted.is_empty
        if describe is None or not (is_about and _is_in_time(entry.at, material.wanted)):
            continue
        where = f"{ledger.label}, entry {audited.number}: "
        yield AuditException(
            entry.event,
            where + describe(audited),
            entry.at,
            "" if entry.event == "unsigned" else bundle,
            ledger,
            audited,
            note=entry.note,
        )


def _is_in_time(at: int, wanted: AuditFilter) -> bool:
    return (wanted.since is None or at >= wanted.since) and (
        wanted.until is None or at <= wanted.until
    )


def _number_text(audited: AuditedEntry) -> str:
    entry = audited.entry
    return f"channel {entry.channel}, number {entry.sequence}" if entry.channel else "no number"


def _describe_reset(audited: AuditedEntry) -> str:
    replaces, who = audited.entry.replaces, audited.entry.who
    person = " on ".join(filter(None, (who.user, who.host))) or "a person"
    if replaces is None:
        return f"{person} reset the history; nothing of the ledger before was intact."
    return (
        f"{person} reset the history; the ledger before had {replaces.entries:,} intact entries and"
        f" the head {replaces.head.hex()}."
    )


_EVENTS: Final[Mapping[str, Callable[[AuditedEntry], str]]] = {
    "unsigned": lambda _: "an archive without a manifest was imported; nobody signed it.",
    "waived": lambda one: f"imported only because of a waiver ({_number_text(one)}).",
    "waiver-written": lambda one: f"an approver signed a waiver ({_number_text(one)}).",
    "refused": lambda one: f"signed by enough builders, and refused ({_number_text(one)}).",
    "rejected": lambda one: f"rejected ({_number_text(one)}).",
    "reset": _describe_reset,
    "incomplete": lambda one: f"the import ended before its end ({_number_text(one)}).",
}


def _find_of_movement(material: AuditMaterial, movement: Movement) -> Iterator[AuditException]:
    yield from _find_revoked(material, movement)
    yield from _find_unmatched(movement)
    yield from _find_of_carried(material, movement)
    imported = [
        step
        for step in movement.list_steps({"imported", "waived"})
        if not step.entry.signed_by.get("scanner")
    ]
    if imported and not (movement.carried and movement.carried.is_scanned()):
        step = imported[-1]
        yield _make(movement, step, "unscanned", "imported; no scanner's signature was counted.")


def _find_revoked(material: AuditMaterial, movement: Movement) -> Iterator[AuditException]:
    """Yield imports by keys that a root of then or later revokes, and bundles that today's does."""
    root = material.roots.root
    steps = movement.list_steps({"imported", "waived"})
    for step in steps:
        for statement in explain_revoked(material.roots, movement, step):
            yield _make(movement, step, "key-revoked", statement)
    if steps and bytes.fromhex(movement.bundle) in root.revoked_bundles:
        statement = f"imported; root version {root.version} revokes this bundle."
        yield _make(movement, steps[-1], "bundle-revoked", statement)


def _find_unmatched(movement: Movement) -> Iterator[AuditException]:
    """Yield what one side has, and the other does not confirm."""
    exported = movement.list_steps({"exported"})
    if movement.partner == "not exported":
        accepted = movement.list_steps({"receipt-accepted"})
        decision = movement.decision or accepted[-1]
        what = "decided here, and its receipt was accepted" if accepted else "decided here"
        statement = f"{what}; no ledger of exports that was shown has exported it."
        yield _make(movement, decision, "unmatched", statement)
    if not exported or (movement.carried and movement.carried.completes):
        return
    if movement.partner == "not imported":
        statement = "exported; no ledger of imports that was shown names it."
        yield _make(movement, exported[-1], "unmatched", statement)
    if movement.partner in ("no receipt", "not imported"):
        statement = "exported; no receipt that both sides name says what became of it."
        yield _make(movement, exported[-1], "missing-receipt", statement)


def _find_of_carried(material: AuditMaterial, movement: Movement) -> Iterator[AuditException]:
    """Yield what is wrong with the bundle itself, where it was looked at."""
    carried = movement.carried
    if carried is None:
        return
    manifest = tuple(carried.manifests)
    for number, (result, reason) in carried.rules.items():
        if result == "no":
            statement = f"rule {number} of admission is broken by today's root: {reason}"
            yield AuditException("not-admitted", statement, bundle=movement.bundle, files=manifest)
    if carried.differing:
        statement = "copies of it have other bytes under one name; the evidence has all of them."
        yield AuditException(
            "copies-differ", statement, bundle=movement.bundle, files=carried.differing
        )
    if carried.stamps_unchecked:
        yield AuditException(
            "stamp-not-checked", carried.stamps_unchecked, bundle=movement.bundle, files=manifest
        )
    for stamp in carried.stamps:
        yield from _find_of_stamp(movement.bundle, stamp.file, stamp.problem, stamp.expired)
    has_authorities = bool(material.roots.root.rules.timestamp_authorities)
    if has_authorities and not carried.stamps_unchecked and carried.find_proven() is None:
        statement = "no time stamp of an authority of the root is over a builder's signature."
        yield AuditException("stamp-missing", statement, bundle=movement.bundle, files=manifest)


def _find_of_stamp(
    bundle: str, file: str, problem: str, expired: int | None
) -> Iterator[AuditException]:
    if problem:
        statement = f"{file} does not count: {problem}."
        yield AuditException("stamp-not-checked", statement, bundle=bundle, files=(file,))
    if expired is not None:
        statement = f"{file}: its certificate ended at {format_time(expired)}."
        yield AuditException("stamp-expired", statement, expired, bundle, files=(file,))


def _find_of_rest(material: AuditMaterial) -> Iterator[AuditException]:
    for ledger in material.ledgers:
        for stamp in ledger.stamps:
            yield from _find_of_stamp("", stamp.file, stamp.problem, stamp.expired)
    for receipt in material.receipts:
        if receipt.problem:
            statement = f"{receipt.file}: {receipt.problem}"
            yield AuditException("receipt-not-verified", statement, files=(receipt.file,))
    for where, reason in material.unreadable:
        yield AuditException("unreadable", f"{where}: {reason}")
    for fingerprint in material.roots.refused:
        yield AuditException("root-refused", f"{fingerprint} travels with a bundle.")


def _make(movement: Movement, step: MovementStep, kind: str, statement: str) -> AuditException:
    where = f"{step.ledger.label}, entry {step.audited.number}: "
    return AuditException(
        kind, where + statement, step.entry.at, movement.bundle, step.ledger, step.audited
    )
