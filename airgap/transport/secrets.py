"""The secrets that this process has read: ``airgap.flow.redaction`` keeps them out of texts."""

import os
from typing import Final

from airgap.errors import ConfigurationError
from airgap.printable import quote

__all__ = ["hide_secrets", "read_secret", "read_secret_variable", "register_secret"]

_SHORTEST: Final = 4  # a shorter one occurs in ordinary words
_SECRETS: Final[set[str]] = set()


def register_secret(text: str) -> str:
    """Register a password to be redacted, and return it."""
    if len(text) >= _SHORTEST:
        _SECRETS.add(text)
    return text


def read_secret_variable(option: str, variable: str) -> str | None:
    """Return what the variable holds that an option names; None if it names none.

    Raises:
        ConfigurationError: the variable is not set, or its value is not UTF-8.
    """
    if not variable:
        return None
    secret = read_secret(variable)
    if secret is None:
        raise ConfigurationError(
            f"The variable {quote(variable)}, which {option} names, is not set.", "Set it."
        )
    return secret


def read_secret(variable: str) -> str | None:
    """Return what a variable holds, registered; None if it is not set.

    Raises:
        ConfigurationError: it is not UTF-8: no protocol could send it.
    """
    secret = os.environ.get(variable)
    if secret is None:
        return None
    try:
        secret.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"The value of the variable {quote(variable)} is not UTF-8.",
            "Set it in a shell with a UTF-8 locale.",
        ) from None
    return register_secret(secret)


def hide_secrets(text: str) -> str:
    """Return a text without registered passwords."""
    for secret in sorted(_SECRETS, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
