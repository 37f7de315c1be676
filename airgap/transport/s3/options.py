"""What has to be known of one bucket, and nothing that is asked of a person."""

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from airgap.errors import ConfigurationError

__all__ = ["S3Keys", "S3Options", "Scheme"]

Scheme = Literal["s3", "gs", "az"]

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_REGION: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_HINT: Final = "Give it as https://host or https://host:port."


@dataclass(frozen=True, slots=True)
class S3Keys:
    """What requests are signed with."""

    identity: str = field(repr=False)
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)
    """Of a session; empty for keys that last."""


@dataclass(frozen=True, slots=True)
class S3Options:
    """One bucket of one server, and the account to use it with."""

    bucket: str
    prefix: str = ""
    """Where the depot lies in the bucket, without slashes at its ends."""
    keys: S3Keys | None = None
    """None asks without a signature, as anybody may of a public bucket."""
    endpoint: str = ""
    """``https://host[:port]``; empty is Amazon's own of ``region``."""
    region: str = "us-east-1"
    ca_file: Path | None = None
    """PEM of a private CA. The system's CAs count besides: the library cannot leave them out."""
    virtual_hosted: bool = False
    """The bucket is part of the host's name rather than of the path."""
    insecure_http: bool = False
    """Allow ``http://`` to other machines: everything can be read and changed on the way."""
    checksums: bool | None = None
    """Also send ``x-amz-checksum-sha256`` to be stored; None does where it is Amazon's own."""
    conditional: bool = True
    """The server is asked to write only what is not there; False looks first, as for one that does
    not know that."""
    scheme: Scheme = "s3"
    """``gs`` and ``az`` take keys and account from the environment, as their makers' tools do."""
    timeout: float = 60.0
    """Seconds for a connection, for a reply, and between two pieces of data."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense before anything is sent.

        Raises:
            ConfigurationError: bucket, region or endpoint cannot be one, or the endpoint is
                ``http://`` on another machine and that was not asked for.
        """
        if not _BUCKET.fullmatch(self.bucket):
            raise ConfigurationError(
                f"{self.bucket!r:.100} cannot be a bucket.", "A place is s3://BUCKET/FOLDER."
            )
        if not _REGION.fullmatch(self.region):
            raise ConfigurationError(
                f"{self.region!r:.100} cannot be a region.", "Give one as us-east-1."
            )
        if any(part in ("", ".", "..") for part in self.prefix.split("/") if self.prefix):
            raise ConfigurationError(
                f"{self.prefix!r:.100} cannot be a folder in a bucket.",
                "Leave out empty parts, dots, and slashes at the ends.",
            )
        self._check_endpoint()

    @property
    def place(self) -> str:
        """The URL for messages."""
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def server(self) -> str:
        """The endpoint's URL, without the bucket."""
        if self.endpoint:
            return self.endpoint.rstrip("/")
        china = ".cn" if self.region.startswith("cn-") else ""
        return f"https://s3.{self.region}.amazonaws.com{china}"

    @property
    def endpoint_url(self) -> str:
        """What the library takes as endpoint: with the bucket, if that is part of the host."""
        if not self.virtual_hosted:
            return self.server
        scheme, _, host = self.server.partition("://")
        return f"{scheme}://{self.bucket}.{host}"

    @property
    def host(self) -> str:
        """The one host that is spoken to, without its port."""
        return urlsplit(self.endpoint_url).hostname or ""

    @property
    def plain(self) -> bool:
        """Whether it is ``http://``."""
        return self.server.startswith("http://")

    def _check_endpoint(self) -> None:
        if "@" in self.server:  # do not repeat it: there is a password in it
            raise ConfigurationError("An endpoint cannot hold a user or a password.", _HINT)
        try:
            url = urlsplit(self.server)
            proper = url.scheme in ("https", "http") and bool(url.hostname) and url.port != 0
        except ValueError:
            url, proper = SplitResult("", "", "", "", ""), False
        if not proper or url.path or url.query or url.fragment:
            raise ConfigurationError(f"{self.server!r:.200} cannot be an endpoint.", _HINT)
        if self.plain and not self.insecure_http and not _is_loopback(url.hostname or ""):
            raise ConfigurationError(
                f"{self.server} is not encrypted: everything could be read and changed on the way.",
                "Use https://, with a private CA if need be, or allow insecure HTTP explicitly.",
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
