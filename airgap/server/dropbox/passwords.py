"""Passwords as the config file stores them: salted scrypt hashes (RFC 7914)."""

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from typing import Final, Self

from airgap.errors import ConfigurationError

__all__ = ["PasswordChecker", "PasswordHash", "hash_password", "require_scrypt"]

LOG2_N: Final = 15
BLOCK_SIZE: Final = 8
MAX_LOG2_N: Final = 20
MAX_PASSWORD: Final = 1024
_SALT_BYTES: Final = 16
_KEY_BYTES: Final = 32
_MEMORY_FACTOR: Final = 130
_FORMAT: Final = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d)\$([\w+/=]+)\$([\w+/=]+)")


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """The hash of a password. ``log2_n``, ``r`` and ``p`` are scrypt's parameters (RFC 7914 §2)."""

    log2_n: int
    r: int
    p: int
    salt: bytes
    key: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse what ``str`` of a hash returns.

        Raises:
            ValueError: it is something else, or would take too long or too much memory.
        """
        match = _FORMAT.fullmatch(text)
        if match is None:
            raise ValueError("is not what `airgap serve hash-password` prints")
        log2_n, r, p = (int(match[group]) for group in (1, 2, 3))
        if not 14 <= log2_n <= MAX_LOG2_N or not 1 <= r <= 16 or not 1 <= p <= 4:  # noqa: PLR2004
            raise ValueError("has scrypt costs that are too low or too high")
        try:
            salt, key = (base64.b64decode(match[group], validate=True) for group in (4, 5))
        except binascii.Error as error:
            raise ValueError("has a salt or key that is not base64") from error
        if len(key) != _KEY_BYTES or len(salt) < _SALT_BYTES:
            raise ValueError("has a salt or key that is too short")
        return cls(log2_n, r, p, salt, key)

    def __str__(self) -> str:
        """Return the hash as the config file stores it."""
        salt, key = (base64.b64encode(data).decode() for data in (self.salt, self.key))
        return f"$scrypt$ln={self.log2_n},r={self.r},p={self.p}${salt}${key}"

    def matches(self, password: str) -> bool:
        """Tell whether this is the password. Takes about 0.1 s, without holding the GIL."""
        return hmac.compare_digest(_derive_key(password, self), self.key)


def hash_password(password: str) -> PasswordHash:
    """Hash a password with a new salt.

    Raises:
        ValueError: it is empty or too long.
    """
    if not 0 < len(password) <= MAX_PASSWORD:
        raise ValueError(f"A password must have 1 to {MAX_PASSWORD} characters.")
    unset = PasswordHash(LOG2_N, BLOCK_SIZE, 1, secrets.token_bytes(_SALT_BYTES), b"")
    return PasswordHash(LOG2_N, BLOCK_SIZE, 1, unset.salt, _derive_key(password, unset))


def require_scrypt() -> None:
    """Require that this Python can hash passwords.

    Raises:
        ConfigurationError: its OpenSSL lacks scrypt, as in FIPS mode.
    """
    try:
        hashlib.scrypt(b"", salt=b"", n=2, r=1, p=1)
    except (AttributeError, ValueError) as error:
        raise ConfigurationError(
            "The drop box cannot check passwords here: Python's OpenSSL does not offer scrypt,"
            " as in FIPS mode.",
            "Receive bundles with the system's SSH server, and import them with `airgap watch`.",
        ) from error


class PasswordChecker:
    """Checks user names and passwords. Thread-safe."""

    def __init__(self, hashes: dict[str, PasswordHash]) -> None:
        """Take the hash of each user's password."""
        self._hashes = hashes
        self._dummy = PasswordHash(LOG2_N, BLOCK_SIZE, 1, bytes(_SALT_BYTES), bytes(_KEY_BYTES))
        # Keyed digests of passwords that were right, to skip scrypt next time; in memory only.
        self._secret = os.urandom(32)
        self._accepted: dict[str, bytes] = {}

    def check(self, user: str, password: str) -> bool:
        """Tell whether a user has this password. An unknown user takes as long as a known one."""
        if len(password) > MAX_PASSWORD:
            return False
        digest = hmac.digest(self._secret, f"{user}\0{password}".encode(), "sha256")
        if hmac.compare_digest(self._accepted.get(user, b""), digest):
            return True
        password_hash = self._hashes.get(user)
        matches = (password_hash or self._dummy).matches(password)
        if password_hash is None or not matches:
            return False
        self._accepted[user] = digest
        return True


def _derive_key(password: str, parameters: PasswordHash) -> bytes:
    n = 1 << parameters.log2_n
    return hashlib.scrypt(
        password.encode(errors="surrogatepass"),
        salt=parameters.salt,
        n=n,
        r=parameters.r,
        p=parameters.p,
        maxmem=_MEMORY_FACTOR * n * parameters.r * parameters.p,
        dklen=_KEY_BYTES,
    )
