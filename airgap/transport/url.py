"""Parses URLs of locations. Nothing is looked up or opened.

    ftp://  ftpes://  ftps://   [user[:password]@]host[:port]/folder   (//folder: from the top)
    sftp://                     [user[:password]@]host[:port]/folder   (/~/folder: below the home)
    s3://                       bucket/folder
    https://  http://           [user[:password]@]host[:port]/folder
    file://                     /folder

then ``?option=value&…`` (``file`` has no options) and ``#BUNDLEID``. Parts are percent-decoded
after the URL is split.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args
from urllib.parse import parse_qsl, unquote, urlsplit
from urllib.parse import quote as percent_encode

from airgap.errors import TransportError, UsageError
from airgap.printable import quote

__all__ = ["RemoteUrl", "Scheme", "hide_passwords", "is_url", "parse"]

Scheme = Literal["ftp", "ftpes", "ftps", "sftp", "s3", "https", "http", "file"]

_SCHEMES: Final = get_args(Scheme)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ID: Final = re.compile(r"[0-9a-f]{8,64}")
_HOST: Final = re.compile(r"[0-9A-Za-z_](?:[0-9A-Za-z._-]*[0-9A-Za-z])?\.?")
_ADDRESS: Final = re.compile(r"[0-9A-Fa-f:.]+(%[0-9A-Za-z_.-]+)?")
_LARGEST_PORT: Final = 65535
_PASSWORD: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s:/?#@]*):(?!\d+[/?#])\S*@")
_ANY_USERINFO: Final = re.compile(r"://\S*@")
_GOOGLE: Final = (
    "Use Google's endpoint for S3 with an HMAC key, and s3://BUCKET/FOLDER: see"
    " docs/object-stores.md."
)
_AZURE: Final = (
    "Copy the folder with Azure's own tool, such as azcopy, and give the path of the copy: see"
    " docs/object-stores.md."
)
_HINTS: Final = {
    **dict.fromkeys(("gs", "gcs"), _GOOGLE),
    **dict.fromkeys(("az", "azure", "abfs", "abfss"), _AZURE),
}
"""For schemes that other tools have."""


@dataclass(frozen=True, slots=True)
class RemoteUrl:
    """A parsed URL. Its text contains no password."""

    scheme: Scheme
    host: str
    """Or the bucket; empty for ``file``."""
    path: str
    """As the protocol expects it: relative to the login folder, or absolute with a ``/``."""
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict)
    bundle: str = ""

    def __str__(self) -> str:
        """Write the URL without password, options and bundle."""
        user = f"{percent_encode(self.user, safe='')}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{user}{host}{port}{self._format_path()}"

    def _format_path(self) -> str:
        path = percent_encode(self.path, safe="/~!$&'()*+,;=:@", errors="surrogateescape")
        if self.scheme == "file" or (self.scheme == "sftp" and path.startswith("/")):
            return path
        if self.scheme == "sftp" and path:
            return f"/~/{path}"
        return f"/{path}" if path else ""


def is_url(text: str) -> bool:
    """Return whether a location is written as a URL."""
    return _SCHEME.match(text) is not None


def parse(text: str) -> RemoteUrl:
    """Parse a URL.

    Raises:
        TransportError: the scheme is not supported.
        UsageError: it is malformed; the message contains no password.
    """
    if not is_url(text):
        raise _invalid_url(
            text, "is not a URL", "Write it as sftp://host/srv/folder or file:///folder."
        )
    if any(character <= " " or character == "\x7f" for character in text):
        raise _invalid_url(text, "contains a space or control character", "Write it as %20.")
    if not text.lower().startswith("file:") and not _is_utf8(text):
        raise _invalid_url(
            text, "is not UTF-8", "Percent-encode every byte that is not part of UTF-8 text."
        )
    try:
        parts = urlsplit(text)
        host, port, user, password = parts.hostname, parts.port, parts.username, parts.password
        # A local name may have any bytes.
        errors = "surrogateescape" if parts.scheme == "file" else "strict"
        path, options = unquote(parts.path, errors=errors), _parse_options(parts.query)
        # A character of which only some bytes are percent-encoded is one again.
        path = path.encode(errors=errors).decode(errors=errors)
    except UnicodeDecodeError as error:
        raise _invalid_url(text, "is not UTF-8 after percent-decoding") from error
    except ValueError as error:
        raise _invalid_url(
            text,
            "has an invalid host or port",
            "Write @, :, / and # of a password as %40, %3A, %2F and %23.",
        ) from error
    scheme = _parse_scheme(parts.scheme)
    if scheme == "file" and "?" in text.partition("#")[0]:
        raise _invalid_url(text, "has options, and file:// has none", "Write a ? of a name as %3F.")
    if port is not None and not 0 < port <= _LARGEST_PORT:
        raise _invalid_url(text, "has an invalid port", "Ports are 1 to 65535.")
    return RemoteUrl(
        scheme=scheme,
        host=_parse_host(text, scheme, host or "", parts.netloc),
        path=_parse_path(text, scheme, path),
        port=port,
        user=_decode(text, user) if user else None,
        password=None if password is None else _decode(text, password),
        options=options,
        bundle=_parse_bundle_id(parts.fragment) if "#" in text else "",
    )


def _is_utf8(text: str) -> bool:
    """Return whether a text has no bytes of an argument that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def hide_passwords(text: str) -> str:
    """Replace the password of every URL in any text."""
    return _PASSWORD.sub(r"\1:***@", text)


