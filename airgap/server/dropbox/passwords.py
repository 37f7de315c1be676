"""Passwords as the config file has them: scrypt, with a salt of their own."""

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from typing import Final, Self

__all__ = ["PasswordChecker", "PasswordHash", "hash_password"]

LOG2_N: Final = 15
BLOCK: Final = 8
MOST_LOG2_N: Final = 20
MOST_PASSWORD: Final = 1024
_SALT_BYTES: Final = 16
_KEY_BYTES: Final = 32
_MEMORY_FACTOR: Final = 130
_FORM: Final = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d)\$([\w+/=]+)\$([\w+/=]+)")


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """One password's hash. ``log2_n``, ``r`` and ``p`` are scrypt's (RFC 7914)."""

    log2_n: int
    r: int
    p: int
    salt: bytes
    key: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``hash_password`` has written.

        Raises:
            ValueError: it is something else, or would take too long or too much memory.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError("is not what `airgap serve hash-password` prints")
        log2_n, r, p = (int(found[one]) for one in (1, 2, 3))
        if not 14 <= log2_n <= MOST_LOG2_N or not 1 <= r <= 16 or not 1 <= p <= 4:  # noqa: PLR2004
            raise ValueError("has costs that are too low or too high")
        try:
            salt, key = (base64.b64decode(found[one], validate=True) for one in (4, 5))
        except binascii.Error as error:
            raise ValueError("has a salt or key that is not base64") from error
        if len(key) != _KEY_BYTES or len(salt) < _SALT_BYTES:
            raise ValueError("has a salt or key that is too short")
        return cls(log2_n, r, p, salt, key)

    def __str__(self) -> str:
        """Write it as the config file has it."""
        salt, key = (base64.b64encode(one).decode() for one in (self.salt, self.key))
        return f"$scrypt$ln={self.log2_n},r={self.r},p={self.p}${salt}${key}"

    def fits(self, password: str) -> bool:
        """Tell whether this is the password. Takes about a tenth of a second, in C."""
        return hmac.compare_digest(_derive(password, self), self.key)


def hash_password(password: str) -> PasswordHash:
    """Make the hash of a password.

    Raises:
        ValueError: it is empty or too long.
    """
    if not 0 < len(password) <= MOST_PASSWORD:
        raise ValueError(f"A password has 1 to {MOST_PASSWORD} characters.")
    bare = PasswordHash(LOG2_N, BLOCK, 1, secrets.token_bytes(_SALT_BYTES), b"")
    return PasswordHash(LOG2_N, BLOCK, 1, bare.salt, _derive(password, bare))


class PasswordChecker:
    """Checks names and passwords. May be asked from several threads."""

    def __init__(self, hashes: dict[str, PasswordHash]) -> None:
        """Take every user's hash."""
        self._hashes = hashes
        self._nobody = PasswordHash(LOG2_N, BLOCK, 1, bytes(_SALT_BYTES), bytes(_KEY_BYTES))
        # What was right once is known again without scrypt; never written anywhere.
        self._secret = os.urandom(32)
        self._right: dict[str, bytes] = {}

    def fits(self, user: str, password: str) -> bool:
        """Tell whether a user has this password. For one that is not there it takes as long."""
        if len(password) > MOST_PASSWORD:
            return False
        short = hmac.digest(self._secret, f"{user}\0{password}".encode(), "sha256")
        if hmac.compare_digest(self._right.get(user, b""), short):
            return True
        known = self._hashes.get(user)
        right = (known or self._nobody).fits(password) and known is not None
        if right:
            self._right[user] = short
        return right


def _derive(password: str, how: PasswordHash) -> bytes:
    n = 1 << how.log2_n
    return hashlib.scrypt(
        password.encode(errors="surrogatepass"),
        salt=how.salt,
        n=n,
        r=how.r,
        p=how.p,
        maxmem=_MEMORY_FACTOR * n * how.r * how.p,
        dklen=_KEY_BYTES,
    )
