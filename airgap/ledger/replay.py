"""Replay protection: compares a bundle with a site's import history (format §17.1). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from airgap.errors import NotTrustedError, PolicyError
from airgap.format.ledger import NUMBERED, Entry, State

__all__ = [
    "IncomingBundle",
    "OlderError",
    "check_rollback",
    "refuse_reused_sequence",
    "refuse_second",
]


class OlderError(PolicyError):
    """A bundle has a lower number than the last one of its channel that was imported."""


_PERMITTED: Final = "the site's approvers can permit it: `airgap waive`."
_EXPORTED: Final = (
    "ask the sender to export its items again, which gives them a newer number; what was imported"
    " earlier may still be installed (`airgap list`)."
)


@dataclass(frozen=True, slots=True)
class IncomingBundle:
    """The fields of a bundle that are compared with the import history."""

    channel: str
    sequence: int
    bundle: bytes

    def find_gap(self, state: State) -> range:
        """Return the numbers before it that never came; empty for the channel's first."""
        last = state.last_sequence(self.channel)
        return range(last + 1, self.sequence) if last else range(0)


def refuse_second(incoming: IncomingBundle, state: State) -> None:
    """Refuse a second bundle with the channel's last number. A waiver does not lift this.

    Raises:
        NotTrustedError: another bundle had that number.
    """
    last = state.channels.get(incoming.channel)
    is_same = last is not None and last.sequence == incoming.sequence
    if last is not None and is_same and last.bundle != incoming.bundle:
        raise _second_bundle_error(incoming, last.bundle)


def refuse_reused_sequence(incoming: IncomingBundle, entries: Iterable[Entry]) -> None:
    """Refuse an older bundle whose number another bundle had, as the ledger's entries show.

    Raises:
        NotTrustedError: another bundle had that number.
    """
    for entry in entries:
        if entry.event in NUMBERED and incoming.sequence:
            is_same = (entry.channel, entry.sequence) == (incoming.channel, incoming.sequence)
            if is_same and entry.bundle is not None and entry.bundle != incoming.bundle:
                raise _second_bundle_error(incoming, entry.bundle)


def check_rollback(
    incoming: IncomingBundle, state: State, *, has_approvers: bool
) -> PolicyError | None:
    """Return the error for a bundle that is older than its channel's last; None if it is not.

    ``has_approvers`` says whether the site has anybody who can sign a waiver.
    """
    last = state.channels.get(incoming.channel)
    if last is None or incoming.sequence >= last.sequence:
        return None
    number = f"is number {incoming.sequence}" if incoming.sequence else "has no number"
    return OlderError(
        f"The bundle {number} of channel {incoming.channel}; this site has number {last.sequence}.",
        f"Ask the sender for a newer bundle. If this old one is really wanted, {_PERMITTED}"
        if has_approvers
        else f"Ask the sender for a newer bundle. If this old one is really wanted, {_EXPORTED}",
        (f"number {last.sequence} is bundle {last.bundle.hex()}",),
    )


def _second_bundle_error(incoming: IncomingBundle, imported: bytes) -> NotTrustedError:
    return NotTrustedError(
        f"The bundle is number {incoming.sequence} of channel {incoming.channel}, and this site has"
        " another bundle with that number.",
        "Do not import it: the builder signed two bundles with one number. Ask the sender why; the"
        " next one needs a higher number (`airgap export --sequence`).",
        (f"imported: {imported.hex()}", f"this one: {incoming.bundle.hex()}"),
    )
