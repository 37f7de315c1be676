"""The options of one bucket. Nothing here asks a person."""

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from airgap.errors import ConfigurationError
from airgap.printable import quote
from airgap.transport.proxy import Proxy
from airgap.transport.tls import ClientCertificate

__all__ = ["MOST_DAYS", "Lock", "S3Keys", "S3Options"]

Lock = Literal["bucket", "compliance", "governance"]
"""The bucket locks each file by its default retention, or airgap does, in one of S3's modes."""

MOST_DAYS: Final = 36_500
"""The longest retention that S3 takes, in days."""

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_REGION: Final = re.compile(r"[A-Za-z0-9-]{1,63}")
_LABEL: Final = "[A-Za-z0-9_-]{1,63}"
_HOST: Final = re.compile(rf"(?!.{{254}}){_LABEL}(?:\.{_LABEL})*\.?")
_HINT: Final = "Give it as https://host or https://host:port."


@dataclass(frozen=True, slots=True)
class S3Keys:
    """The keys that sign requests."""

    identity: str = field(repr=False)
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)
    """The session token; empty for permanent keys."""

    def __post_init__(self) -> None:
        """Check that a request's headers can hold the keys; an error of theirs would show them.

        Raises:
            ConfigurationError: the id or the secret is empty, or a part has a character that is
                not printable ASCII, or white space around it.
        """
        parts = {
            "access key id": self.identity,
            "secret key": self.secret,
            "session token": self.token,
        }
        for name, part in parts.items():
            if not (part.isascii() and part.isprintable() and part == part.strip()):
                raise ConfigurationError(
                    f"The {name} for S3 has a character that is not printable ASCII, or white"
                    " space around it.",
                    f"Set the {name} again, as one line.",
                )
            if not part and name != "session token":
                raise ConfigurationError(f"The {name} for S3 is empty.", "Give id and secret.")


@dataclass(frozen=True, slots=True)
class S3Options:
    """One bucket of one server, and the account to use it with."""

    bucket: str
    prefix: str = ""
    """The folder of the depot in the bucket, without slashes at its ends."""
    keys: S3Keys | None = None
    """None sends unsigned requests, as for a public bucket."""
    endpoint: str = ""
    """``https://host[:port]``; empty means Amazon's endpoint of ``region``."""
    region: str = "us-east-1"
    ca_file: Path | None = None
    """PEM of a private CA, or of the server itself; replaces the system's CAs."""
    virtual_hosted: bool = False
    """Whether the bucket is part of the host name rather than of the path."""
    insecure_http: bool = False
    """Allow ``http://`` to other machines: others can read and change everything."""
    checksums: bool | None = None
    """Whether to send ``x-amz-checksum-sha256`` to be stored; None means only to Amazon."""
    conditional: bool = True
    """Whether the server supports conditional writes; if False, airgap looks before it writes."""
    client: ClientCertificate | None = None
    """How this machine identifies itself to the server."""
    proxy: Proxy | None = None
    """The proxy to go through; None connects to the server itself."""
    timeout: float = 60.0
    """Seconds for a connection, for a reply, and between two pieces of data."""
    lock: Lock | None = None
    """What keeps the files that are written from being deleted (format §37.1)."""
    retain_days: int = 0
    """For how long, unless the bucket says so itself."""

    def __post_init__(self) -> None:
        """Check the options before anything is sent.

        Raises:
            ConfigurationError: bucket, region or endpoint is invalid, or the endpoint is
                ``http://`` on another machine and that was not allowed.
        """
        if not _BUCKET.fullmatch(self.bucket):
            raise ConfigurationError(
                f"{quote(self.bucket)} is not a valid bucket name.",
                "Write s3://BUCKET/FOLDER.",
            )
        if not _REGION.fullmatch(self.region):
            raise ConfigurationError(
                f"{quote(self.region)} is not a valid region.", "Give one such as us-east-1."
            )
        if any(part in ("", ".", "..") for part in self.prefix.split("/") if self.prefix):
            raise ConfigurationError(
                f"{quote(self.prefix)} is not a valid folder in a bucket.",
                "Remove empty parts, dots, and slashes at the ends.",
            )
        self._check_lock()
        self._check_endpoint()

    @property
    def url(self) -> str:
        """The URL for messages."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def server(self) -> str:
        """The endpoint's URL, without the bucket."""
        if self.endpoint:
            return self.endpoint.rstrip("/")
        china = ".cn" if self.region.startswith("cn-") else ""
        return f"https://s3.{self.region}.amazonaws.com{china}"

    @property
    def endpoint_url(self) -> str:
        """The endpoint that is connected to: with the bucket, if that is part of the host name."""
        if not self.virtual_hosted:
            return self.server
        scheme, _, host = self.server.partition("://")
        return f"{scheme}://{self.bucket}.{host}"

    @property
    def stores_checksums(self) -> bool:
        """Whether to send ``x-amz-checksum-sha256`` to be stored."""
        if self.checksums is None:  # S3 demands one for every body that is locked
            return not self.endpoint or self.lock is not None
        return self.checksums

    @property
    def unencrypted(self) -> bool:
        """Whether the endpoint is ``http://``."""
        return self.server.startswith("http://")

    def _check_lock(self) -> None:
        if self.lock in (None, "bucket") and self.retain_days:
            raise ConfigurationError(
                "retain_days is given, but no lock that it could set the end of.",
                "Set lock=compliance too; with lock=bucket, the bucket's settings say how long.",
            )
        if self.lock in ("compliance", "governance") and not 0 < self.retain_days <= MOST_DAYS:
            raise ConfigurationError(
                f"lock={self.lock} needs retain_days, from 1 to {MOST_DAYS:,}.",
                "Give it as in retain_days=3650, which is ten years.",
            )

    def _check_endpoint(self) -> None:
        if "@" in self.server:  # do not repeat it: it may contain a password
            raise ConfigurationError("An endpoint cannot contain a user or a password.", _HINT)
        try:
            url = urlsplit(self.server)
            valid = url.scheme in ("https", "http") and _is_host(url) and url.port != 0
        except ValueError:
            url, valid = SplitResult("", "", "", "", ""), False
        if not valid or url.path or url.query or url.fragment:
            raise ConfigurationError(f"{quote(self.server)} is not a valid endpoint.", _HINT)
        if self.virtual_hosted and not _HOST.fullmatch(f"{self.bucket}.{url.hostname}"):
            raise ConfigurationError(
                f"The bucket name {self.bucket} cannot be part of the host name {url.hostname}.",
                "Set virtual_hosted=no.",
            )
        if self.unencrypted and not self.insecure_http and not _is_loopback(url.hostname or ""):
            raise ConfigurationError(
                f"{self.server} is not encrypted: others could read and change everything.",
                "Use https://, with a private CA if needed, or set insecure_http=yes for a named"
                " remote.",
            )


def _is_host(url: SplitResult) -> bool:
    """Return whether the host can be looked up. Raises ValueError if it is not."""
    host = url.hostname or ""
    return bool(ipaddress.ip_address(host) if ":" in host else _HOST.fullmatch(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
