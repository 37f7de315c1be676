"""Attestations: a scanner or an approver signs a statement about a bundle (format §14)."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from airgap.disk.digests import digest_file
from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_small
from airgap.errors import UsageError
from airgap.flow.bundle.open_to_sign import BundleToSign, demand_builders
from airgap.flow.exporting.export import note_other_volumes
from airgap.flow.ledger.record import EventRecord, recording
from airgap.flow.progress import Progress
from airgap.flow.publishing.attach import attach
from airgap.flow.trust.state import state
from airgap.format import attestation, layout, limits
from airgap.format import envelope as dsse
from airgap.format.attestation import Attestation, Decision
from airgap.format.envelope import Role
from airgap.format.ledger import digest
from airgap.printable import quote
from airgap.signing.signer import Signer

__all__ = ["Statement", "attest"]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement about a bundle; ``findings`` is a file, of which the digest is signed.

    ``is_attached`` puts that file beside the bundle too (format §24). ``time`` is in seconds since
    1970; None means now. ``name`` says what is attested; empty: the default name of the role.
    """

    role: Role
    decision: Decision
    note: str = ""
    findings: Path | None = None
    is_attached: bool = True
    time: int | None = None
    name: str = ""
    is_stated: bool = False
    """Whether the same is signed once more as an in-toto statement (format §31.3)."""


def attest(
    candidate: BundleToSign, statement: Statement, signer: Signer, progress: Progress
) -> Attestation:
    """Sign a statement about a bundle, put it beside the manifest, and return it.

    To accept a bundle, a machine that has a root demands that enough builders signed it. Its packs
    are not read. A rejection needs no builders: it keeps out what nobody may import anyway. Of a
    sealed bundle, it carries neither report nor note, which anybody could read.

    Raises:
        UsageError: the note or the name cannot be signed, or what is accepted is sealed.
        NotTrustedError: the bundle is accepted, and too few builders of this machine's root signed
            it.
        ConflictError: this key has signed another statement about the bundle, or no room is left.
        StorageError: the findings cannot be read, or the disk refused.
        PolicyError: the ledger of this machine is not consistent.
    """
    problem = attestation.note_problem(statement.note)
    if problem:
        raise UsageError(f"The note {problem}.", "Write one short line.")
    if statement.name and not attestation.is_name(statement.name):
        raise UsageError(
            f"{quote(statement.name)} cannot name an attestation.",
            "Use at most 11 lower-case letters, digits and '-', with a letter first.",
        )
    if statement.decision == "accept":
        _refuse_sealed(candidate)
        demand_builders(candidate)
    reason, statement = statement.note, _keep_closed(candidate, statement, progress)
    report = _read_findings(statement)
    findings = digest(report) if report else _digest_findings(statement.findings)
    signed = Attestation(
        bytes.fromhex(candidate.bundle),
        statement.role,
        statement.decision,
        int(time.time()) if statement.time is None else statement.time,
        statement.note,
        findings,
        statement.name,
    )
    if statement.is_stated:
        signed = state(candidate, signed, signer, progress)
    raw = attestation.encode(signed)
    envelope = dsse.encode(signer.sign(signed.role, raw))
    files = (
        (layout.attestation_file(signed.role, signer.key.id, signed.name), raw),
        (layout.envelope_file(signed.role, signer.key.id, signed.name), envelope),
    )
    record = EventRecord(
        "approved" if signed.decision == "accept" else "rejected",
        bundle=signed.bundle,
        channel=candidate.manifest.channel,
        sequence=candidate.manifest.sequence,
        documents={"attestation": digest(raw)} | ({"findings": findings} if findings else {}),
        note=f"{signed.name or signed.role}{f': {reason}' if reason else ''}",
        key=signer.key.id,
        signed_by={signed.role: [signer.key.id]},
    )
    reader = candidate.reader
    with recording(candidate.manifest.audience, record, progress):
        if report and reader.stock_archive:
            progress.note(f"{reader.location} cannot have attachments: keep {statement.findings}.")
        elif report:  # first: an attestation without its report cannot be mended
            attach(reader, layout.findings_file(files[0][0]), report, progress)
        reader.add_files(files)
    note_other_volumes(candidate, progress)
    return signed


def _refuse_sealed(candidate: BundleToSign) -> None:
    """Refuse to accept an index: it would count for nothing (format §34.5). Raises UsageError."""
    if candidate.manifest.sealed is not None:
        raise UsageError(
            f"{candidate.reader.location} is sealed, and an attestation is about what is inside.",
            "Unseal it (`airgap unseal`), attest the result, and seal that (`airgap seal`).",
        )


def _keep_closed(candidate: BundleToSign, statement: Statement, progress: Progress) -> Statement:
    """Return what may lie beside the bundle: if that is sealed, neither a report nor a note."""
    if candidate.manifest.sealed is None:
        return statement
    location = candidate.reader.location
    if statement.findings and statement.is_attached:
        progress.note(
            f"{location} is sealed, so that {statement.findings} is not attached: its SHA-256 is"
            " signed. Keep the file."
        )
    if statement.note:
        progress.note(
            f"{location} is sealed, so that the note is not signed: the ledger of this machine has"
            " it."
        )
    return replace(statement, note="", is_attached=False)


def _read_findings(statement: Statement) -> bytes:
    """Read the report that is to be attached; nothing if there is none."""
    path = statement.findings
    if path is None or not statement.is_attached:
        return b""
    with translate_errors(path):
        report = read_small(path, limits.FINDINGS_BYTES)
    if not 0 < len(report) <= limits.FINDINGS_BYTES:
        raise UsageError(
            f"{path} is empty, or has more than the {limits.FINDINGS_BYTES:,} bytes that an"
            " attachment may have.",
            "Give --no-attach to sign its SHA-256 alone, and keep the file.",
        )
    return report


def _digest_findings(path: Path | None) -> bytes | None:
    if path is None:
        return None
    with translate_errors(path):
        return digest_file(path)
