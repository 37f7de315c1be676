"""In-toto statements about bundles: signed, and judged with a site's root (format §31)."""

from dataclasses import dataclass
from typing import Final, Literal

from airgap.errors import CorruptError, UsageError
from airgap.format import limits
from airgap.format.bundle_statement import is_about
from airgap.format.envelope import BUNDLE_ROLES, Role
from airgap.format.intoto import (
    PAYLOAD_TYPE,
    InTotoStatement,
    StatementEnvelope,
    decode_envelope,
    decode_statement,
    encode_envelope,
    encode_statement,
)
from airgap.format.root import Key, Root
from airgap.signing.public_keys import verifies
from airgap.signing.signer import Signer

__all__ = ["Judged", "judge_statement", "read_statement", "sign_statement"]

StatementVerdict = Literal["signed", "another bundle", "does not match", "not checked"]
_WHAT: Final = "statement"
_TYPE_CHARACTERS: Final = 300


@dataclass(frozen=True, slots=True)
class Judged:
    """What is known of an attached statement (format §31.4); nothing may rely on it.

    ``predicate_type`` is what it claims to be; empty if it cannot be read, or is too long.
    """

    verdict: StatementVerdict
    predicate_type: str = ""
    role: Role | None = None
    key_id: str = ""


def sign_statement(statement: InTotoStatement, signer: Signer) -> bytes:
    """Sign a statement about a bundle; return the attachment (format §31.1).

    Raises:
        UsageError: it would have more bytes than an attachment may have.
        ConfigurationError: the keeper of the key refuses.
    """
    payload = encode_statement(statement)
    signature = signer.sign("statement", payload)
    raw = encode_envelope(StatementEnvelope(payload, (signature,)))
    if len(raw) > limits.STATEMENT_BYTES:
        raise UsageError(
            f"The statement would have {len(raw):,} bytes; at most {limits.STATEMENT_BYTES:,} may"
            " be attached.",
            "Export fewer items into one bundle, or leave the statement out.",
        )
    return raw


def read_statement(raw: bytes) -> tuple[StatementEnvelope, InTotoStatement] | None:
    """Read an attached statement; None if it is not one. Nothing is verified."""
    try:
        envelope = decode_envelope(raw, _WHAT, limits.STATEMENT_BYTES)
        if envelope.payload_type != PAYLOAD_TYPE:
            return None
        return envelope, decode_statement(envelope.payload, _WHAT, limits.STATEMENT_BYTES)
    except CorruptError:
        return None


def judge_statement(raw: bytes, bundle: str, root: Root | None) -> Judged:
    """Say what is known of an attachment of the kind ``intoto.json``, by a root or without one."""
    parts = read_statement(raw)
    if parts is None:
        return Judged("not checked")
    envelope, statement = parts
    predicate_type = statement.predicate_type
    if len(predicate_type) > _TYPE_CHARACTERS:  # a flood on the terminal, and no type of anybody
        predicate_type = ""
    for signature in envelope.signatures:
        known = None if root is None else _find_key(root, signature.key_id)
        if known is None:
            continue
        role, key = known
        if not verifies(key, signature.signature, envelope.signed_bytes):
            return Judged("does not match", predicate_type, role, key.id)
        verdict: StatementVerdict = "signed" if is_about(statement, bundle) else "another bundle"
        return Judged(verdict, predicate_type, role, key.id)
    return Judged("not checked", predicate_type)


def _find_key(root: Root, key_id: str) -> tuple[Role, Key] | None:
    """Return an unrevoked key of those who sign about bundles, with its first role."""
    for role in BUNDLE_ROLES:
        key = root.signers(role).get(key_id)
        if key is not None:
            return role, key
    return None
