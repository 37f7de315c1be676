"""The TLS of a client: which CAs it trusts."""

import ssl
from pathlib import Path
from typing import Final

from airgap.disk.named_files import TEXT_BYTES, read_named

__all__ = ["make_client_context"]

_NO_CERTIFICATE: Final = "no certificate in PEM form"


def make_client_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that verifies the server's certificate and host name.

    Args:
        ca_file: PEM of a private CA, or of the server's own certificate; None: the system's CAs.

    Raises:
        OSError: the file cannot be read, is not a regular file, or is too long.
        ValueError: it contains no certificate.
    """
    if ca_file is None:
        return ssl.create_default_context()
    # Comments beside the certificates may have any characters.
    certificates = read_named(ca_file, TEXT_BYTES).decode("ascii", "ignore")
    try:
        context = ssl.create_default_context(cadata=_require_any(certificates))
    except ssl.SSLError as error:
        raise ValueError(_NO_CERTIFICATE) from error
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN  # the server's own, perhaps
    return context


def _require_any(certificates: str) -> str:
    """Refuse an empty file, for which ``ssl`` would trust the system's CAs."""
    if not certificates.strip():
        raise ValueError(_NO_CERTIFICATE)
    return certificates
