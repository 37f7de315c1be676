"""Keeps the secrets that this process has read out of everything that it prints.

Own code puts no secret into a text; this is for texts of libraries.
"""

import re
from typing import Final

from airgap.sealing.age_keys import SECRET_BEGINNING
from airgap.transport.secrets import hide_secrets
from airgap.transport.url import hide_passwords

__all__ = ["redact"]

_IDENTITY: Final = re.compile(f"({SECRET_BEGINNING})[0-9A-Z-]*", re.IGNORECASE)


def redact(text: str) -> str:
    """Return a text without registered passwords, passwords in URLs, and identities of age."""
    return _IDENTITY.sub(r"\1***", hide_passwords(hide_secrets(text)))
