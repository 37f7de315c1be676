"""Detached DSSE envelopes (format §6): one signature over the exact bytes of a document."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from airgap.errors import CorruptError, NotTrustedError
from airgap.format import limits, names

__all__ = [
    "BUNDLE_ROLES",
    "PAYLOAD_TYPES",
    "ROLES",
    "Envelope",
    "Purpose",
    "Role",
    "decode",
    "encode",
    "refuse_too_many",
    "signed_bytes",
]

Role = Literal["root", "builder", "scanner", "approver", "recorder", "witness"]
ROLES: Final[tuple[Role, ...]] = (
    "root",
    "builder",
    "scanner",
    "approver",
    "recorder",
    "witness",
)
BUNDLE_ROLES: Final[tuple[Role, ...]] = ("builder", "scanner", "approver")
"""The roles whose signatures lie beside a manifest (format §8)."""
Purpose = Role | Literal["waiver", "model", "statement"]
"""What a signature is for: the document that a role signs, a waiver, a single model for other tools
(format §18), or an in-toto statement, whose envelope has it inside (format §29.1)."""

_ATTESTATION = "application/vnd.airgap.attestation.v1+msgpack"
PAYLOAD_TYPES: Final[Mapping[Purpose, str]] = MappingProxyType(
    {
        "root": "application/vnd.airgap.root.v1+msgpack",
        "builder": "application/vnd.airgap.manifest.v1+msgpack",
        "scanner": _ATTESTATION,
        "approver": _ATTESTATION,
        "waiver": "application/vnd.airgap.waiver.v1+msgpack",
        "model": "application/vnd.in-toto+json",
        "statement": "application/vnd.in-toto+json",
    }
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """One signature: its payload type, the key id that it claims, and the raw signature."""

    payload_type: str
    key_id: str
    signature: bytes


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes to sign: DSSE's pre-authentication encoding (format §6.1)."""
    encoded = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(encoded), encoded, len(payload), payload)


def encode(envelope: Envelope) -> bytes:
    """Encode an envelope file (format §6.2)."""
    signature = base64.b64encode(envelope.signature).decode()
    document = {
        "payloadType": envelope.payload_type,
        "signatures": [{"keyid": envelope.key_id, "sig": signature}],
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def decode(raw: bytes) -> Envelope:
    """Decode an envelope file.

    Raises:
        NotTrustedError: it does not have exactly the form of format §6.2.
    """
    if len(raw) > limits.ENVELOPE_BYTES:
        raise _malformed_error()
    try:
        document = json.loads(raw)
        (entry,) = document["signatures"]
        payload_type, key_id = document["payloadType"], entry["keyid"]
        signature = base64.b64decode(entry["sig"], validate=True)
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error) as error:
        raise _malformed_error() from error
    if type(payload_type) is not str or type(key_id) is not str or not names.is_bundle_id(key_id):
        raise _malformed_error()
    envelope = Envelope(payload_type, key_id, signature)
    if encode(envelope) != raw:
        raise _malformed_error()
    return envelope


def refuse_too_many(names: Sequence[str], location: str) -> None:
    """Refuse more envelopes of one role than a bundle may have (format §2.3), and read none.

    A reader that took the first ones would let invented ones displace a signature.

    Raises:
        CorruptError: there are too many.
    """
    if len(names) > limits.ENVELOPES:
        raise CorruptError(
            f"{location} has {len(names)} signature files of one role; at most {limits.ENVELOPES}"
            " are read.",
            "Remove those by keys that the site's root does not name (ROLE.<key id>.dsse).",
        )


def _malformed_error() -> NotTrustedError:
    return NotTrustedError(
        "A signature file is damaged or not in the format.",
        "Copy the bundle from its source again; if that does not help, have it signed again.",
    )
