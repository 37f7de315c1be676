"""Which names may be sent to a server at all, and what an unfinished upload is called.

A name with a line break would be a second command on an FTP control channel, ``..`` would leave
the place, and what is not ASCII is spelt differently by every server.
"""

import re
from typing import Final

from airgap.errors import TransportError

__all__ = ["check_folder_name", "check_name", "name_part"]

_SEGMENT: Final = r"(?![.-])[!-.0-\[\]-~]([ !-.0-\[\]-~]*[!-.0-\[\]-~])?"  # no slash, no backslash
_NAME: Final = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*")
_LONGEST: Final = 512


def check_name(name: str) -> str:
    """Return a file's name that every server takes as it is.

    Raises:
        TransportError: it has something else than printable ASCII, a backslash, an empty segment,
            or one that begins with a dot, dash or space or ends in a space; or it is overlong.
    """
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise TransportError(
            f"{name!r:.200} is not a name that every server takes.",
            "Use letters, digits, dots and dashes.",
        )
    return name


def check_folder_name(name: str) -> str:
    """Return a folder's name, where the empty one means the place itself; else as ``checked``."""
    return name and check_name(name)


def name_part(name: str) -> str:
    """Name the unfinished upload of a file whose writer did not choose a name of its own."""
    return f"{name}.part"
