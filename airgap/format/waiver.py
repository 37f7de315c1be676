"""Waivers: the approvers' permission to import one bundle despite its age (format §16)."""

from dataclasses import dataclass
from typing import Final

from airgap.format import canonical, limits, names
from airgap.format.attestation import note_problem
from airgap.format.fields import HASH, Fields

__all__ = ["Waiver", "decode", "encode", "reason_problem"]

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Waiver:
    """Permission for one site to import one bundle until ``expires_at``.

    Times are in seconds since 1970.

    ``bundle`` is the SHA-256 of the manifest.
    """

    bundle: bytes
    site: str
    reason: str
    time: int
    expires_at: int


def encode(waiver: Waiver) -> bytes:
    """Encode a waiver (format §16)."""
    return canonical.encode(
        {
            "bundle": waiver.bundle,
            "expires_at": waiver.expires_at,
            "format": FORMAT,
            "hash": HASH,
            "reason": waiver.reason,
            "site": waiver.site,
            "time": waiver.time,
        }
    )


def decode(raw: bytes) -> Waiver:
    """Decode and check a waiver.

    Raises:
        CorruptError: it breaks a rule of format §16.
    """
    value = canonical.decode(raw, limit=limits.WAIVER_BYTES, what="waiver")
    fields = Fields(value, _KEYS, "waiver")
    fields.expect("format", FORMAT)
    fields.expect("hash", HASH)
    waiver = Waiver(
        bundle=fields.digest("bundle"),
        site=fields.text("site"),
        reason=fields.text("reason", limits.NOTE_CHARACTERS),
        time=fields.time("time"),
        expires_at=fields.time("expires_at"),
    )
    if reason_problem(waiver.reason):
        raise fields.error(f"has a reason that {reason_problem(waiver.reason)}")
    if not names.is_tag_part(waiver.site):
        raise fields.error("has an invalid site id")
    return waiver


def reason_problem(reason: str) -> str | None:
    """Return why a reason cannot be signed, or None."""
    return note_problem(reason) if reason.strip() else "is empty"


_KEYS = frozenset({"bundle", "expires_at", "format", "hash", "reason", "site", "time"})
