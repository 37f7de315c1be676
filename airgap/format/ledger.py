"""The bytes of the import history: ledger, state, witness, exporter's sequences (format §17).

``airgap.ledger`` checks entries in their order; nothing here reads or writes files.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from airgap.errors import CorruptError
from airgap.format import canonical, limits, names, tree
from airgap.format.fields import DIGEST_BYTES, HASH, Fields
from airgap.format.ledger_entry import (
    EVENTS,
    IMPORTS,
    NUMBERED,
    Entry,
    Event,
    Replaced,
    Who,
    bound_signers,
    decode_entry,
    encode_entry,
)

__all__ = [
    "EVENTS",
    "FRAME_BYTES",
    "IMPORTS",
    "LENGTH_BYTES",
    "NUMBERED",
    "ChannelState",
    "Entry",
    "Event",
    "IssuedSequence",
    "Replaced",
    "State",
    "Who",
    "Witness",
    "bound_signers",
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

FORMAT: Final = 1
STATE_FORMAT: Final = 2
"""States of format 1 have the digest of the ledger, and no tree (format §17.4)."""
WITNESS_FORMAT: Final = 2
"""Witnesses of format 1 do not say which ledger they are of (format §17.6)."""
LENGTH_BYTES: Final = 4
FRAME_BYTES: Final = LENGTH_BYTES + limits.LEDGER_ENTRY_BYTES
"""The most bytes of an entry with its length before it."""


@dataclass(frozen=True, slots=True)
class ChannelState:
    """A channel's highest imported sequence, the bundle that had it, and the root at that time."""

    sequence: int
    bundle: bytes
    root: int


@dataclass(frozen=True, slots=True)
class State:
    """The summary of the first ``entries`` entries, ``size`` bytes, of a ledger (format §17.4)."""

    site: str
    entries: int
    size: int
    head: bytes
    floor: int
    channels: Mapping[str, ChannelState] = field(default_factory=dict)
    edge: tuple[bytes, ...] = ()
    """The right edge of the tree over the entries; empty in a state of format 1."""
    first: bytes = b""
    """The digest of the first entry; empty in a state of format 1."""
    last: int = 0
    """Where the length of the last entry begins; 0 in a state of format 1."""
    digest: bytes = b""
    """The SHA-256 of the ledger's first ``size`` bytes; only in a state of format 1."""

    def last_sequence(self, channel: str) -> int:
        """Return the highest imported sequence of a channel; 0 if there is none."""
        return self.channels[channel].sequence if channel in self.channels else 0


@dataclass(frozen=True, slots=True)
class Witness:
    """A site's ledger at the last import into a home: its length and head (format §17.6)."""

    site: str
    entries: int
    head: bytes
    first: bytes | None = None
    """The digest of its first entry, by which it is recognized; None in format 1."""
    folder: str = ""
    """The path of the state folder that it was in, for people."""


@dataclass(frozen=True, slots=True)
class IssuedSequence:
    """The last sequence that an exporter issued in a channel, and its bundle (format §17.8)."""

    channel: str
    sequence: int
    bundle: bytes


def digest(raw: bytes) -> bytes:
    """Return the SHA-256 as 32 bytes."""
    return hashlib.sha256(raw).digest()


def frame(entry: bytes) -> bytes:
    """Return an entry with its length before it."""
    return len(entry).to_bytes(LENGTH_BYTES, "big") + entry


def next_state(state: State | None, entry: Entry, raw: bytes) -> State:
    """Return the state after an entry is appended. It has no ``digest``.

    ``raw`` is the encoded entry, without its length. ``state`` is None before the first entry.
    """
    before = state or State(entry.site, 0, 0, b"", 0)
    edge = list(before.edge)
    tree.push_leaf(edge, before.entries, tree.hash_leaf(raw))
    channels = dict(before.channels)
    has_number = entry.event in NUMBERED
    if has_number and entry.channel and entry.bundle:
        last = ChannelState(entry.sequence, entry.bundle, entry.root)
        if entry.sequence > before.last_sequence(entry.channel):
            channels[entry.channel] = last
    return replace(
        before,
        entries=before.entries + 1,
        size=before.size + LENGTH_BYTES + len(raw),
        head=digest(raw),
        floor=max(before.floor, entry.floor),
        channels=channels,
        edge=tuple(edge),
        first=before.first or digest(raw),
        last=before.size,
        digest=b"",
    )


def encode_state(state: State) -> bytes:
    """Encode a state file (format §17.4)."""
    channels = {
        name: {"bundle": last.bundle, "root": last.root, "sequence": last.sequence}
        for name, last in state.channels.items()
    }
    return _seal(
        {
            "channels": channels,
            "edge": list(state.edge),
            "entries": state.entries,
            "first": state.first,
            "floor": state.floor,
            "head": state.head,
            "last": state.last,
            "site": state.site,
            "size": state.size,
        },
        STATE_FORMAT,
    )


