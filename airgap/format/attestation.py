"""Attestations: the statement of a scanner or an approver about a bundle (format §14)."""

import unicodedata
from dataclasses import dataclass
from typing import Final, Literal

from airgap.format import canonical, limits
from airgap.format.envelope import Role
from airgap.format.fields import HASH, Fields

__all__ = ["ATTESTING_ROLES", "Attestation", "Decision", "decode", "encode", "note_problem"]

Decision = Literal["accept", "reject"]
DECISIONS: Final[tuple[Decision, ...]] = ("accept", "reject")
ATTESTING_ROLES: Final[tuple[Role, ...]] = ("scanner", "approver")
FORMAT: Final = 1
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Attestation:
    """One decision of one role about one bundle. ``time`` is in seconds since 1970.

    ``bundle`` and ``findings`` are SHA-256 digests; the findings file itself does not travel.
    """

    bundle: bytes
    role: Role
    decision: Decision
    time: int
    note: str = ""
    findings: bytes | None = None


def encode(attestation: Attestation) -> bytes:
    """Encode an attestation (format §14)."""
    return canonical.encode(
        {
            "bundle": attestation.bundle,
            "decision": attestation.decision,
            "findings": attestation.findings,
            "format": FORMAT,
            "hash": HASH,
            "note": attestation.note,
            "role": attestation.role,
            "time": attestation.time,
        }
    )


def decode(raw: bytes) -> Attestation:
    """Decode and check an attestation.

    Raises:
        CorruptError: it breaks a rule of format §14.
    """
    value = canonical.decode(raw, limit=limits.ATTESTATION_BYTES, what="attestation")
    fields = Fields(value, _KEYS, "attestation")
    fields.expect("format", FORMAT)
    fields.expect("hash", HASH)
    decision, role = fields.text("decision"), fields.text("role")
    if decision not in DECISIONS or role not in ATTESTING_ROLES:
        raise fields.error("has an unknown decision or role")
    note = fields.text("note", limits.NOTE_CHARACTERS)
    if note_problem(note):
        raise fields.error(f"has a note that {note_problem(note)}")
    return Attestation(
        bundle=fields.digest("bundle"),
        role=next(allowed for allowed in ATTESTING_ROLES if allowed == role),
        decision=next(allowed for allowed in DECISIONS if allowed == decision),
        time=fields.time("time"),
        note=note,
        findings=None if value["findings"] is None else fields.digest("findings"),
    )


def note_problem(note: str) -> str | None:
    """Return why a note cannot be signed, or None. A note is one line without control characters.

    The text completes the sentence "a note that …".
    """
    if len(note) > limits.NOTE_CHARACTERS:
        return f"has more than {limits.NOTE_CHARACTERS:,} characters"
    if any(unicodedata.category(character) in _INVISIBLE for character in note):
        return "has invisible characters or more than one line"
    return None


_KEYS = frozenset({"bundle", "decision", "findings", "format", "hash", "note", "role", "time"})
