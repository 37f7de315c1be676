"""Who has signed in: a cookie that names a token, sealed so that nobody can make one.

Nothing is kept here. A session ends with its time, with the server, and as soon as its token is
taken out of the file of tokens.
"""

import hashlib
import hmac
import secrets
from typing import Final

from airgap.server.mirror.tokens import Token, TokenFile

__all__ = ["SESSION_SECONDS", "Sessions"]

SESSION_SECONDS: Final = 8 * 3600
_PARTS: Final = 3


class Sessions:
    """Makes and reads cookies. Threads may ask at once."""

    def __init__(self, tokens: TokenFile, secret: bytes | None = None) -> None:
        """Take the file of tokens; all servers that share the ``secret`` know each other's."""
        self._tokens = tokens
        self._secret = secrets.token_bytes(32) if secret is None else secret

    def begin(self, token: Token, now: float) -> str:
        """Return the value of a cookie for who has shown a token."""
        ends = int(now) + SESSION_SECONDS
        return f"{token.name}:{ends}:{self._seal(token, ends)}"

    def find(self, cookie: str, now: float) -> Token | None:
        """Return the token that a cookie stands for; None if it stands for none any more."""
        parts = cookie.split(":")
        if len(parts) != _PARTS or not (parts[1].isascii() and parts[1].isdecimal()):
            return None
        name, ends = parts[0], int(parts[1][:12])
        token = self._tokens.find_named(name, now)
        if token is None or now > ends:
            return None
        seal = self._seal(token, ends).encode()
        return token if hmac.compare_digest(seal, parts[2].encode()) else None

    def _seal(self, token: Token, ends: int) -> str:
        sealed = b"airgap console\0%b\0%d" % (token.digest, ends)
        return hmac.new(self._secret, sealed, hashlib.sha256).hexdigest()
