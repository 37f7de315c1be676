"""From a URL to a transport. A protocol's module is imported when the first one is opened."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from airgap.disk.expansion import expand_home
from airgap.errors import ConfigurationError, UsageError
from airgap.printable import quote
from airgap.transport.folder import FolderTransport
from airgap.transport.port import Transport
from airgap.transport.secrets import read_secret, read_secret_variable
from airgap.transport.url import RemoteUrl, Scheme

if TYPE_CHECKING:
    from airgap.transport.proxy import Proxy
    from airgap.transport.s3.credentials import Profile
    from airgap.transport.s3.options import Lock, S3Options
    from airgap.transport.tls import ClientCertificate

__all__ = [
    "CA_VARIABLES",
    "CONFIG_ONLY",
    "LOCKS",
    "OPTIONS",
    "TRUST_ANCHORS",
    "Login",
    "Permit",
    "open_transport",
]

_FTP_OPTIONS: Final = frozenset({"timeout"})
_CLIENT_OPTIONS: Final = frozenset({"cert", "key", "passphrase_env"})
_FTPS_OPTIONS: Final = _FTP_OPTIONS | _CLIENT_OPTIONS | {"ca", "tls"}
OPTIONS: Final[Mapping[Scheme, frozenset[str]]] = {
    "ftp": _FTP_OPTIONS,
    "ftpes": _FTPS_OPTIONS,
    "ftps": _FTPS_OPTIONS,
    "sftp": frozenset(
        {"agent", "identity", "known_hosts", "passphrase_env", "proxy_command", "ssh_config"}
    ),
    "s3": _CLIENT_OPTIONS
    | {"anonymous", "ca", "checksums", "conditional", "credentials", "endpoint", "insecure_http"}
    | {"lock", "profile", "proxy", "proxy_password_env", "region", "retain_days", "timeout"}
    | {"virtual_hosted"},
    "https": _CLIENT_OPTIONS | {"ca", "proxy", "proxy_password_env", "timeout"},
    "http": frozenset({"timeout"}),
    "file": frozenset(),
}
"""Options by scheme: given in a URL's query, or for a named remote."""

TRUST_ANCHORS: Final = frozenset(
    {"ca", "endpoint", "insecure_http", "known_hosts", "proxy_command", "ssh_config"}
)
"""Options that decide which server is trusted, or run programs."""

LOCKS: Final = frozenset({"lock", "retain_days"})
"""Options that make files which nobody can delete for years."""

CONFIG_ONLY: Final = TRUST_ANCHORS | LOCKS | {"proxy", "proxy_password_env"}
"""Options that are never taken from a URL that a person types or receives: its author would choose
the trust anchors, or a machine to go through, or fill a bucket for years."""


_HTTPS: Final = 443
_DAY_DIGITS: Final = 6
CA_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # with which OpenSSL replaces the system's

Permit = Callable[[str, str], None]
"""Called for what stands for such an option outside airgap's config file: with the option, and with
what sets it (a variable, a line of another program's file). Raises if the site does not permit it.
"""


