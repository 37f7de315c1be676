"""What a site remembers, as bytes: ledger, state, witness; and an exporter's number (format §17).

Entries are looked at in their order by ``airgap.ledger``; nothing here knows files.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from airgap.errors import CorruptError
from airgap.format import canonical, limits, names
from airgap.format.attestation import note_problem
from airgap.format.fields import DIGEST_BYTES, HASH, Fields

__all__ = [
    "FRAME_BYTES",
    "LENGTH_BYTES",
    "ChannelState",
    "Entry",
    "Event",
    "IssuedSequence",
    "State",
    "Witness",
    "decode_entry",
    "decode_issued_sequence",
    "decode_state",
    "decode_witness",
    "digest",
    "encode_entry",
    "encode_issued_sequence",
    "encode_state",
    "encode_witness",
    "frame",
    "next_state",
]

Event = Literal["begun", "trusted", "imported", "waived", "unsigned", "refused", "reset"]
EVENTS: Final[tuple[Event, ...]] = (
    "begun",
    "trusted",
    "imported",
    "waived",
    "unsigned",
    "refused",
    "reset",
)
FORMAT: Final = 1
LENGTH_BYTES: Final = 4
FRAME_BYTES: Final = LENGTH_BYTES + limits.LEDGER_ENTRY_BYTES
"""The longest entry and its length."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened (format §17.3). Times are in seconds since 1970."""

    site: str
    event: Event
    at: int
    floor: int
    root: int
    previous: bytes
    bundle: bytes | None = None
    channel: str | None = None
    sequence: int = 0
    waiver: bytes | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class ChannelState:
    """How far a channel is: its highest sequence, the bundle that had it, the root of that time."""

    sequence: int
    bundle: bytes
    root: int


@dataclass(frozen=True, slots=True)
class State:
    """What follows from the first ``entries`` entries, ``size`` bytes, of a ledger (§17.4)."""

    site: str
    entries: int
    size: int
    digest: bytes
    head: bytes
    floor: int
    channels: Mapping[str, ChannelState] = field(default_factory=dict)

    def last_sequence(self, channel: str) -> int:
        """Return the highest sequence that was imported in a channel; 0 if there is none."""
        return self.channels[channel].sequence if channel in self.channels else 0


@dataclass(frozen=True, slots=True)
class Witness:
    """How far a site's ledger was when something was imported here (format §17.6)."""

    site: str
    entries: int
    head: bytes


@dataclass(frozen=True, slots=True)
class IssuedSequence:
    """The last number that an exporter gave in a channel, and to which bundle (format §17.8)."""

    channel: str
    sequence: int
    bundle: bytes


def digest(raw: bytes) -> bytes:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(raw).digest()


def encode_entry(one: Entry) -> bytes:
    """Encode an entry, without its length (format §17.3)."""
    return canonical.encode(
        {
            "at": one.at,
            "bundle": one.bundle,
            "channel": one.channel,
            "event": one.event,
            "floor": one.floor,
            "format": FORMAT,
            "hash": HASH,
            "note": one.note,
            "previous": one.previous,
            "root": one.root,
            "sequence": one.sequence,
            "site": one.site,
            "waiver": one.waiver,
        }
    )


def frame(entry: bytes) -> bytes:
    """Put an entry's length before it."""
    return len(entry).to_bytes(LENGTH_BYTES, "big") + entry


def decode_entry(raw: bytes) -> Entry:
    """Decode and check an entry, without its length.

    Raises:
        CorruptError: it breaks a rule of format §17.3.
    """
    value = canonical.decode(raw, limit=limits.LEDGER_ENTRY_BYTES, what="ledger's entry")
    fields = Fields(value, _ENTRY, "ledger's entry")
    _expect_version(fields)
    event, channel, note = fields.text("event"), value["channel"], fields.text("note")
    if event not in EVENTS or note_problem(note):
        raise fields.error("has an unknown event or an unreadable note")
    if channel is not None and not names.is_tag_part(fields.text("channel")):
        raise fields.error("has a channel that is not a name")
    return Entry(
        site=_site(fields),
        event=next(one for one in EVENTS if one == event),
        at=fields.time("at"),
        floor=fields.time("floor"),
        root=fields.integer("root"),
        previous=fields.digest("previous"),
        bundle=None if value["bundle"] is None else fields.digest("bundle"),
        channel=channel,
        sequence=fields.integer("sequence"),
        waiver=None if value["waiver"] is None else fields.digest("waiver"),
        note=note,
    )


