"""TLS of FTP connections: what is verified, and what to do when verification fails."""

import ssl
from contextlib import nullcontext
from typing import Final

from airgap.disk.named_files import TEXT_BYTES, copy_named
from airgap.errors import ConfigurationError, TransportError
from airgap.transport.ftp.options import FtpOptions
from airgap.transport.port import TransientError
from airgap.transport.tls import make_client_context

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
    "SSLV3_ALERT_HANDSHAKE_FAILURE": (
        "has no TLS cipher in common with airgap, or requires a client certificate",
        "Give a client certificate (option cert), or allow current ciphers on the server.",
    ),
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": (
        "requires a client certificate",
        "Give the certificate and key issued for this client: options cert and key.",
    ),
    "TLSV1_ALERT_UNKNOWN_CA": (
        "does not accept the client certificate",
        "Give a certificate issued by a CA that the server trusts.",
    ),
    "SSLV3_ALERT_BAD_CERTIFICATE": (
        "does not accept the client certificate",
        "Give a certificate issued by a CA that the server trusts.",
    ),
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": (
        "reports that the client certificate has expired",
        "Have a new one issued.",
    ),
}


def make_context(options: FtpOptions) -> ssl.SSLContext:
    """Return a context that verifies the server's certificate and host name.

    Raises:
        ConfigurationError: the CA file, certificate or key cannot be read.
    """
    try:
        context = make_client_context(options.ca_file)
    except (OSError, ValueError) as error:
        reason = _reason_of(error) if isinstance(error, OSError) else error
        raise ConfigurationError(
            f"{options.ca_file} cannot be read as certificates: {reason}.",
            "Give a PEM file with the CA's certificate.",
        ) from error
    context.minimum_version = _VERSIONS[options.minimum_tls]
    if options.client_certificate:
        _load_client(context, options)
    return context


def _load_client(context: ssl.SSLContext, options: FtpOptions) -> None:
    assert options.client_certificate  # noqa: S101  (the caller has checked)
    key_file = options.client_key or options.client_certificate
    try:
        with (
            copy_named(options.client_certificate, TEXT_BYTES) as certificate,
            copy_named(key_file, TEXT_BYTES) if options.client_key else nullcontext() as key,
        ):
            # Without a password callback OpenSSL would prompt on the terminal.
            context.load_cert_chain(certificate, key, password=str)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"The client certificate {options.client_certificate} cannot be used with the key in"
            f" {key_file}: {_reason_of(error)}.",
            "Give both as PEM, the key without a passphrase.",
        ) from error


def explain_tls(error: ssl.SSLError, server: str) -> TransportError:
    """Say which check failed; what a broken connection may have caused is a TransientError."""
    if isinstance(error, ssl.SSLCertVerificationError):
        failed, hint = _CERTIFICATE_ERRORS.get(
            error.verify_code, (f"fails: {error.verify_message}", _ISSUER)
        )
        return TransportError(f"{server}: the server's certificate {failed}.", hint)
    if error.reason in _PERMANENT:
        failed, hint = _PERMANENT[error.reason]
        return TransportError(f"{server} {failed}.", hint)
    return TransientError(
        f"{server}: the TLS connection broke ({_reason_of(error)}).", "Run the same command again."
    )


def _reason_of(error: OSError) -> str:
    """Return a short reason, without OpenSSL's file names and line numbers."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "closed by the other side").replace("_", " ").lower()
    return error.strerror or type(error).__name__
