"""Certificates (X.509), which a root names by their SHA-256 (format §7.6)."""

import hashlib
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

__all__ = ["NotSelfSignedError", "digest_authority"]

_PEM: Final = b"-----BEGIN "


class NotSelfSignedError(ValueError):
    """A certificate is not at the top of its chain: no time stamp counts for it (format §33.3)."""


def digest_authority(data: bytes) -> bytes:
    """Return the SHA-256 of the DER form of the one certificate in a file, PEM or DER.

    Raises:
        NotSelfSignedError: it was issued by another one.
        ValueError: it does not hold exactly one certificate.
    """
    if not data.startswith(_PEM):
        certificate = x509.load_der_x509_certificate(data)
    else:
        (certificate,) = x509.load_pem_x509_certificates(data)
    if certificate.subject != certificate.issuer:
        raise NotSelfSignedError
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
