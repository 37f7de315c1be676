"""What a bill of materials is made from: items, and what they say of themselves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from airgap.bom.claims import Licences
from airgap.bom.facts import Facts
from airgap.bom.policy import Subject
from airgap.format.inventory import Item
from airgap.format.kinds import WHEELHOUSE
from airgap.format.wheelhouse import WHEELS, LockedPackage

__all__ = ["Bill", "BilledItem", "list_subjects"]


@dataclass(frozen=True, slots=True)
class BilledItem:
    """An item and what it says of itself."""

    item: Item
    facts: Facts

    @property
    def ref(self) -> str:
        """What other parts of the bill call it."""
        return f"{self.item.kind}:{self.item.name}:{self.item.version}"

    @property
    def packages(self) -> list[LockedPackage]:
        """The packages of a wheelhouse whose lock was read."""
        return list(self.facts.lock.packages) if self.facts.lock else []


@dataclass(frozen=True, slots=True)
class Bill:
    """A bundle, or installed items (``bundle`` is empty), and when it was made (s since 1970)."""

    items: Sequence[BilledItem]
    created_at: int
    bundle: str = ""
    """The bundle id in hex."""
    channel: str = ""
    sequence: int = 0
    audience: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def list_subjects(items: Sequence[BilledItem]) -> Iterator[Subject]:
    """Yield what a licence policy decides about: items, and packages in place of wheelhouses."""
    for billed in items:
        item, facts = billed.item, billed.facts
        if item.kind != WHEELHOUSE.name:
            yield Subject(item.kind, item.name, item.version, facts.licences)
            continue
        for package in billed.packages:
            licences = facts.wheels.get(f"{WHEELS}{package.file}", _UNREAD)
            yield Subject("wheel", package.name, package.version, licences)
        if facts.lock is None:
            yield Subject(item.kind, item.name, item.version, _UNREAD)


_UNREAD = Licences(unreadable=("it was not read",))