@dataclass(frozen=True, slots=True)
class Login:
    """The account to use."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    on_wait: Callable[[str], object] = field(default=lambda _: None, repr=False, compare=False)
    """Called with a sentence once the login waits for a person."""


def open_transport(
    url: RemoteUrl, login: Login, options: Mapping[str, str], permit: Permit | None = None
) -> Transport:
    """Return a transport for a URL; it connects at its first use.

    Raises:
        PolicyError: ``permit`` does not permit what this machine is set to.
        UsageError: the scheme does not have such an option.
        ConfigurationError: the value of an option is invalid, or a library is not installed.
    """
    unknown = sorted(options.keys() - OPTIONS[url.scheme])
    if unknown:
        allowed = ", ".join(sorted(OPTIONS[url.scheme])) or "none"
        raise UsageError(
            f"{url.scheme}:// has no option {quote(unknown[0])}.",
            f"Its options are: {allowed}.",
        )
    return _OPENERS[url.scheme](url, login, _OptionValues(options, permit))


class _OptionValues:
    """The values of options, converted to types."""

    def __init__(self, options: Mapping[str, str], permit: Permit | None) -> None:
        self._options = options
        self.permit = permit

    def text(self, name: str, default: str = "") -> str:
        return self._options.get(name, default)

    def path(self, name: str) -> Path | None:
        value = self._options.get(name)
        return expand_home(value) if value else None

    def seconds(self, name: str, default: float) -> float:
        value = self._options.get(name, default)
        try:
            seconds = float(value)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < 1e6:  # noqa: PLR2004  (eleven days)
            raise ConfigurationError(
                f"{name} is not a number of seconds: {quote(value)}.",
                "Give it as in timeout=60.",
            )
        return seconds

    def choice(self, name: str, choices: Mapping[str, str]) -> str:
        value = self._options.get(name, next(iter(choices)))
        if value not in choices:
            raise ConfigurationError(
                f"{name} cannot be {quote(value)}.", f"Use {' or '.join(choices)}."
            )
        return choices[value]

    def days(self, name: str) -> int:
        """Return a number of days; 0 without the option."""
        value = self._options.get(name, "0")
        if not (value.isascii() and value.isdigit() and len(value) <= _DAY_DIGITS):
            raise ConfigurationError(
                f"{name} is not a number of days: {quote(value)}.",
                f"Give it as in {name}=3650, which is ten years.",
            )
        return int(value)

    def lock(self) -> "Lock | None":
        """Return what keeps files from being deleted; None without the option."""
        locks: dict[str, Lock] = {
            "bucket": "bucket",
            "compliance": "compliance",
            "governance": "governance",
        }
        if "lock" not in self._options:
            return None
        return locks[self.choice("lock", {name: name for name in locks})]

    def permit_anchors(self, anchors: Mapping[str, str]) -> None:
        """Ask whether what sets options outside the config file may do so; given options count."""
        for option, source in anchors.items():
            if self.permit is not None and source and not self._options.get(option):
                self.permit(option, source)

    def permit_cas(self) -> None:
        """Ask whether variables may replace the system's CAs."""
        for name in CA_VARIABLES:
            self.permit_anchors({"ca": name if os.environ.get(name) else ""})

    def secret(self, name: str) -> str | None:
        """Return the value of the variable that an option names; None without the option."""
        return read_secret_variable(name, self.text(name))

    def flag(self, name: str, *, default: bool = False) -> bool:
        if name not in self._options:
            return default
        return self.choice(name, {"no": "", "yes": "1"}) == "1"


def _open_sftp(url: RemoteUrl, login: Login, values: _OptionValues) -> Transport:
    try:
        from airgap.transport.sftp.options import SftpOptions
        from airgap.transport.sftp.transport import SftpTransport, find_anchors
    except Exception as error:  # paramiko tries algorithms that a FIPS module may not have
        raise ConfigurationError(
            "SFTP cannot be used here: the package paramiko cannot be loaded"
            f" ({type(error).__name__}), as with some OpenSSL in FIPS mode.",
            "Copy the files with the system's `sftp`, or use ftpes:// or s3://.",
        ) from error
    identity, variable = values.path("identity"), values.text("passphrase_env")
    options = SftpOptions(
        host=url.host,
        port=url.port,
        user=login.user,
        folder=url.path,
        keys=() if identity is None else (identity,),
        passphrase=read_secret(variable) if variable else None,
        password=login.password,
        agent=values.flag("agent", default=True),
        known_hosts=values.path("known_hosts"),
        proxy_command=values.text("proxy_command") or None,
        config=values.path("ssh_config") or Path("~/.ssh/config"),
        on_wait=login.on_wait,
    )
    if values.permit is not None:
        values.permit_anchors(find_anchors(options))
    return SftpTransport(options)


def _open_s3(url: RemoteUrl, login: Login, values: _OptionValues) -> Transport:
    from airgap.transport.s3.options import S3Options
    from airgap.transport.s3.transport import S3Transport

    profile = _find_profile(login, values)
    values.permit_anchors(profile.sources)
    ca = values.path("ca") or (expand_home(profile.ca_file) if profile.ca_file else None)
    if ca is None:
        values.permit_cas()
    options = S3Options(
        bucket=url.host,
        prefix=url.path,
        keys=profile.keys,
        endpoint=values.text("endpoint") or profile.endpoint,
        region=values.text("region") or profile.region or "us-east-1",
        ca_file=ca,
        virtual_hosted=values.flag("virtual_hosted"),
        insecure_http=values.flag("insecure_http"),
        checksums=values.flag("checksums") if values.text("checksums") else None,
        conditional=values.flag("conditional", default=True),
        timeout=values.seconds("timeout", 60),
        client=_find_client(values),
        lock=values.lock(),
        retain_days=values.days("retain_days"),
    )
    return S3Transport(replace(options, proxy=_choose_proxy(options, values)))


