"""Where something new is to be made: the folder above it must be there already."""

import shlex
from pathlib import Path

from airgap.disk.os_errors import translate_errors
from airgap.errors import MissingError

__all__ = ["require_folder_above"]


def require_folder_above(path: Path) -> None:
    """Require the folder that ``path`` is in; ``path`` itself may be new, and may be a folder.

    A medium that is not mounted would otherwise be written to the disk below its mount point.

    Raises:
        MissingError: the folder, or one above it, does not exist or is not a folder.
        StorageError: it cannot be looked at.
    """
    above = path.absolute().parent
    with translate_errors(above):
        if above.is_dir():
            return
        missing = next(
            folder for folder in (*reversed(above.parents), above) if not folder.is_dir()
        )
        state = "is not a folder" if missing.exists() else "does not exist"
    raise MissingError(
        f"{missing} {state}; nothing was written.",
        f"Mount the medium, or create the folder: mkdir -p {shlex.quote(str(above))}",
    )
