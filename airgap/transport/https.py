"""What clients over HTTPS share: how a server is recognized, and why a connection fails."""

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from airgap.errors import ConfigurationError, TransportError
from airgap.transport.port import TransientError
from airgap.transport.proxy import name_ignored_variable
from airgap.transport.tls import ClientCertificate, explain_client_alert, make_client_context

__all__ = ["explain_failures", "load_tls"]

_CA_HINT: Final = "Give the certificate of the CA with --ca FILE."


def load_tls(ca_file: Path | None, client: ClientCertificate | None) -> ssl.SSLContext:
    """Return how a server is recognized, and this client to it.

    Raises:
        ConfigurationError: the CA file, or the client's certificate, cannot be used.
    """
    try:
        return make_client_context(ca_file, client)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it has no certificate in PEM"
        raise ConfigurationError(
            f"The CA file {ca_file} cannot be used: {reason}.", "Check its path."
        ) from error


@contextmanager
def explain_failures(url: str, tls_hint: str, ca_hint: str = _CA_HINT) -> Iterator[None]:
    """Translate what can go wrong before a server has received anything.

    ``tls_hint`` says what to do about a server that does not speak TLS, ``ca_hint`` about one with
    a certificate that is not trusted.

    Raises:
        TransientError: the host cannot be resolved, or the connection cannot be opened.
        TransportError: the server is not the one that is trusted, or does not speak TLS.
    """
    try:
        yield
    except socket.gaierror:
        raise TransientError(
            f"The host of {url} cannot be resolved.",
            "Check the name, and DNS." + name_ignored_variable(os.environ),
        ) from None
    except ssl.SSLCertVerificationError as error:
        raise TransportError(
            f"{url} has no certificate that is trusted for this host name"
            f" ({error.verify_message.rstrip('.')}).",
            ca_hint,
        ) from None
    except ssl.SSLError as error:
        if refusal := explain_client_alert(error, url):
            raise refusal from None
        reason = (error.reason or "closed by the server").replace("_", " ").lower()
        raise TransportError(
            f"{url} does not speak TLS as is required ({reason}).", tls_hint
        ) from None
    except OSError as error:
        reason = "timed out" if isinstance(error, TimeoutError) else error.strerror or "broke"
        raise TransientError(
            f"The connection to {url} cannot be opened ({reason}).",
            "Check the host, the port and the network." + name_ignored_variable(os.environ),
        ) from None
