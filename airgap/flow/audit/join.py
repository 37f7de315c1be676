"""Joins what several ledgers, receipts and locations say of the same bundle (format §38.2). Pure.

A receipt joins two ledgers: its SHA-256 is in the one as ``receipt-made``, in the other as
``receipt-accepted``. The id of the bundle alone would say only that both have heard of it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from airgap.flow.audit.material import (
    DECIDED,
    AuditedBundle,
    AuditedEntry,
    AuditedLedger,
    AuditedReceipt,
    AuditFilter,
    AuditMaterial,
    LedgerSide,
)
from airgap.format.ledger import Entry

__all__ = [
    "Movement",
    "MovementStep",
    "Partner",
    "fits_person",
    "join_movements",
    "select_movements",
]

Partner = Literal["joined", "confirmed", "no receipt", "not imported", "not exported", "one side"]
_NOT_MOVED: Final = frozenset({"carried", "unsigned"})
"""The one repeats an entry of another ledger; the other's bundle is not a bundle id (§17.3)."""
_PERSON_DIGITS: Final = 8


class MovementStep(NamedTuple):
    """An entry about a bundle, and the ledger that it is in."""

    ledger: AuditedLedger
    audited: AuditedEntry

    @property
    def entry(self) -> Entry:
        """What it says."""
        return self.audited.entry


@dataclass(slots=True)
class Movement:
    """All that is known of one bundle."""

    bundle: str
    steps: list[MovementStep] = field(default_factory=list)
    receipts: list[AuditedReceipt] = field(default_factory=list)
    carried: AuditedBundle | None = None
    """The bundle itself, or the sealed one that it is in."""
    partner: Partner = "one side"

    def list_steps(
        self, events: Iterable[str], side: LedgerSide | None = None
    ) -> list[MovementStep]:
        """Return the entries with some events, of one side or of both."""
        wanted = frozenset(events)
        return [
            step
            for step in self.steps
            if step.entry.event in wanted and side in (None, step.ledger.side)
        ]

    @property
    def decision(self) -> MovementStep | None:
        """The last entry that says what became of it."""
        decided = self.list_steps(DECIDED)
        passed = [step for step in decided if step.entry.event != "refused"]
        shown = passed or decided
        return shown[-1] if shown else None

    @property
    def position(self) -> tuple[str, int]:
        """Its channel and number."""
        for step in self.steps:
            if step.entry.channel is not None:
                return step.entry.channel, step.entry.sequence
        return (self.carried.channel, self.carried.sequence) if self.carried else ("", 0)

    @property
    def begun(self) -> int:
        """When it is first heard of, by the clocks of those who wrote it."""
        times = [step.entry.at for step in self.steps]
        return min(times, default=self.carried.created_at if self.carried else 0)


def join_movements(material: AuditMaterial) -> list[Movement]:
    """Return what moved, by when it is first heard of."""
    movements, sealed = _join_entries(material)
    for carried in material.bundles:
        bundle = sealed.get(carried.bundle, carried.bundle)
        movement = movements.setdefault(bundle, Movement(bundle))
        if movement.carried is None or movement.carried.is_closed:
            movement.carried = carried
    for receipt in material.receipts:
        if receipt.receipt is not None:
            bundle = receipt.receipt.bundle_id
            movements.setdefault(bundle, Movement(bundle)).receipts.append(receipt)
    sides = material.sides()
    for movement in movements.values():
        movement.partner = _find_partner(movement, sides)
    return sorted(movements.values(), key=lambda one: (one.begun, one.position, one.bundle))


def _join_entries(material: AuditMaterial) -> tuple[dict[str, Movement], dict[str, str]]:
    """Return what ledgers say by bundle, and the bundle that is in each sealed one."""
    movements: dict[str, Movement] = {}
    sealed: dict[str, str] = {}
    for ledger, audited in material.all_entries():
        entry = audited.entry
        if entry.bundle is None or entry.event in _NOT_MOVED:
            continue
        bundle = entry.bundle.hex()
        movements.setdefault(bundle, Movement(bundle)).steps.append(MovementStep(ledger, audited))
        if entry.event == "sealed" and "index" in entry.documents:
            sealed[entry.documents["index"].hex()] = bundle
    return movements, sealed


def select_movements(
    movements: Sequence[Movement], wanted: AuditFilter, people: Mapping[str, str]
) -> list[Movement]:
    """Return those that a filter leaves; ``people`` has the name of each key."""
    return [one for one in movements if _fits(one, wanted, people)]


def fits_person(entry: Entry, person: str, people: Mapping[str, str]) -> bool:
    """Tell whether somebody acted in an entry: by name, user, or the first digits of a key id."""
    key_ids = {key_id for ids in entry.signed_by.values() for key_id in ids} | {entry.who.key}
    is_id = len(person) >= _PERSON_DIGITS and any(one.startswith(person) for one in key_ids if one)
    names = {people.get(key_id, "") for key_id in key_ids} | {entry.who.user}
    return is_id or person in names - {""}


def _fits(movement: Movement, wanted: AuditFilter, people: Mapping[str, str]) -> bool:
    times = [step.entry.at for step in movement.steps] or [movement.begun]
    return (
        movement.bundle.startswith(wanted.bundle)
        and (wanted.since is None or max(times) >= wanted.since)
        and (wanted.until is None or min(times) <= wanted.until)
        and (not wanted.item or wanted.item in _list_names(movement))
        and (not wanted.person or _acted(movement, wanted.person, people))
    )


def _list_names(movement: Movement) -> Iterator[str]:
    tags = [item.tag for item in movement.carried.items] if movement.carried else []
    for receipt in movement.receipts:
        items = receipt.receipt.items if receipt.receipt else ()
        tags += [item.name.partition(" ")[2] for item in items]
    for tag in tags:
        yield tag
        yield tag.partition(":")[0]


def _acted(movement: Movement, person: str, people: Mapping[str, str]) -> bool:
    if any(fits_person(step.entry, person, people) for step in movement.steps):
        return True
    signatures = movement.carried.signatures if movement.carried else ()
    return any(
        people.get(one.key_id) == person
        or (len(person) >= _PERSON_DIGITS and one.key_id.startswith(person))
        for one in signatures
    )


def _find_partner(movement: Movement, sides: frozenset[LedgerSide]) -> Partner:
    """Say how the two sides of a movement are joined."""
    exported = movement.list_steps({"exported"}, "exports")
    decided = movement.list_steps(DECIDED, "imports")
    made, accepted = (
        _list_receipts(movement, event) for event in ("receipt-made", "receipt-accepted")
    )
    if not exported:
        is_missed = (decided or accepted) and "exports" in sides
        return "not exported" if is_missed else "one side"
    if any(accepted.get(receipt, labels) - labels for receipt, labels in made.items()):
        return "joined"
    if decided:
        return "no receipt"
    return _miss_import(confirmed=bool(accepted), is_shown="imports" in sides)


def _list_receipts(movement: Movement, event: str) -> dict[bytes, set[str]]:
    """Return the ledgers that name a receipt under an event, by the receipt's SHA-256."""
    ledgers: dict[bytes, set[str]] = {}
    for step in movement.list_steps({event}):
        receipt = step.entry.documents.get("receipt")
        if receipt is not None:
            ledgers.setdefault(receipt, set()).add(step.ledger.origin)
    return ledgers


def _miss_import(*, confirmed: bool, is_shown: bool) -> Partner:
    """Say what is missing of a bundle that was exported, and is in no ledger of imports."""
    if is_shown:
        return "not imported"
    return "confirmed" if confirmed else "no receipt"
