"""The TLS of a client: which CAs it trusts, and how it identifies itself."""

import ssl
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from airgap.disk.named_files import TEXT_BYTES, copy_named, read_named
from airgap.errors import ConfigurationError, TransportError

__all__ = ["ClientCertificate", "explain_client_alert", "make_client_context", "reason_of"]

_NO_CERTIFICATE: Final = "no certificate in PEM form"
_MOST_PASSPHRASE: Final = 1023  # bytes; OpenSSL's callback takes no more

# Alerts with which a server refuses a client. A new attempt would meet them again.
_CLIENT_ALERTS: Final = {
    "SSLV3_ALERT_HANDSHAKE_FAILURE": (
        "has no TLS cipher in common with airgap, or requires a client certificate",
        "Give a client certificate (option cert), or allow current ciphers on the server.",
    ),
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": (
        "requires a client certificate",
        "Give this client's certificate: options cert and key, or --client-cert of image push.",
    ),
    "TLSV1_ALERT_UNKNOWN_CA": (
        "does not accept the client certificate",
        "Give a certificate issued by a CA that the server trusts.",
    ),
    "SSLV3_ALERT_BAD_CERTIFICATE": (
        "does not accept the client certificate",
        "Give a certificate issued by a CA that the server trusts.",
    ),
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": (
        "does not accept the client certificate",
        "Give a certificate issued by a CA that the server trusts.",
    ),
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": (
        "reports that the client certificate has expired",
        "Have a new one issued.",
    ),
    "SSLV3_ALERT_CERTIFICATE_REVOKED": (
        "reports that the client certificate is revoked",
        "Have a new one issued.",
    ),
}


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """How a client identifies itself: PEM files; without ``key``, the first has the key too."""

    certificate: Path
    key: Path | None = None
    passphrase: str | None = field(default=None, repr=False)


def make_client_context(
    ca_file: Path | None, client: ClientCertificate | None = None
) -> ssl.SSLContext:
    """Return a context that verifies the server's certificate and host name.

    Args:
        ca_file: PEM of a private CA, or of the server's own certificate; None: the system's CAs.
        client: what to show to a server that asks for it.

    Raises:
        OSError: the CA file cannot be read, is not a regular file, or is too long.
        ValueError: it contains no certificate.
        ConfigurationError: the client's certificate or key cannot be used.
    """
    context = _make_context(ca_file)
    if client is not None:
        _load_client(context, client)
    return context


def explain_client_alert(error: ssl.SSLError, server: str) -> TransportError | None:
    """Return the error of a server that refuses this client's certificate; None for another."""
    if error.reason not in _CLIENT_ALERTS:
        return None
    failed, hint = _CLIENT_ALERTS[error.reason]
    return TransportError(f"{server} {failed}.", hint)


def reason_of(error: OSError) -> str:
    """Return a short reason, without OpenSSL's file names and line numbers."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "closed by the other side").replace("_", " ").lower()
    return error.strerror or type(error).__name__


def _make_context(ca_file: Path | None) -> ssl.SSLContext:
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


def _load_client(context: ssl.SSLContext, client: ClientCertificate) -> None:
    """Load a client's certificate and key.

    Raises:
        ConfigurationError: they cannot be read, do not fit, or the passphrase is missing or wrong.
    """
    key_file = client.key or client.certificate
    try:
        with (
            copy_named(client.certificate, TEXT_BYTES) as certificate,
            copy_named(client.key, TEXT_BYTES) if client.key else nullcontext() as key,
        ):
            encrypted = b"ENCRYPTED" in Path(key or certificate).read_bytes()
            _refuse_passphrase(client, key_file, encrypted=encrypted)
            # Without a password callback OpenSSL would prompt on the terminal.
            context.load_cert_chain(certificate, key, password=lambda: client.passphrase or "")
    except (OSError, ValueError) as error:  # the latter: a path that contains NUL
        wrong = " or the passphrase is wrong" if client.passphrase else ""
        reason = reason_of(error) if isinstance(error, OSError) else error
        raise ConfigurationError(
            f"The client certificate {client.certificate} cannot be used with the key in"
            f" {key_file}: {reason}{wrong}.",
            "Give both as PEM; passphrase_env names the variable with the key's passphrase.",
        ) from error


def _refuse_passphrase(client: ClientCertificate, key_file: Path, *, encrypted: bool) -> None:
    """Refuse an encrypted key without a passphrase, and a passphrase that OpenSSL cannot take.

    Raises:
        ConfigurationError: it is so.
    """
    if encrypted and client.passphrase is None:
        raise ConfigurationError(
            f"The key in {key_file} is encrypted.",
            "Name the variable that has its passphrase: option passphrase_env.",
        )
    try:
        size = len((client.passphrase or "").encode())
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"The passphrase for {key_file} is not UTF-8.",
            "Check the variable that passphrase_env names.",
        ) from None
    if size > _MOST_PASSPHRASE:
        raise ConfigurationError(
            f"The passphrase for {key_file} has more than {_MOST_PASSPHRASE:,} bytes.",
            "Check the variable that passphrase_env names.",
        )
