"""What a registry asks for before it takes anything: ``WWW-Authenticate`` (RFC 9110, 11.6.1)."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

__all__ = ["Challenge", "TokenServer", "basic", "parse_challenge", "parse_token", "token_server"]

_SCHEME: Final = re.compile(r"(Basic|Bearer)(?: +(.*))?", re.IGNORECASE)
_PARAMETER: Final = re.compile(r' *([A-Za-z_]+) *= *"([^"\\]*)" *(?:,|$)')
_TOKEN: Final = re.compile(r"[!-~]{1,32768}")
_PATH: Final = re.compile(r"/[!-~]*")
_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Challenge:
    """What is asked for: ``basic`` or ``bearer``, and for a token where it is to be had."""

    scheme: str
    realm: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True)
class TokenServer:
    """A server of tokens. ``host`` has the port, as a person would write it."""

    encrypted: bool
    host: str
    address: tuple[str, int]
    target: str


def parse_challenge(header: str) -> Challenge:
    """Parse the header; its scope is not looked at: airgap asks for what it needs.

    Raises:
        ValueError: it is neither Basic nor Bearer, or malformed.
    """
    match = _SCHEME.fullmatch(header.strip()[:4096])
    if match is None:
        raise ValueError("an unknown scheme")
    scheme, rest = match[1].lower(), match[2] or ""
    parameters: dict[str, str] = {}
    while rest:
        parameter = _PARAMETER.match(rest)
        if parameter is None:
            raise ValueError("a malformed parameter")
        parameters[parameter[1].lower()] = parameter[2]
        rest = rest[parameter.end() :]
    return Challenge(scheme, parameters.get("realm", ""), parameters.get("service", ""))


def token_server(challenge: Challenge, scopes: Sequence[str]) -> TokenServer:
    """Return where a token for what is to be done is to be had. Raises ValueError."""
    parts = urlsplit(challenge.realm)
    port = parts.port
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        raise ValueError("not a URL of a server")
    if not _PATH.fullmatch(parts.path or "/"):
        raise ValueError("an invalid path")
    query = [("scope", scope) for scope in scopes]
    if challenge.service:
        query.append(("service", challenge.service))
    own = f"{parts.query}&" if parts.query else ""
    target = f"{parts.path or '/'}?{own}{urlencode(query, quote_via=quote)}"
    if not _PATH.fullmatch(target):
        raise ValueError("an invalid query")
    address = parts.hostname, port or _PORTS[parts.scheme]
    return TokenServer(parts.scheme == "https", parts.netloc.lower(), address, target)


def parse_token(body: bytes) -> str:
    """Return the token of a server's answer. Raises ValueError."""
    try:
        answer = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(answer, Mapping):
        raise ValueError("not an object")  # noqa: TRY004  (of a server, not of a caller)
    token = answer.get("token") or answer.get("access_token")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise ValueError("no token")
    return token


def basic(user: str, password: str) -> str:
    """Return the header ``Authorization`` for a user."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
