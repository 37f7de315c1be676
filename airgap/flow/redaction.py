"""Keeps the secrets that this process has read out of everything that it prints.

Own code puts no secret into a text; this is for texts of libraries.
"""

from airgap.transport.secrets import hide_secrets
from airgap.transport.url import hide_passwords

__all__ = ["redact"]


def redact(text: str) -> str:
    """Return a text without registered passwords and without passwords in URLs."""
    return hide_passwords(hide_secrets(text))
