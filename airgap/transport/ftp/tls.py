"""TLS of FTP connections: what is verified, and what to do when verification fails."""

import ssl
from typing import Final

from airgap.errors import ConfigurationError, TransportError
from airgap.transport.ftp.options import FtpOptions
from airgap.transport.port import TransientError
from airgap.transport.tls import (
    ClientCertificate,
    explain_client_alert,
    make_client_context,
    reason_of,
)

__all__ = ["explain_tls", "make_context"]

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

# OpenSSL's X509_V_ERR_* codes.
_CLOCK: Final = "If this machine's clock is correct, the server needs a new certificate."
_ISSUER: Final = (
    "Give the PEM file of its CA, or the server's own certificate, as the option ca of a named"
    " remote (`airgap remote add`)."
)
_NAME: Final = "Use the host name in the certificate, or have a certificate issued for this name."
_CERTIFICATE_ERRORS: Final = {
    9: ("is not valid yet", _CLOCK),
    10: ("has expired", _CLOCK),
    18: ("is self-signed, and not trusted here", _ISSUER),
    19: ("was issued by a CA that is not trusted here", _ISSUER),
    20: ("was issued by a CA that is not trusted here", _ISSUER),
    21: ("was issued by a CA that is not trusted here", _ISSUER),
    62: ("was issued for another host name", _NAME),
    64: ("was issued for another address", _NAME),
}

# Errors that a new attempt would meet again. Any other may be a bit flipped in transit.
_PERMANENT: Final = {
    "WRONG_VERSION_NUMBER": (
        "does not speak TLS on this port",
        "Use ftpes:// (explicit TLS, port 21) or ftps:// (implicit TLS, port 990).",
    ),
    "UNSUPPORTED_PROTOCOL": (
        "supports no TLS version that is allowed here",
        "Update the server: at least TLS 1.2 is required.",
    ),
    "TLSV1_ALERT_PROTOCOL_VERSION": (
        "supports no TLS version that is allowed here",
        "Update the server: at least TLS 1.2 is required.",
    ),
}


def make_context(options: FtpOptions) -> ssl.SSLContext:
    """Return a context that verifies the server's certificate and host name.

    Raises:
        ConfigurationError: the CA file, certificate or key cannot be read.
    """
    client = None
    if options.client_certificate:
        client = ClientCertificate(
            options.client_certificate, options.client_key, options.client_passphrase
        )
    try:
        context = make_client_context(options.ca_file, client)
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else error
        raise ConfigurationError(
            f"{options.ca_file} cannot be read as certificates: {reason}.",
            "Give a PEM file with the CA's certificate.",
        ) from error
    context.minimum_version = _VERSIONS[options.minimum_tls]
    return context


def explain_tls(error: ssl.SSLError, server: str) -> TransportError:
    """Say which check failed; what a broken connection may have caused is a TransientError."""
    if isinstance(error, ssl.SSLCertVerificationError):
        failed, hint = _CERTIFICATE_ERRORS.get(
            error.verify_code, (f"fails: {error.verify_message}", _ISSUER)
        )
        return TransportError(f"{server}: the server's certificate {failed}.", hint)
    if refusal := explain_client_alert(error, server):
        return refusal
    if error.reason in _PERMANENT:
        failed, hint = _PERMANENT[error.reason]
        return TransportError(f"{server} {failed}.", hint)
    return TransientError(
        f"{server}: the TLS connection broke ({reason_of(error)}).", "Run the same command again."
    )
