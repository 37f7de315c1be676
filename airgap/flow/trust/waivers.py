"""Waivers: create, sign by one approver after the other, read (format §16)."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk.part_file import write_atomically
from airgap.errors import ConflictError, NotTrustedError, UsageError
from airgap.flow.bundle.open_to_sign import BundleToSign, demand_builders
from airgap.flow.ledger.record import EventRecord, record_event
from airgap.format import envelope as dsse
from airgap.format import limits, names
from airgap.format import waiver as format_waiver
from airgap.format.envelope import Envelope
from airgap.format.root import fingerprint
from airgap.format.waiver import Waiver
from airgap.signing.signer import Signer
from airgap.state import pinned_root
from airgap.state.pinned_root import envelope_stem

__all__ = ["SUFFIX", "SignedWaiver", "WaiverDraft", "create_waiver", "read_waiver", "sign_waiver"]

SUFFIX: Final = ".waiver"


@dataclass(frozen=True, slots=True)
class WaiverDraft:
    """The content of a new waiver. ``expires_at`` is in seconds since 1970."""

    site: str
    reason: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class SignedWaiver:
    """A waiver file, its content, the keys with a signature beside it, and whether one was added.

    The signatures are not verified; the site's root decides which count.
    """

    path: Path
    waiver: Waiver
    key_ids: tuple[str, ...]
    new: bool = True

    @property
    def digest(self) -> str:
        """What names the file's bytes to those who sign it: ``SHA256:`` and 64 hex digits."""
        return fingerprint(format_waiver.encode(self.waiver))


def create_waiver(
    candidate: BundleToSign, draft: WaiverDraft, signer: Signer, output: Path | None
) -> SignedWaiver:
    """Write and sign a waiver for a bundle, of which no pack is read.

    Raises:
        UsageError: the site is not a name, the reason cannot be signed, or the time has passed.
        NotTrustedError: this machine has the site's root, and too few builders signed the bundle.
        ConflictError: the output file, or signatures of its name, exist.
        StorageError: it cannot be written.
    """
    now = int(time.time())
    problem = format_waiver.reason_problem(draft.reason)
    if problem:
        raise UsageError(f"The reason {problem}.", "Write one short line.")
    if not names.is_tag_part(draft.site):
        raise UsageError(f"{draft.site!r} is not a site id.", "See `airgap trust show` there.")
    if draft.expires_at <= now:
        raise UsageError("The waiver would be expired already.", "Give a later --expires.")
    demand_builders(candidate, draft.site)
    bundle = candidate.bundle
    made = Waiver(bytes.fromhex(bundle), draft.site, draft.reason, now, draft.expires_at)
    path = output or Path(f"{bundle[:16]}{SUFFIX}")
    left = sorted(path.parent.glob(f"{envelope_stem(path)}.*.dsse"))
    if path.exists() or left:
        raise ConflictError(
            f"{path if path.exists() else left[0]} already exists.",
            "To add a signature, name the .waiver file instead of the bundle; or give -o another"
            " name (what comes before its first dot counts).",
        )
    raw = format_waiver.encode(made)
    envelope = signer.sign("waiver", raw)
    _record(made, raw, signer)
    write_atomically(path.parent, path.name, [raw])
    _write_envelope(path, envelope)
    return SignedWaiver(path, made, (signer.key.id,))


def read_waiver(path: Path) -> SignedWaiver:
    """Read a waiver and the key ids of the envelopes beside it.

    Raises:
        ConfigurationError: it does not exist or cannot be read.
        CorruptError: it is not a waiver.
        NotTrustedError: a signature file is damaged.
    """
    raw, envelopes = pinned_root.read_signed(path, limits.WAIVER_BYTES, "waiver")
    key_ids = {dsse.decode(envelope).key_id for envelope in envelopes}
    return SignedWaiver(path, format_waiver.decode(raw), tuple(sorted(key_ids)), new=False)


def sign_waiver(signed: SignedWaiver, signer: Signer, digest: str) -> SignedWaiver:
    """Put an approver's signature beside a waiver that was read, which is not read again.

    Args:
        signed: the waiver.
        signer: the approver.
        digest: of the waiver that is to be signed, as ``normalize_digest`` returns it.

    Raises:
        NotTrustedError: the waiver has another digest.
        StorageError: the signature cannot be written.
    """
    if signed.digest != digest:
        raise NotTrustedError(
            f"{signed.path} has the digest {signed.digest}, not {digest}.",
            "Do not sign it: it is not the waiver that you have read. `airgap inspect` shows it.",
        )
    if signer.key.id in signed.key_ids:
        return signed
    raw = format_waiver.encode(signed.waiver)
    envelope = signer.sign("waiver", raw)
    _record(signed.waiver, raw, signer)
    _write_envelope(signed.path, envelope)
    key_ids = tuple(sorted({*signed.key_ids, signer.key.id}))
    return SignedWaiver(signed.path, signed.waiver, key_ids)


def _record(waiver: Waiver, raw: bytes, signer: Signer) -> None:
    """Record a waiver that was signed in the ledger of exports for its site (format §17.3)."""
    key_id = signer.key.id
    record = EventRecord(
        "waiver-written",
        bundle=waiver.bundle,
        note=waiver.reason,
        key=key_id,
        signed_by={"waiver": [key_id]},
        waiver=hashlib.sha256(raw).digest(),
    )
    record_event(waiver.site, "exporting", record)


def _write_envelope(path: Path, envelope: Envelope) -> None:
    name = f"{envelope_stem(path)}.{envelope.key_id}.dsse"
    write_atomically(path.parent, name, [dsse.encode(envelope)])
