"""The folder for temporary files, of which there may be none: a container may be read-only."""

import tempfile
from pathlib import Path

from airgap.errors import StorageError

__all__ = ["find_temporary_folder"]


def find_temporary_folder(chosen: Path | None = None) -> Path:
    """Return the chosen folder, else the first of these that can be written to.

    They are ``TMPDIR``, ``/tmp``, ``/var/tmp`` and the current folder.

    Raises:
        StorageError: nothing can be written to any of them.
    """
    if chosen:
        return chosen
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise StorageError(
            "There is no folder for temporary files: nothing can be written to TMPDIR, /tmp,"
            " /var/tmp or the current folder.",
            "Set TMPDIR to a folder on a disk or volume that this user may write to.",
        ) from error
