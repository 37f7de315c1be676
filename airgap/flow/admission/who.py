"""Who does what a ledger records, as far as the config file lets it say (format §17.3)."""

import os

from airgap.flow import config
from airgap.format import limits, names
from airgap.format.ledger import Who
from airgap.state import removals

__all__ = ["find_who"]


def find_who(key: str = "") -> Who:
    """Return the user and the host of this process, and the id of the key that is used, if any.

    What ``record_who`` of the config file does not name is left empty.

    Raises:
        ConfigurationError: the config file cannot be used.
    """
    recorded = config.load_who()
    return Who(
        user=_clip(removals.find_user()) if "user" in recorded else "",
        host=_clip(os.uname().nodename) if "host" in recorded else "",
        key=key if "key" in recorded else "",
    )


def _clip(name: str) -> str:
    """Make a name fit into an entry: the variable SUDO_USER may hold anything."""
    clean = "".join(" " if names.has_invisible(character) else character for character in name)
    return clean[: limits.PERSON_CHARACTERS]
