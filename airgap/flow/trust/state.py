"""What an attestation says, signed once more as an in-toto statement (format §31.3)."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from airgap.errors import UsageError
from airgap.flow.bundle.open_to_sign import BundleToSign
from airgap.flow.progress import Progress
from airgap.flow.publishing.attach import attach
from airgap.format import attestation, layout
from airgap.format.attestation import Attestation
from airgap.format.bundle_statement import ATTESTATION_MEMBER, verification_statement
from airgap.format.ledger import digest
from airgap.signing.signer import Signer
from airgap.signing.statements import read_statement, sign_statement
from airgap.times import format_time

__all__ = ["state"]


def state(
    candidate: BundleToSign, unsigned: Attestation, signer: Signer, progress: Progress
) -> Attestation:
    """Attach what an attestation says as a statement; return the attestation to sign.

    It comes first: an attestation is signed only once, and then a statement could not be made of
    it. So a killed run may leave a statement alone, and the next one takes its time from there.

    Raises:
        UsageError: an archive for stock BentoML has no attachments.
        ConflictError: this key has stated something else, or no room is left.
    """
    reader = candidate.reader
    if reader.stock_archive:
        raise UsageError(
            f"{reader.location} cannot have statements for other programs.",
            "Leave out --intoto, or attest a depot or a .airgap file.",
        )
    file = layout.statement_file(
        layout.attestation_file(unsigned.role, signer.key.id, unsigned.name)
    )
    written = reader.read_attachments().get(file, b"")
    left = _find_same(written, unsigned)
    if left is not None:
        attach(reader, file, written, progress)  # whoever wrote it may not have locked it
        return left
    statement = verification_statement(
        unsigned,
        signer.key.id,
        digest(attestation.encode(unsigned)).hex(),
        format_time(unsigned.time),
    )
    attach(reader, file, sign_statement(statement, signer), progress)
    return unsigned


def _find_same(raw: bytes, unsigned: Attestation) -> Attestation | None:
    """Return the attestation that a statement is about, if it says the same but for its time."""
    parts = read_statement(raw)
    if parts is None:
        return None
    predicate: Any = parts[1].predicate
    try:
        moment = datetime.fromisoformat(predicate["timeCreated"])
        same = replace(unsigned, time=int(moment.timestamp()))
        is_same = predicate[ATTESTATION_MEMBER]["attestation"] == (
            digest(attestation.encode(same)).hex()
        )
    except (LookupError, TypeError, ValueError, OverflowError):
        return None
    return same if is_same else None
