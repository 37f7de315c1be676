"""Attestations: a scanner or an approver signs a statement about a bundle (format §14)."""

import time
from dataclasses import dataclass
from pathlib import Path

from airgap.disk.digests import digest_file
from airgap.disk.os_errors import translate_errors
from airgap.errors import UsageError
from airgap.flow.bundle.open_bundle import STDIN, open_unverified
from airgap.flow.exporting.export import tell_of_others
from airgap.flow.location.credentials import ANYBODY, Access
from airgap.format import attestation, layout
from airgap.format import envelope as dsse
from airgap.format.attestation import Attestation, Decision
from airgap.format.envelope import Role
from airgap.signing.signer import Signer

__all__ = ["Statement", "attest"]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement about a bundle; ``findings`` is a file, of which the digest is signed.

    ``time`` is in seconds since 1970; None means now.
    """

    role: Role
    decision: Decision
    note: str = ""
    findings: Path | None = None
    time: int | None = None


def attest(
    place: str, statement: Statement, signer: Signer, access: Access = ANYBODY
) -> tuple[str, Attestation]:
    """Sign a statement about the bundle in ``place`` and put it beside; return id and attestation.

    The bundle is not verified: the signer has done that before.

    Raises:
        UsageError: ``place`` is standard input, or the note cannot be signed.
        ConflictError: this key has signed another statement about the bundle, or no room is left.
        StorageError: the findings cannot be read, or the disk refused.
    """
    if place == STDIN:
        raise UsageError("Standard input cannot be signed.", "Give a depot or a .airgap file.")
    problem = attestation.note_problem(statement.note)
    if problem:
        raise UsageError(f"The note {problem}.", "Write one short line.")
    findings = None if statement.findings is None else _digest_findings(statement.findings)
    with open_unverified(place, access) as opened:
        at = int(time.time()) if statement.time is None else statement.time
        bundle = bytes.fromhex(opened.bundle)
        signed = Attestation(
            bundle, statement.role, statement.decision, at, statement.note, findings
        )
        raw = attestation.encode(signed)
        files = (
            (layout.attestation_file(signed.role, signer.key.id), raw),
            (
                layout.envelope_file(signed.role, signer.key.id),
                dsse.encode(signer.sign(signed.role, raw)),
            ),
        )
        opened.reader.add_files(files)
        tell_of_others(opened, access)
    return opened.bundle, signed


def _digest_findings(path: Path) -> bytes:
    with translate_errors(path):
        return digest_file(path)
