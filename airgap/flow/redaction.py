"""Secrets that this process has learnt are kept out of everything it prints.

Nothing should put one into a text in the first place; this is for what a library might.
"""

from typing import Final

from airgap.transport.url import hide_passwords

__all__ = ["redact", "register_secret"]

_SHORTEST: Final = 4  # a shorter one would be found in words that are none
_SECRETS: Final[set[str]] = set()


def register_secret(text: str) -> str:
    """Remember a password, and return it."""
    if len(text) >= _SHORTEST:
        _SECRETS.add(text)
    return text


def redact(text: str) -> str:
    """Return a text without the passwords that are known, and without those in URLs."""
    for secret in sorted(_SECRETS, key=len, reverse=True):
        text = text.replace(secret, "***")
    return hide_passwords(text)
