"""Keeps the secrets that this process has read out of everything that it prints.

Own code puts no secret into a text; this is for texts of libraries.
"""

from typing import Final

from airgap.transport.url import hide_passwords

__all__ = ["redact", "register_secret"]

_SHORTEST: Final = 4  # a shorter one occurs in ordinary words
_SECRETS: Final[set[str]] = set()


def register_secret(text: str) -> str:
    """Register a password to be redacted, and return it."""
    if len(text) >= _SHORTEST:
        _SECRETS.add(text)
    return text


def redact(text: str) -> str:
    """Return a text without registered passwords and without passwords in URLs."""
    for secret in sorted(_SECRETS, key=len, reverse=True):
        text = text.replace(secret, "***")
    return hide_passwords(text)
