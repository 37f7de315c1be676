"""The entries of a ledger: what happened, and who did it (format §17.3)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from airgap.format import canonical, limits, names
from airgap.format.attestation import note_problem
from airgap.format.fields import DIGEST_BYTES, HASH, Fields

__all__ = [
    "ENTRY_FORMAT",
    "EVENTS",
    "IMPORTS",
    "NUMBERED",
    "SIGNED_FORMAT",
    "Entry",
    "Event",
    "Replaced",
    "Who",
    "bound_signers",
    "decode_entry",
    "encode_entry",
    "is_document_name",
]

Event = Literal[
    "begun",
    "trusted",
    "imported",
    "waived",
    "unsigned",
    "incomplete",
    "refused",
    "reset",
    "carried",
    "exported",
    "signed",
    "approved",
    "rejected",
    "waiver-written",
    "receipt-made",
    "receipt-accepted",
    "sealed",
    "archived",
    "checked",
    "timestamped",
    "held",
    "released",
    "deleted",
    "cosigned",
    "logged",
]
EVENTS: Final[tuple[Event, ...]] = get_args(Event)
IMPORTS: Final[frozenset[Event]] = frozenset({"imported", "waived", "unsigned"})
"""Written before the first item is renamed into place (format §17.3)."""
NUMBERED: Final[frozenset[Event]] = frozenset({"imported", "waived", "carried"})
"""Their sequences count in their channels (format §17.4)."""
SIGNING_ROLES: Final = ("builder", "scanner", "approver", "waiver")
"""The keys of ``signed_by``, in the order in which ids are counted."""
FIRST_FORMAT: Final = 1
SIGNED_FORMAT: Final = 2
"""Entries of older formats do not name their signers."""
ENTRY_FORMAT: Final = 3
_OLD_EVENTS: Final = frozenset(EVENTS[: EVENTS.index("carried")])
"""Those of the formats before 3."""
_DOCUMENT: Final = re.compile(r"[a-z](?:[-a-z0-9]{0,18}[a-z0-9])?(?::[0-9a-f]{64})?")


@dataclass(frozen=True, slots=True)
class Who:
    """Who did what an entry says: names that this machine has for them, and the id of a key.

    Each may be empty.
    """

    user: str = ""
    host: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Replaced:
    """The ledger that a reset put aside: its length, first entry, head, and root (format §17.7)."""

    entries: int
    first: bytes
    head: bytes
    root: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One event (format §17.3). Times are in seconds since 1970."""

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
    signed_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The ids of the keys that were counted, by role."""
    documents: Mapping[str, bytes] = field(default_factory=dict)
    """The SHA-256 of the documents that the event is about, by name."""
    who: Who = field(default_factory=Who)
    replaces: Replaced | None = None
    format: int = ENTRY_FORMAT


def encode_entry(entry: Entry) -> bytes:
    """Encode an entry, without its length (format §17.3)."""
    return canonical.encode(
        {
            "at": entry.at,
            "bundle": entry.bundle,
            "channel": entry.channel,
            "event": entry.event,
            "floor": entry.floor,
            "format": entry.format,
            "hash": HASH,
            "note": entry.note,
            "previous": entry.previous,
            "root": entry.root,
            "sequence": entry.sequence,
            "site": entry.site,
            "waiver": entry.waiver,
            **_encode_later_fields(entry),
        }
    )


def _encode_later_fields(entry: Entry) -> dict[str, Any]:
    if entry.format == FIRST_FORMAT:
        return {}
    signed_by = {
        role: [bytes.fromhex(key_id) for key_id in key_ids]
        for role, key_ids in sorted(entry.signed_by.items())
    }
    if entry.format == SIGNED_FORMAT:
        return {"signed_by": signed_by}
    replaces, who = entry.replaces, entry.who
    return {
        "documents": dict(sorted(entry.documents.items())),
        "replaces": replaces
        and {
            "entries": replaces.entries,
            "first": replaces.first,
            "head": replaces.head,
            "root": replaces.root,
        },
        "signed_by": signed_by,
        "who": {
            "host": who.host,
            "key": bytes.fromhex(who.key) if who.key else None,
            "user": who.user,
        },
    }


def bound_signers(signers: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return what an entry says of its signers (format §17.3): sorted, bounded, no empty role."""
    left, bounded = limits.LEDGER_SIGNERS, {}
    for role in SIGNING_ROLES:
        key_ids = tuple(sorted(signers.get(role, ())))[:left]
        left -= len(key_ids)
        if key_ids:
            bounded[role] = key_ids
    return bounded


