"""Attestations: the statement of a scanner or an approver about a bundle (format §14)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from airgap.format import canonical, limits, names
from airgap.format.envelope import Role
from airgap.format.fields import HASH, Fields, refuse_newer

__all__ = [
    "ATTESTING_ROLES",
    "DEFAULT_NAMES",
    "Attestation",
    "Decision",
    "decode",
    "encode",
    "is_name",
    "note_problem",
]

Decision = Literal["accept", "reject"]
DECISIONS: Final[tuple[Decision, ...]] = ("accept", "reject")
ATTESTING_ROLES: Final[tuple[Role, ...]] = ("scanner", "approver")
DEFAULT_NAMES: Final[Mapping[Role, str]] = MappingProxyType(
    {"scanner": "malware", "approver": "review"}
)
"""What an attestation of format 1, which has no name, attests."""
UNNAMED_FORMAT: Final = 1
NAMED_FORMAT: Final = 2
_NAME: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Attestation:
    """One decision of one role about one bundle. ``time`` is in seconds since 1970.

    ``bundle`` and ``findings`` are SHA-256 digests; the findings file itself does not travel.
    ``name`` says what is attested; empty: the default name of the role.
    """

    bundle: bytes
    role: Role
    decision: Decision
    time: int
    note: str = ""
    findings: bytes | None = None
    name: str = ""

    def __post_init__(self) -> None:
        """Fill in the default name."""
        object.__setattr__(self, "name", self.name or DEFAULT_NAMES[self.role])

    @property
    def is_default(self) -> bool:
        """Whether the name is the default name of the role, which format 1 has no field for."""
        return self.name == DEFAULT_NAMES[self.role]


def encode(attestation: Attestation) -> bytes:
    """Encode an attestation (format §14)."""
    return canonical.encode(
        {
            "bundle": attestation.bundle,
            "decision": attestation.decision,
            "findings": attestation.findings,
            "format": UNNAMED_FORMAT if attestation.is_default else NAMED_FORMAT,
            "hash": HASH,
            **({} if attestation.is_default else {"name": attestation.name}),
            "note": attestation.note,
            "role": attestation.role,
            "time": attestation.time,
        }
    )


def decode(raw: bytes) -> Attestation:
    """Decode and check an attestation.

    Raises:
        CorruptError: it breaks a rule of format §14.
        PolicyError: it is of a newer format.
    """
    value = canonical.decode(raw, limit=limits.ATTESTATION_BYTES, what="attestation")
    refuse_newer(value, NAMED_FORMAT, "attestation")
    is_named = type(value) is dict and "name" in value
    fields = Fields(value, _KEYS | {"name"} if is_named else _KEYS, "attestation")
    fields.expect("format", NAMED_FORMAT if is_named else UNNAMED_FORMAT)
    fields.expect("hash", HASH)
    decision, role = fields.text("decision"), fields.text("role")
    if decision not in DECISIONS or role not in ATTESTING_ROLES:
        raise fields.error("has an unknown decision or role")
    note = fields.text("note", limits.NOTE_CHARACTERS)
    if note_problem(note):
        raise fields.error(f"has a note that {note_problem(note)}")
    attestation = Attestation(
        bundle=fields.digest("bundle"),
        role=next(allowed for allowed in ATTESTING_ROLES if allowed == role),
        decision=next(allowed for allowed in DECISIONS if allowed == decision),
        time=fields.time("time"),
        note=note,
        findings=None if fields.is_nil("findings") else fields.digest("findings"),
        name=fields.text("name") if is_named else "",
    )
    if not is_name(attestation.name) or (is_named and attestation.is_default):
        raise fields.error("has an invalid name, or the default name of its role in format 2")
    return attestation


def is_name(text: str) -> bool:
    """Tell whether a text can be the name of an attestation (format §14)."""
    return len(text) <= limits.ATTESTATION_NAME_CHARACTERS and _NAME.fullmatch(text) is not None


def note_problem(note: str) -> str | None:
    """Return why a note cannot be signed, or None. A note is one line without control characters.

    The text completes the sentence "a note that …".
    """
    if len(note) > limits.NOTE_CHARACTERS:
        return f"has more than {limits.NOTE_CHARACTERS:,} characters"
    if names.has_invisible(note):
        return "has invisible characters or more than one line"
    return None


_KEYS = frozenset({"bundle", "decision", "findings", "format", "hash", "note", "role", "time"})