def _find_client(values: _OptionValues) -> "ClientCertificate | None":
    """Return how to identify this machine to a server.

    Raises:
        ConfigurationError: there is a key without a certificate, or no such variable.
    """
    from airgap.transport.tls import ClientCertificate

    certificate, key = values.path("cert"), values.path("key")
    if certificate is None:
        if key is not None:
            raise ConfigurationError("key is given, and cert is not.", "Give both, as PEM files.")
        return None
    return ClientCertificate(certificate, key, values.secret("passphrase_env"))


def _choose_proxy(options: "S3Options", values: _OptionValues) -> "Proxy | None":
    """Return the proxy that the option names, itself or by the variables; None for none.

    Raises:
        ConfigurationError: it cannot be used, or the server is not encrypted.
    """
    from airgap.transport.proxy import choose_proxy

    text = values.text("proxy")
    if text and options.unencrypted:
        raise ConfigurationError(
            f"{options.server} is not encrypted, and is not reached through a proxy.",
            "Use https://, or leave out the option proxy.",
        )
    url = urlsplit(options.endpoint_url)
    address = url.hostname or "", url.port or _HTTPS
    return choose_proxy(text, values.secret("proxy_password_env"), address)


def _find_profile(login: Login, values: _OptionValues) -> "Profile":
    """Find keys: options first, then where Amazon's tools look, as for region, endpoint and CA.

    Without keys this is an error: an unsigned request would fail as a missing permission.
    """
    from airgap.transport.s3 import credentials as s3_credentials

    name, file = values.text("profile"), values.path("credentials")
    keys = None
    if values.flag("anonymous"):
        pass
    elif login.user and login.password:
        keys = s3_credentials.make_keys(login.user, login.password, "", "The login")
    elif file is not None:
        keys, name = s3_credentials.read_keys(file, name or "default"), ""
    else:
        profile = s3_credentials.find_profile(os.environ, name)
        if profile.keys is None:
            raise ConfigurationError(
                "No keys for S3 were given, in options, variables or a profile.",
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use the option anonymous=yes.",
            )
        return profile
    return replace(s3_credentials.find_profile(os.environ, name, with_keys=False), keys=keys)


def _open_web(url: RemoteUrl, login: Login, values: _OptionValues) -> Transport:
    from airgap.transport.proxy import choose_proxy
    from airgap.transport.web.options import WebOptions
    from airgap.transport.web.transport import WebTransport

    encrypted = url.scheme == "https"
    if encrypted and values.path("ca") is None:
        values.permit_cas()
    options = WebOptions(
        host=url.host,
        port=url.port,
        folder=url.path,
        encrypted=encrypted,
        user=login.user,
        secret=login.password,
        ca_file=values.path("ca"),
        client=_find_client(values),
        timeout=values.seconds("timeout", 60),
    )
    proxy = choose_proxy(values.text("proxy"), values.secret("proxy_password_env"), options.address)
    return WebTransport(replace(options, proxy=proxy))


def _open_folder(url: RemoteUrl, _login: Login, _values: _OptionValues) -> Transport:
    return FolderTransport(Path(url.path))


def _open_ftp(url: RemoteUrl, login: Login, values: _OptionValues) -> Transport:
    from airgap.transport.ftp.options import FtpOptions, Security, TlsVersion
    from airgap.transport.ftp.transport import FtpTransport

    if url.scheme != "ftp" and values.path("ca") is None:
        values.permit_cas()
    securities: dict[str, Security] = {"ftp": "none", "ftpes": "explicit", "ftps": "implicit"}
    minimum: TlsVersion = "1.3" if values.choice("tls", {"1.2": "", "1.3": "1"}) else "1.2"
    return FtpTransport(
        FtpOptions(
            host=url.host,
            port=url.port or 0,
            user=login.user or "anonymous",
            password=login.password or "",
            folder=url.path,
            security=securities[url.scheme],
            ca_file=values.path("ca"),
            client_certificate=values.path("cert"),
            client_key=values.path("key"),
            client_passphrase=values.secret("passphrase_env"),
            minimum_tls=minimum,
            timeout=values.seconds("timeout", 60),
        )
    )


_OPENERS: Final[Mapping[Scheme, Callable[[RemoteUrl, Login, _OptionValues], Transport]]] = {
    "ftp": _open_ftp,
    "ftpes": _open_ftp,
    "ftps": _open_ftp,
    "sftp": _open_sftp,
    "s3": _open_s3,
    "https": _open_web,
    "http": _open_web,
    "file": _open_folder,
}
