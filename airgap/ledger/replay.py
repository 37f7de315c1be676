"""Is a bundle new here? (format §17.1)."""

from collections.abc import Iterable
from dataclasses import dataclass

from airgap.errors import NotTrustedError, PolicyError
from airgap.format.ledger import Entry, State

__all__ = ["IncomingBundle", "check_rollback", "refuse_second", "refuse_used"]


@dataclass(frozen=True, slots=True)
class IncomingBundle:
    """What of a bundle is compared with what the site remembers."""

    channel: str
    sequence: int
    bundle: bytes

    def is_news(self, state: State) -> bool:
        """Tell whether it is further on than its channel is here."""
        return self.sequence > state.last_sequence(self.channel)

    def gap(self, state: State) -> range:
        """Return the numbers before it that never came; empty for the channel's first."""
        last = state.last_sequence(self.channel)
        return range(last + 1, self.sequence) if last else range(0)


def refuse_second(one: IncomingBundle, state: State) -> None:
    """Refuse a second bundle with the channel's last number. No waiver helps.

    Raises:
        NotTrustedError: it is one.
    """
    mark = state.channels.get(one.channel)
    if mark is not None and mark.sequence == one.sequence and mark.bundle != one.bundle:
        raise _second_bundle_error(one, mark.bundle)


def refuse_used(one: IncomingBundle, entries: Iterable[Entry]) -> None:
    """Refuse an older bundle whose number another one had that the ledger tells of.

    Raises:
        NotTrustedError: another one had it.
    """
    for entry in entries:
        if entry.event in ("imported", "waived") and one.sequence:
            same = (entry.channel, entry.sequence) == (one.channel, one.sequence)
            if same and entry.bundle is not None and entry.bundle != one.bundle:
                raise _second_bundle_error(one, entry.bundle)


def check_rollback(one: IncomingBundle, state: State) -> PolicyError | None:
    """Return the refusal of a bundle that is older than its channel is here; None: it is not."""
    mark = state.channels.get(one.channel)
    if mark is None or one.sequence >= mark.sequence:
        return None
    number = f"is number {one.sequence}" if one.sequence else "has no number"
    return PolicyError(
        f"The bundle {number} of channel {one.channel}; this site has number {mark.sequence}.",
        "Ask the sender for a newer bundle. If this old one is really wanted, the site's approvers"
        " can permit it: `airgap waive`.",
        (f"number {mark.sequence} is bundle {mark.bundle.hex()}",),
    )


def _second_bundle_error(one: IncomingBundle, known: bytes) -> NotTrustedError:
    return NotTrustedError(
        f"The bundle is number {one.sequence} of channel {one.channel}, and this site has another"
        " bundle with that number.",
        "Do not import it: the builder signed two bundles with one number. Ask the sender why; the"
        " next one needs a higher number (`airgap export --sequence`).",
        (f"here is {known.hex()}", f"this is {one.bundle.hex()}"),
    )
