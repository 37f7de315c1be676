"""The secrets that this process has read: ``airgap.flow.redaction`` keeps them out of texts."""

import os
from typing import Final

from airgap.errors import ConfigurationError
from airgap.printable import quote

__all__ = ["hide_secrets", "read_secret_variable", "register_secret"]

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
        ConfigurationError: the variable is not set.
    """
    if not variable:
        return None
    if variable not in os.environ:
        raise ConfigurationError(
            f"The variable {quote(variable)}, which {option} names, is not set.", "Set it."
        )
    return register_secret(os.environ[variable])


def hide_secrets(text: str) -> str:
    """Return a text without registered passwords."""
    for secret in sorted(_SECRETS, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