def _parse_scheme(scheme: str) -> Scheme:
    for supported in _SCHEMES:
        if supported == scheme:
            known_scheme: Scheme = supported
            return known_scheme
    hint = _HINTS.get(scheme, f"Use {', '.join(_SCHEMES)}, or a path.")
    raise TransportError(f"{scheme}:// is not supported.", hint)


def _parse_host(text: str, scheme: Scheme, host: str, netloc: str) -> str:
    """Return host or bucket; a bucket keeps its case."""
    if scheme == "file":
        if netloc.lower() not in ("", "localhost"):
            raise _invalid_url(text, "names a host", "Write file:///folder, with three slashes.")
        return ""
    if scheme == "s3":
        host = netloc.rpartition("@")[2].partition(":")[0]
    if not (_HOST.fullmatch(host) or (":" in host and _ADDRESS.fullmatch(host))):
        raise _invalid_url(text, "has an invalid host")
    return host


def _parse_path(text: str, scheme: Scheme, path: str) -> str:
    if ".." in path.split("/"):
        raise _invalid_url(text, "contains '..' in its path", "Write the path without it.")
    if scheme == "file" and "\0" not in path:
        return path
    if any(ord(character) < ord(" ") or character == "\x7f" for character in path):
        raise _invalid_url(text, "contains a control character in its path")
    if scheme in ("s3", "https", "http"):
        return path.strip("/")
    if scheme == "sftp":
        below_home = path.startswith("/~/") or path in ("", "/~")
        return path.removeprefix("/~").strip("/") if below_home else path.rstrip("/") or "/"
    path = path.removeprefix("/")
    return path.rstrip("/") or ("/" if path.startswith("/") else "")


def _decode(text: str, part: str) -> str:
    decoded = unquote(part)
    if any(ord(character) < ord(" ") for character in decoded):
        raise _invalid_url(text, "contains a control character in its user or password")
    return decoded


def _parse_options(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
    if len(dict(pairs)) != len(pairs):
        raise UsageError("A URL gives an option twice.", "Remove one.")
    return dict(pairs)


def _parse_bundle_id(fragment: str) -> str:
    if not _ID.fullmatch(fragment):
        raise UsageError(
            f"{quote(hide_passwords(fragment))} is not a bundle id.",
            "Give at least its first eight hex digits; write a # that is part of the URL as %23.",
        )
    return fragment


def _invalid_url(
    text: str, why: str, hint: str = "Write it as in docs/carry-by-network.md."
) -> UsageError:
    shown = _ANY_USERINFO.sub("://***@", text)  # any part of it may be a password
    return UsageError(f"The URL {quote(shown)} {why}.", hint)
