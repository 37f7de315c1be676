"""How a private key file is encrypted, read without its passphrase."""

import base64
import binascii
import re
from typing import Final, Literal

__all__ = ["Protection", "read_protection"]

Protection = Literal["", "PBKDF2", "bcrypt", "scrypt", "MD5", "unknown"]
"""What makes a key of the passphrase; empty for a file that is not encrypted."""

_BODY: Final = re.compile(rb"-----BEGIN ([A-Z ]+)-----\s(.*?)-----END", re.DOTALL)
_OPENSSH: Final = b"openssh-key-v1\0"
_DERIVATIONS: Final[dict[bytes, Protection]] = {  # object identifiers in DER
    bytes.fromhex("06092a864886f70d01050c"): "PBKDF2",
    bytes.fromhex("06092b06010401da47040b"): "scrypt",
}
_HEAD_BYTES: Final = 96  # the identifiers of PBES2 and its derivation come first


def read_protection(text: bytes) -> Protection:
    """Tell how a private key file (PEM) is encrypted. What is not one counts as not encrypted."""
    match = _BODY.search(text)
    if match is None:
        return ""
    label, body = match[1], match[2]
    if b"Proc-Type: 4,ENCRYPTED" in body:  # OpenSSL's older form
        return "MD5"
    try:
        raw = base64.b64decode(b"".join(body.split()))
    except binascii.Error:
        return ""
    if label == b"OPENSSH PRIVATE KEY" and raw.startswith(_OPENSSH):
        return "" if raw[len(_OPENSSH) + 4 :].startswith(b"none") else "bcrypt"
    if label != b"ENCRYPTED PRIVATE KEY":
        return ""
    named = (name for identifier, name in _DERIVATIONS.items() if identifier in raw[:_HEAD_BYTES])
    return next(named, "unknown")
