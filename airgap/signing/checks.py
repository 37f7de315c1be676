"""Results of checks of an archive: signed by recorders, verified with a root (format §36.4)."""

import hashlib
from dataclasses import dataclass
from typing import Final

from airgap.errors import CorruptError, NotTrustedError, UsageError
from airgap.format import envelope as dsse
from airgap.format import intoto, limits
from airgap.format.check_result import ArchiveCheck, encode_check
from airgap.format.intoto import StatementEnvelope
from airgap.format.read_check import decode_check
from airgap.format.root import Root
from airgap.signing.signer import Signer
from airgap.signing.thresholds import find_valid_signers

__all__ = ["SignedCheck", "sign_check", "verify_check"]

_WHAT: Final = "result"


@dataclass(frozen=True, slots=True)
class SignedCheck:
    """A result that a recorder of the site's root has signed."""

    check: ArchiveCheck
    recorder: str
    digest: bytes
    """The SHA-256 of the file, which names it."""


def sign_check(check: ArchiveCheck, signer: Signer) -> bytes:
    """Sign a result; return its file.

    Raises:
        UsageError: it is longer than a result may be.
        ConfigurationError: the keeper of the key refuses.
    """
    payload = encode_check(check)
    if len(payload) > limits.CHECK_BYTES:
        raise UsageError(
            f"The result would have {len(payload):,} bytes; at most {limits.CHECK_BYTES:,} are"
            " read.",
            "Check the archive in shards: --shard 1/64.",
        )
    return intoto.encode_envelope(StatementEnvelope(payload, (signer.sign("statement", payload),)))


def verify_check(raw: bytes, root: Root) -> SignedCheck:
    """Verify the file of a result: its signature first, then its content.

    Raises:
        NotTrustedError: no recorder of the site has signed it.
        CorruptError: it is malformed.
    """
    envelope = intoto.decode_envelope(raw, _WHAT, limits.CHECK_FILE_BYTES)
    if intoto.encode_envelope(envelope) != raw or envelope.payload_type != intoto.PAYLOAD_TYPE:
        raise CorruptError(
            "The result is not in the form that airgap writes.",
            "Get the result again from the machine that made the check.",
        )
    if len(envelope.signatures) != 1:
        raise CorruptError(
            f"The result has {len(envelope.signatures)} signatures, and one is read.",
            "Get the result again from the machine that made the check.",
        )
    keys = root.signers("recorder") if "recorder" in root.roles else {}
    signature = envelope.signatures[0]
    signed = [dsse.encode(signature)] if signature.key_id in keys else []
    try:
        recorders = find_valid_signers("statement", envelope.payload, signed, keys)
    except NotTrustedError as error:
        raise NotTrustedError(
            error.message, "The result was changed: get it again from the machine that made it."
        ) from error
    if not recorders:
        raise NotTrustedError(
            f"The result is not signed by a recorder of site {root.site}.",
            "Let the root name the key of the machine that checks:"
            " `airgap root add-key ROOT recorder KEY.pub -o NEXT`.",
        )
    return SignedCheck(decode_check(envelope.payload), recorders[0], hashlib.sha256(raw).digest())
