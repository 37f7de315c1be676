"""Records of an archive: signed, and their signatures counted with a site's root (§35.2)."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from airgap.errors import ConflictError, CorruptError, NotTrustedError
from airgap.format import envelope as dsse
from airgap.format import intoto, limits
from airgap.format.archive import ArchiveRecord, encode_record
from airgap.format.envelope import Role
from airgap.format.intoto import StatementEnvelope
from airgap.format.root import Key, Root
from airgap.signing.signer import Signer
from airgap.signing.thresholds import find_valid_signers

__all__ = [
    "SIGNING_ROLES",
    "add_record_signature",
    "choose_release_role",
    "count_record_signers",
    "find_record_signers",
    "read_record_envelope",
    "sign_record",
]

SIGNING_ROLES: Final[tuple[Role, ...]] = ("recorder", "approver")
"""Whose keys sign ``archived`` and ``held``."""
_WHAT: Final = "record"
_HINT: Final = "Restore the file from another copy of the archive."


def sign_record(record: ArchiveRecord, signer: Signer) -> StatementEnvelope:
    """Sign a record that nobody has signed yet.

    Raises:
        ConflictError, ConfigurationError: as ``add_record_signature``.
    """
    return add_record_signature(StatementEnvelope(encode_record(record)), signer)


def add_record_signature(envelope: StatementEnvelope, signer: Signer) -> StatementEnvelope:
    """Sign a record, once more or as the first.

    Raises:
        ConflictError: this key has signed it, or no room is left.
        ConfigurationError: the keeper of the key refuses.
    """
    if any(signature.key_id == signer.key.id for signature in envelope.signatures):
        raise ConflictError(
            f"The record is signed by key {signer.key.id} already.", "Use another approver's key."
        )
    signature = signer.sign("statement", envelope.payload)
    signed = replace(envelope, signatures=(*envelope.signatures, signature))
    size = len(intoto.encode_envelope(signed))
    if len(signed.signatures) > limits.ENVELOPES or size > limits.RECORD_FILE_BYTES:
        raise ConflictError(
            "The record has no room for another signature.", "It has more than it needs."
        )
    return signed


def read_record_envelope(raw: bytes) -> StatementEnvelope:
    """Read the file of a record; nothing is verified, and its statement is not decoded.

    Raises:
        CorruptError: it is not in the one form that a writer writes (format §29.1).
    """
    envelope = intoto.decode_envelope(raw, _WHAT, limits.RECORD_FILE_BYTES)
    if intoto.encode_envelope(envelope) != raw or envelope.payload_type != intoto.PAYLOAD_TYPE:
        raise CorruptError("The record is not in the form that airgap writes.", _HINT)
    return envelope


def find_record_signers(
    envelopes: Iterable[StatementEnvelope], root: Root, role: Role
) -> tuple[str, ...]:
    """Return the ids of a role's keys with a valid signature over the same statement (§7.3).

    A signature that is not that of its key is passed over: anybody can add a file with one.
    """
    keys = root.signers(role)
    return tuple(
        sorted(
            {
                key_id
                for envelope in envelopes
                for signature in envelope.signatures
                for key_id in _verify(envelope.payload, dsse.encode(signature), keys)
            }
        )
    )


def count_record_signers(
    envelopes: Iterable[StatementEnvelope], root: Root
) -> Mapping[Role, tuple[str, ...]]:
    """Return the ids of the recorders and the approvers of a root that signed a statement."""
    given = tuple(envelopes)
    return {role: find_record_signers(given, root, role) for role in SIGNING_ROLES}


def choose_release_role(root: Root) -> tuple[Role, int]:
    """Return whose signatures a ``released`` needs, and how many (format §35.2, rule 1)."""
    threshold = root.threshold("approver")
    return ("approver", threshold) if threshold else ("recorder", 1)


def _verify(payload: bytes, envelope: bytes, keys: Mapping[str, Key]) -> tuple[str, ...]:
    try:
        return find_valid_signers("statement", payload, [envelope], keys)
    except NotTrustedError:
        return ()