def decode_state(raw: bytes) -> State:
    """Decode a state file.

    Raises:
        CorruptError: it breaks a rule of format §17.4.
    """
    value = _open_seal(raw, limits.STATE_BYTES, "state")
    is_old = isinstance(value, dict) and value.get("format") == FORMAT
    keys = _OLD_STATE if is_old else _STATE
    fields = Fields(value, keys | {"format", "hash"}, "state")
    _expect_version(fields, FORMAT if is_old else STATE_FORMAT)
    channels = {}
    for name, value in fields.table("channels", limits.CHANNELS).items():
        last = Fields(value, frozenset({"bundle", "root", "sequence"}), "state's channel")
        channels[name] = ChannelState(
            last.integer("sequence", low=1), last.digest("bundle"), last.integer("root")
        )
    return State(
        site=_site(fields),
        entries=fields.integer("entries", low=1),
        size=fields.integer("size", high=limits.LEDGER_BYTES),
        head=fields.digest("head"),
        floor=fields.time("floor"),
        channels=channels,
        edge=() if is_old else _read_edge(fields),
        first=b"" if is_old else fields.digest("first"),
        last=0 if is_old else fields.integer("last", high=limits.LEDGER_BYTES),
        digest=fields.digest("digest") if is_old else b"",
    )


def _read_edge(fields: Fields) -> tuple[bytes, ...]:
    edge = fields.array("edge", limits.TREE_LEVELS)
    is_sound = all(type(root) is bytes and len(root) == DIGEST_BYTES for root in edge)
    if not is_sound or len(edge) != fields.integer("entries").bit_count():
        raise fields.error("does not have the edge of a tree")
    return tuple(edge)


def encode_witness(witness: Witness) -> bytes:
    """Encode a witness file (format §17.6)."""
    value: dict[str, Any] = {
        "entries": witness.entries,
        "head": witness.head,
        "site": witness.site,
    }
    if witness.first is None:
        return _seal(value)
    named = {"first": witness.first, "folder": witness.folder}
    return _seal(value | named, WITNESS_FORMAT)


def decode_witness(raw: bytes) -> Witness:
    """Decode a witness file.

    Raises:
        CorruptError: it breaks a rule of format §17.6.
    """
    value = _open_seal(raw, limits.SMALL_STATE_BYTES, "witness")
    is_old = isinstance(value, dict) and value.get("format") == FORMAT
    keys = _WITNESS if is_old else _WITNESS | {"first", "folder"}
    fields = Fields(value, keys | {"format", "hash"}, "witness")
    _expect_version(fields, FORMAT if is_old else WITNESS_FORMAT)
    witness = Witness(_site(fields), fields.integer("entries", low=1), fields.digest("head"))
    if is_old:
        return witness
    folder = fields.text("folder")
    if len(folder) > limits.FOLDER_CHARACTERS or names.has_invisible(folder):
        raise fields.error("has an invalid folder")
    return replace(witness, first=fields.digest("first"), folder=folder)


def encode_issued_sequence(issued: IssuedSequence) -> bytes:
    """Encode the last sequence that an exporter issued (format §17.8)."""
    return _seal({"bundle": issued.bundle, "channel": issued.channel, "sequence": issued.sequence})


def decode_issued_sequence(raw: bytes) -> IssuedSequence:
    """Decode the last sequence that an exporter issued.

    Raises:
        CorruptError: it breaks a rule of format §17.8.
    """
    keys = frozenset({"bundle", "channel", "sequence"})
    fields = _unseal(raw, limits.SMALL_STATE_BYTES, keys, "channel's number")
    return IssuedSequence(
        fields.text("channel"), fields.integer("sequence", low=1), fields.digest("bundle")
    )


def _seal(value: dict[str, Any], version: int = FORMAT) -> bytes:
    """Encode a small document with its digest before it, so that any damage is found."""
    body = canonical.encode({**value, "format": version, "hash": HASH})
    return digest(body) + body


def _unseal(raw: bytes, limit: int, keys: frozenset[str], what: str) -> Fields:
    fields = Fields(_open_seal(raw, limit, what), keys | {"format", "hash"}, what)
    _expect_version(fields)
    return fields


def _open_seal(raw: bytes, limit: int, what: str) -> object:
    body = raw[DIGEST_BYTES:]
    if digest(body) != raw[:DIGEST_BYTES]:
        raise CorruptError(
            f"The {what} is damaged: its SHA-256 does not match.", "It was damaged on this disk."
        )
    return canonical.decode(body, limit=limit, what=what)


def _expect_version(fields: Fields, version: int = FORMAT) -> None:
    fields.expect("format", version)
    fields.expect("hash", HASH)


def _site(fields: Fields) -> str:
    site = fields.text("site")
    if not names.is_tag_part(site):
        raise fields.error("has an invalid site id")
    return site


_OLD_STATE = frozenset({"channels", "digest", "entries", "floor", "head", "site", "size"})
_STATE = _OLD_STATE - {"digest"} | {"edge", "first", "last"}
_WITNESS = frozenset({"entries", "head", "site"})
