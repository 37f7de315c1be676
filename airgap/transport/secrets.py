"""The secrets that this process has read: ``airgap.flow.redaction`` keeps them out of texts."""

from typing import Final

__all__ = ["hide_secrets", "register_secret"]

_SHORTEST: Final = 4  # a shorter one occurs in ordinary words
_SECRETS: Final[set[str]] = set()


def register_secret(text: str) -> str:
    """Register a password to be redacted, and return it."""
    if len(text) >= _SHORTEST:
        _SECRETS.add(text)
    return text


def hide_secrets(text: str) -> str:
    """Return a text without registered passwords."""
    for secret in sorted(_SECRETS, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