def next_state(state: State | None, entry: Entry, raw: bytes) -> State:
    """Return the state that follows when an entry is appended; its ``digest`` is left to fill in.

    ``raw`` is the entry, without its length. None stands for what is before the first entry.
    """
    before = state or State(entry.site, 0, 0, b"", b"", 0)
    channels = dict(before.channels)
    numbered = entry.event in ("imported", "waived") and entry.channel and entry.bundle
    if (
        numbered
        and entry.channel
        and entry.bundle
        and entry.sequence > before.last_sequence(entry.channel)
    ):
        channels[entry.channel] = ChannelState(entry.sequence, entry.bundle, entry.root)
    return replace(
        before,
        entries=before.entries + 1,
        size=before.size + LENGTH_BYTES + len(raw),
        head=digest(raw),
        floor=max(before.floor, entry.floor),
        channels=channels,
    )


def encode_state(one: State) -> bytes:
    """Encode a state file (format §17.4)."""
    channels = {
        name: {"bundle": mark.bundle, "root": mark.root, "sequence": mark.sequence}
        for name, mark in one.channels.items()
    }
    return _seal(
        {
            "channels": channels,
            "digest": one.digest,
            "entries": one.entries,
            "floor": one.floor,
            "head": one.head,
            "site": one.site,
            "size": one.size,
        }
    )


def decode_state(raw: bytes) -> State:
    """Decode a state file.

    Raises:
        CorruptError: it breaks a rule of format §17.4.
    """
    fields = _unseal(raw, limits.STATE_BYTES, _STATE, "state")
    channels = {}
    for name, value in fields.table("channels", limits.CHANNELS).items():
        mark = Fields(value, frozenset({"bundle", "root", "sequence"}), "state's channel")
        channels[name] = ChannelState(
            mark.integer("sequence", low=1), mark.digest("bundle"), mark.integer("root")
        )
    return State(
        site=_site(fields),
        entries=fields.integer("entries", low=1),
        size=fields.integer("size", high=limits.LEDGER_BYTES),
        digest=fields.digest("digest"),
        head=fields.digest("head"),
        floor=fields.time("floor"),
        channels=channels,
    )


def encode_witness(one: Witness) -> bytes:
    """Encode a witness file (format §17.6)."""
    return _seal({"entries": one.entries, "head": one.head, "site": one.site})


def decode_witness(raw: bytes) -> Witness:
    """Decode a witness file.

    Raises:
        CorruptError: it breaks a rule of format §17.6.
    """
    keys = frozenset({"entries", "head", "site"})
    fields = _unseal(raw, limits.SMALL_STATE_BYTES, keys, "witness")
    return Witness(_site(fields), fields.integer("entries", low=1), fields.digest("head"))


def encode_issued_sequence(one: IssuedSequence) -> bytes:
    """Encode an exporter's number (format §17.8)."""
    return _seal({"bundle": one.bundle, "channel": one.channel, "sequence": one.sequence})


def decode_issued_sequence(raw: bytes) -> IssuedSequence:
    """Decode an exporter's number.

    Raises:
        CorruptError: it breaks a rule of format §17.8.
    """
    keys = frozenset({"bundle", "channel", "sequence"})
    fields = _unseal(raw, limits.SMALL_STATE_BYTES, keys, "channel's number")
    return IssuedSequence(
        fields.text("channel"), fields.integer("sequence", low=1), fields.digest("bundle")
    )


def _seal(value: dict[str, Any]) -> bytes:
    """Put the digest of a small document before it: any damage to it shows."""
    body = canonical.encode({**value, "format": FORMAT, "hash": HASH})
    return digest(body) + body


def _unseal(raw: bytes, limit: int, keys: frozenset[str], what: str) -> Fields:
    body = raw[DIGEST_BYTES:]
    if digest(body) != raw[:DIGEST_BYTES]:
        raise CorruptError(f"The {what} is not what was written.", "It was damaged on the disk.")
    value = canonical.decode(body, limit=limit, what=what)
    fields = Fields(value, keys | {"format", "hash"}, what)
    _expect_version(fields)
    return fields


def _expect_version(fields: Fields) -> None:
    fields.expect("format", FORMAT)
    fields.expect("hash", HASH)


def _site(fields: Fields) -> str:
    site = fields.text("site")
    if not names.is_tag_part(site):
        raise fields.error("has a site that is not a name")
    return site


_ENTRY = frozenset(
    {
        "at",
        "bundle",
        "channel",
        "event",
        "floor",
        "format",
        "hash",
        "note",
        "previous",
        "root",
        "sequence",
        "site",
        "waiver",
    }
)
_STATE = frozenset({"channels", "digest", "entries", "floor", "head", "site", "size"})
