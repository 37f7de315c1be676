"""From a place to a transport. Each protocol's module is imported when a place of it is opened."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airgap.errors import ConfigurationError, UsageError
from airgap.transport.folder import FolderTransport
from airgap.transport.port import Transport
from airgap.transport.url import RemoteUrl, Scheme

if TYPE_CHECKING:
    from airgap.transport.s3.credentials import Profile

__all__ = ["LOCAL_ONLY", "OPTIONS", "Login", "open_transport"]

_FTP_OPTIONS: Final = frozenset({"timeout"})
_FTPS_OPTIONS: Final = _FTP_OPTIONS | {"ca", "cert", "key", "tls"}
_OBJECT_STORE_OPTIONS: Final = frozenset(
    {"ca", "checksums", "conditional", "insecure_http", "timeout"}
)
OPTIONS: Final[Mapping[Scheme, frozenset[str]]] = {
    "ftp": _FTP_OPTIONS,
    "ftpes": _FTPS_OPTIONS,
    "ftps": _FTPS_OPTIONS,
    "sftp": frozenset(
        {"agent", "identity", "known_hosts", "passphrase_env", "proxy_command", "ssh_config"}
    ),
    "s3": _OBJECT_STORE_OPTIONS
    | {"anonymous", "credentials", "endpoint", "profile", "region", "virtual_hosted"},
    "gs": _OBJECT_STORE_OPTIONS,
    "az": _OBJECT_STORE_OPTIONS,
    "file": frozenset(),
}
"""What may be said of a place besides its URL, by scheme: in the URL's query, or for a remote."""

LOCAL_ONLY: Final = frozenset({"proxy_command", "ssh_config"})
"""Options that run programs: never from a URL, which may come from anybody."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are there."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)


def open_transport(place: RemoteUrl, login: Login, options: Mapping[str, str]) -> Transport:
    """Return a transport of a place; it connects when it is first used.

    Raises:
        UsageError: there is no such option of this scheme.
        ConfigurationError: an option's value cannot be used, or a library is not installed.
    """
    unknown = sorted(options.keys() - OPTIONS[place.scheme])
    if unknown:
        known = ", ".join(sorted(OPTIONS[place.scheme])) or "none"
        raise UsageError(
            f"{place.scheme}:// has no option {unknown[0]!r:.100}.", f"Its options are: {known}."
        )
    return _OPENERS[place.scheme](place, login, _OptionValues(options))


class _OptionValues:
    """The values of options, in the types that are wanted."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = options

    def text(self, name: str, default: str = "") -> str:
        return self._options.get(name, default)

    def path(self, name: str) -> Path | None:
        value = self._options.get(name)
        return Path(value).expanduser() if value else None

    def number(self, name: str, default: float) -> float:
        value = self._options.get(name, default)
        try:
            found = float(value)
        except ValueError:
            found = 0.0
        if not 0 < found < 1e6:  # noqa: PLR2004  (seconds: nobody waits eleven days)
            raise ConfigurationError(
                f"{name} is not a number of seconds: {value!r:.50}.", "Mend it."
            )
        return found

    def choice(self, name: str, known: Mapping[str, str]) -> str:
        value = self._options.get(name, next(iter(known)))
        if value not in known:
            raise ConfigurationError(
                f"{name} cannot be {value!r:.50}.", f"It can be {' or '.join(known)}."
            )
        return known[value]

    def flag(self, name: str, *, default: bool = False) -> bool:
        if name not in self._options:
            return default
        return self.choice(name, {"no": "", "yes": "1"}) == "1"


def _open_sftp(place: RemoteUrl, login: Login, values: _OptionValues) -> Transport:
    from airgap.transport.sftp.options import SftpOptions
    from airgap.transport.sftp.transport import SftpTransport

    identity, variable = values.path("identity"), values.text("passphrase_env")
    return SftpTransport(
        SftpOptions(
            host=place.host,
            port=place.port,
            user=login.user,
            folder=place.path,
            keys=() if identity is None else (identity,),
            passphrase=os.environ.get(variable) if variable else None,
            password=login.password,
            agent=values.flag("agent", default=True),
            known_hosts=values.path("known_hosts"),
            proxy_command=values.text("proxy_command") or None,
            config=values.path("ssh_config") or Path("~/.ssh/config"),
        )
    )


def _open_s3(place: RemoteUrl, login: Login, values: _OptionValues) -> Transport:
    from airgap.transport.s3.options import S3Options, Scheme
    from airgap.transport.s3.transport import S3Transport

    schemes: dict[str, Scheme] = {"s3": "s3", "gs": "gs", "az": "az"}
    found = _find_profile(place, login, values)
    ca = values.path("ca") or (Path(found.ca_file) if found.ca_file else None)
    return S3Transport(
        S3Options(
            bucket=place.host,
            prefix=place.path,
            keys=found.keys,
            endpoint=values.text("endpoint") or found.endpoint,
            region=values.text("region") or found.region or "us-east-1",
            ca_file=ca,
            virtual_hosted=values.flag("virtual_hosted"),
            insecure_http=values.flag("insecure_http"),
            checksums=values.flag("checksums") if values.text("checksums") else None,
            conditional=values.flag("conditional", default=True),
            scheme=schemes[place.scheme],
            timeout=values.number("timeout", 60),
        )
    )


def _find_profile(place: RemoteUrl, login: Login, values: _OptionValues) -> "Profile":
    """Find keys, region and endpoint: what was said first, then where Amazon's tools look.

    Nobody is asked without a signature by accident: that would be told as a missing permission.
    """
    from airgap.transport.s3 import credentials as s3_credentials
    from airgap.transport.s3.options import S3Keys

    profile, file = values.text("profile"), values.path("credentials")
    if place.scheme != "s3" or values.flag("anonymous"):
        return s3_credentials.Profile()
    if login.user and login.password:
        return s3_credentials.Profile(S3Keys(login.user, login.password))
    if file is not None:
        return s3_credentials.Profile(s3_credentials.read_keys(file, profile or "default"))
    found = s3_credentials.find_profile(os.environ, profile)
    if found.keys is None:
        raise ConfigurationError(
            "There are no keys for S3: not said, not in variables, not in a profile.",
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or say anonymous=yes.",
        )
    return found


def _open_folder(place: RemoteUrl, _login: Login, _values: _OptionValues) -> Transport:
    return FolderTransport(Path(place.path))


def _open_ftp(place: RemoteUrl, login: Login, values: _OptionValues) -> Transport:
    from airgap.transport.ftp.options import FtpOptions, Security, TlsVersion
    from airgap.transport.ftp.transport import FtpTransport

    securities: dict[str, Security] = {"ftp": "none", "ftpes": "explicit", "ftps": "implicit"}
    minimum: TlsVersion = "1.3" if values.choice("tls", {"1.2": "", "1.3": "1"}) else "1.2"
    return FtpTransport(
        FtpOptions(
            host=place.host,
            port=place.port or 0,
            user=login.user or "anonymous",
            password=login.password or "",
            folder=place.path,
            security=securities[place.scheme],
            ca_file=values.path("ca"),
            client_certificate=values.path("cert"),
            client_key=values.path("key"),
            minimum_tls=minimum,
            timeout=values.number("timeout", 60),
        )
    )


_OPENERS: Final[Mapping[Scheme, Callable[[RemoteUrl, Login, _OptionValues], Transport]]] = {
    "ftp": _open_ftp,
    "ftpes": _open_ftp,
    "ftps": _open_ftp,
    "sftp": _open_sftp,
    "s3": _open_s3,
    "gs": _open_s3,
    "az": _open_s3,
    "file": _open_folder,
}
