"""Which names may be sent to a server, and how an unfinished upload is named.

A name with a line break would be a second command on an FTP control connection, ``..`` would leave
the location, and servers differ in how they encode what is not ASCII.
"""

import re
from typing import Final

from airgap.errors import TransportError
from airgap.printable import quote

__all__ = ["check_folder_name", "check_name", "name_part"]

_SEGMENT: Final = r"(?![.-])[!-.0-\[\]-~]([ !-.0-\[\]-~]*[!-.0-\[\]-~])?"  # no slash, no backslash
_NAME: Final = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*")
_MAX_LENGTH: Final = 512


def check_name(name: str) -> str:
    """Return a file name that every server accepts unchanged.

    Raises:
        TransportError: it contains other characters than printable ASCII, a backslash, an empty
            segment, or a segment that begins with a dot, dash or space or ends in a space; or it
            is longer than 512 characters.
    """
    if len(name) > _MAX_LENGTH or not _NAME.fullmatch(name):
        raise TransportError(
            f"{quote(name)} is not a name that every server accepts.",
            "Use letters, digits, dots and dashes.",
        )
    return name


def check_folder_name(name: str) -> str:
    """Return a folder name as ``check_name`` does; the empty name is the location itself."""
    return name and check_name(name)


def name_part(name: str) -> str:
    """Name the unfinished upload of a file when the caller has not named it."""
    return f"{name}.part"
