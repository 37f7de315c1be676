"""Tokens: who may pull from a mirror, or push to it. They are kept as hashes, and shown once.

A token has 256 random bits, so that a plain SHA-256 of it may be stored, and guessing is hopeless.
Its checksum lets programs that search for leaks recognize one.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import tomllib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any, Final

from starlette.datastructures import Headers

from airgap.disk.named_files import read_named_text
from airgap.errors import ConfigurationError
from airgap.times import format_time

__all__ = ["SCOPES", "Token", "TokenFile", "describe_token", "find_secret", "make_secret"]

SCOPES: Final = ("read", "push")
"""What a token permits: to pull; or to push as well."""
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"[a-z0-9][-_.a-z0-9]{0,63}")
_KEYS: Final = frozenset({"sha256", "scope", "expires"})


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its file has it: the SHA-256, and the second after which it does not count."""

    name: str
    digest: bytes
    expires_at: int | None
    scope: str = SCOPES[0]

    def counts(self, now: float) -> bool:
        """Tell whether it has not ended."""
        return self.expires_at is None or now <= self.expires_at


def make_secret() -> str:
    """Make a token."""
    body = f"ag_{secrets.token_urlsafe(32)}"
    return f"{body}_{zlib.crc32(body.encode()):08x}"


def describe_token(
    name: str, secret: str, expires_at: int | None, scope: str = SCOPES[0]
) -> list[str]:
    """Return the lines of the file of tokens that permit one.

    Raises:
        ConfigurationError: the name is not one.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot be the name of a token.",
            "Use lower-case letters, digits, hyphens, dots and underscores.",
        )
    lines = [f'["{name}"]', f'sha256 = "{hashlib.sha256(secret.encode()).hexdigest()}"']
    lines.append(f'scope = "{scope}"')
    return lines + ([f"expires = {format_time(expires_at)}"] if expires_at is not None else [])


def find_secret(headers: Headers) -> str:
    """Return the token of a request, in any of the dresses of clients; empty if there is none.

    These are ``X-YATAI-API-TOKEN`` (bentoml), ``Bearer`` (huggingface_hub), and the password of
    ``Basic`` (pip, uv, skopeo, podman), whose user may be any.
    """
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            login = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            return ""
        return login.partition(":")[2]
    return headers.get("x-yatai-api-token", "")


class TokenFile:
    """The file of tokens, read again when it changes. Threads may ask at once."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            ConfigurationError: it cannot be read, or is not what ``serve make-token`` writes.
        """
        self._path = path
        self._lock = Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._tokens: Mapping[bytes, Token] = {}
        self._reload()

    def find(self, secret: str, now: float) -> Token | None:
        """Return the token that permits a request; None if none does.

        A file that cannot be used any more permits nobody.
        """
        digest = hashlib.sha256(secret.encode()).digest()
        token = self._load().get(digest)
        if token is None or not hmac.compare_digest(token.digest, digest):
            return None
        return token if token.counts(now) else None

    def find_named(self, name: str, now: float) -> Token | None:
        """Return the token of a name, if it still counts."""
        return next(
            (one for one in self.list_tokens() if one.name == name and one.counts(now)), None
        )

    def list_tokens(self) -> list[Token]:
        """Return all tokens, those as well that have ended."""
        return list(self._load().values())

    def _load(self) -> Mapping[bytes, Token]:
        with self._lock:
            try:
                self._reload()
            except ConfigurationError:
                self._tokens, self._stamp = {}, None
            return self._tokens

    def _reload(self) -> None:
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp != self._stamp:
                document = tomllib.loads(read_named_text(self._path))
                tokens = [_read_token(name, value) for name, value in document.items()]
                self._tokens = {token.digest: token for token in tokens}
                self._stamp = stamp
        except OSError as error:
            raise ConfigurationError(
                f"Cannot read {self._path}: {error.strerror}.", "Check the path of --tokens."
            ) from error
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(
                f"{self._path} is not a file of tokens: {error}.",
                "Write into it what `airgap serve make-token NAME` prints.",
            ) from error


def _read_token(name: str, value: Any) -> Token:  # noqa: ANN401  (what TOML has)
    """Read one token. Raises ValueError if it is not what ``describe_token`` writes."""
    if not isinstance(value, dict) or not {"sha256", "scope"} <= value.keys() <= _KEYS:
        raise ValueError(f"[{name}] must have sha256 and scope, and may have expires")
    digest, expires = value["sha256"], value.get("expires")
    if not isinstance(digest, str) or not _HEX.fullmatch(digest):
        raise ValueError(f"sha256 of [{name}] is not 64 hex digits")
    if value["scope"] not in SCOPES:
        raise ValueError(f"scope of [{name}] is not one of {', '.join(SCOPES)}")
    if expires is not None and not (isinstance(expires, datetime) and expires.tzinfo):
        raise ValueError(f"expires of [{name}] is not a time with its zone")
    ends = int(expires.timestamp()) if expires else None
    return Token(name, bytes.fromhex(digest), ends, value["scope"])