def is_document_name(text: str) -> bool:
    """Tell whether a text names a document of an entry, such as ``findings`` (format §17.3)."""
    return _DOCUMENT.fullmatch(text) is not None


def decode_entry(raw: bytes) -> Entry:
    """Decode and check an entry, without its length.

    Raises:
        CorruptError: it breaks a rule of format §17.3.
    """
    value = canonical.decode(raw, limit=limits.LEDGER_ENTRY_BYTES, what="ledger's entry")
    version = value.get("format") if type(value) is dict else None
    version = version if type(version) is int and version in _FIELDS else ENTRY_FORMAT
    fields = Fields(value, _FIELDS[version], "ledger's entry")
    fields.expect("format", version)
    fields.expect("hash", HASH)
    event, channel, note = fields.text("event"), value["channel"], fields.text("note")
    allowed = EVENTS if version == ENTRY_FORMAT else _OLD_EVENTS
    if event not in allowed or note_problem(note):
        raise fields.error("has an unknown event or an unreadable note")
    if channel is not None and not names.is_tag_part(fields.text("channel")):
        raise fields.error("has an invalid channel name")
    if not names.is_tag_part(fields.text("site")):
        raise fields.error("has an invalid site id")
    is_new = version == ENTRY_FORMAT
    return Entry(
        site=fields.text("site"),
        event=next(name for name in EVENTS if name == event),
        at=fields.time("at"),
        floor=fields.time("floor"),
        root=fields.integer("root"),
        previous=fields.digest("previous"),
        bundle=None if value["bundle"] is None else fields.digest("bundle"),
        channel=channel,
        sequence=fields.integer("sequence"),
        waiver=None if value["waiver"] is None else fields.digest("waiver"),
        note=note,
        signed_by={} if version == FIRST_FORMAT else _read_signers(fields),
        documents=_read_documents(fields) if is_new else {},
        who=_read_who(value["who"]) if is_new else Who(),
        replaces=_read_replaced(value["replaces"]) if is_new else None,
        format=version,
    )


def _read_signers(fields: Fields) -> dict[str, tuple[str, ...]]:
    """Read ``signed_by``. Raises CorruptError unless it is as ``bound_signers`` leaves it."""
    signers = {
        role: tuple(key_id.hex() if type(key_id) is bytes else "" for key_id in key_ids)
        if type(key_ids) is list
        else ()
        for role, key_ids in fields.table("signed_by", len(SIGNING_ROLES)).items()
    }
    is_sound = all(
        len(key_id) == 2 * DIGEST_BYTES for key_ids in signers.values() for key_id in key_ids
    ) and all(len(set(key_ids)) == len(key_ids) for key_ids in signers.values())
    if not is_sound or bound_signers(signers) != signers:
        raise fields.error("names its signers wrongly")
    return signers


def _read_documents(fields: Fields) -> dict[str, bytes]:
    documents = fields.table("documents", limits.LEDGER_DOCUMENTS)
    for name, value in documents.items():
        if not is_document_name(name) or type(value) is not bytes or len(value) != DIGEST_BYTES:
            raise fields.error("names its documents wrongly")
    return documents


def _read_who(value: Any) -> Who:  # noqa: ANN401
    fields = Fields(value, frozenset({"host", "key", "user"}), "person in a ledger's entry")
    user, host = (fields.text(key, limits.PERSON_CHARACTERS) for key in ("user", "host"))
    if names.has_invisible(user + host):
        raise fields.error("has invisible characters in a name")
    return Who(user, host, "" if fields.is_nil("key") else fields.digest("key").hex())


def _read_replaced(value: Any) -> Replaced | None:  # noqa: ANN401
    if value is None:
        return None
    keys = frozenset({"entries", "first", "head", "root"})
    fields = Fields(value, keys, "ledger that an entry replaces")
    return Replaced(
        fields.integer("entries", low=1),
        fields.digest("first"),
        fields.digest("head"),
        fields.digest("root"),
    )


_FIRST_FIELDS: Final = frozenset(
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
_FIELDS: Final[Mapping[int, frozenset[str]]] = {
    FIRST_FORMAT: _FIRST_FIELDS,
    SIGNED_FORMAT: _FIRST_FIELDS | {"signed_by"},
    ENTRY_FORMAT: _FIRST_FIELDS | {"documents", "replaces", "signed_by", "who"},
}
