"""The way to a server over HTTPS, as the options of a command say it."""

from dataclasses import dataclass
from pathlib import Path

from airgap.errors import ConfigurationError
from airgap.transport.secrets import read_secret_variable
from airgap.transport.tls import ClientCertificate

__all__ = ["HttpsWay"]


@dataclass(frozen=True, slots=True)
class HttpsWay:
    """The proxy to go through (``environment`` or a URL), and how this machine identifies itself.

    The last of each names the variable with the password, or with the passphrase of the key.
    """

    proxy: str = ""
    proxy_password_env: str = ""
    certificate: Path | None = None
    key: Path | None = None
    passphrase_env: str = ""

    def make_client(self) -> ClientCertificate | None:
        """Return the client's certificate; None without one.

        Raises:
            ConfigurationError: there is a key without it, or no such variable.
        """
        if self.certificate is None:
            if self.key is not None:
                raise ConfigurationError(
                    "--client-key is given, and --client-cert is not.", "Give both, as PEM files."
                )
            return None
        passphrase = read_secret_variable("--client-passphrase-env", self.passphrase_env)
        return ClientCertificate(self.certificate, self.key, passphrase)
