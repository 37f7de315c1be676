"""Detached DSSE envelopes (format §6): one signature over the exact bytes of a document."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from airgap.errors import NotTrustedError
from airgap.format import limits, names

__all__ = [
    "PAYLOAD_TYPES",
    "ROLES",
    "Envelope",
    "Purpose",
    "Role",
    "decode",
    "encode",
    "signed_bytes",
]

Role = Literal["root", "builder", "scanner", "approver"]
ROLES: Final[tuple[Role, ...]] = ("root", "builder", "scanner", "approver")
Purpose = Role | Literal["waiver", "model"]
"""What a signature is for: what a role signs as a matter of course, a waiver of approvers, or one
model for those who check it with other tools (format §18)."""

_ATTESTATION = "application/vnd.airgap.attestation.v1+msgpack"
PAYLOAD_TYPES: Final[Mapping[Purpose, str]] = MappingProxyType(
    {
        "root": "application/vnd.airgap.root.v1+msgpack",
        "builder": "application/vnd.airgap.manifest.v1+msgpack",
        "scanner": _ATTESTATION,
        "approver": _ATTESTATION,
        "waiver": "application/vnd.airgap.waiver.v1+msgpack",
        "model": "application/vnd.in-toto+json",
    }
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """One signature: the payload type it is for, the key id it claims, the raw signature."""

    payload_type: str
    key_id: str
    signature: bytes


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: DSSE's pre-authentication encoding (format §6.1)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


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
        NotTrustedError: it is not exactly of the form of format §6.2.
    """
    if len(raw) > limits.ENVELOPE_BYTES:
        raise _malformed()
    try:
        document = json.loads(raw)
        (one,) = document["signatures"]
        kind, key_id = document["payloadType"], one["keyid"]
        signature = base64.b64decode(one["sig"], validate=True)
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error) as error:
        raise _malformed() from error
    if type(kind) is not str or type(key_id) is not str or not names.is_bundle_id(key_id):
        raise _malformed()
    envelope = Envelope(kind, key_id, signature)
    if encode(envelope) != raw:
        raise _malformed()
    return envelope


def _malformed() -> NotTrustedError:
    return NotTrustedError(
        "A signature file is damaged or not in the format.",
        "Copy the bundle from its source again; if that does not help, have it signed again.",
    )
