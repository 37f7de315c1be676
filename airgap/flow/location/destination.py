"""Where something new is to be made: the folder above it must be there already."""

import errno
import os
import shlex
from dataclasses import replace
from pathlib import Path

from airgap.disk.os_errors import translate_errors
from airgap.errors import MissingError, StorageError
from airgap.flow.location.location import LocalDepot, Location, RemoteDepot

__all__ = ["name_depot", "require_folder_above", "require_writable"]


def name_depot(location: Location | None) -> str:
    """Return what a depot is remembered by: its URL, or its path without links; else nothing."""
    match location:
        case LocalDepot(path):
            return str(path.resolve())
        case RemoteDepot():
            return str(replace(location, bundle=""))
        case _:
            return ""


def require_folder_above(path: Path) -> None:
    """Require the folder that ``path`` is in; ``path`` itself may be new, and may be a folder.

    A medium that is not mounted would otherwise be written to the disk below its mount point.

    Raises:
        MissingError: the folder, or one above it, does not exist.
        StorageError: it is not a folder, or cannot be looked at.
    """
    above = path.absolute().parent
    with translate_errors(above):
        if above.is_dir():
            return
        missing = next(
            folder for folder in (*reversed(above.parents), above) if not folder.is_dir()
        )
        is_there = missing.exists()
    if is_there:
        raise StorageError(
            f"{missing} is not a folder; nothing was written.", "Check the path of the output."
        )
    raise MissingError(
        f"{missing} does not exist; nothing was written.",
        f"Mount the medium, or create the folder: mkdir -p {shlex.quote(str(above))}",
    )


def require_writable(path: Path) -> None:
    """Require that files may be made in ``path``, or in the nearest folder above it that exists.

    The system is asked, and nothing is written: a medium may be mounted read-only.

    Raises:
        StorageError: the folder is read-only, or not permitted.
    """
    folder = next(above for above in (path.absolute(), *path.absolute().parents) if above.is_dir())
    if os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        return
    with translate_errors(folder):
        is_read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
        code = errno.EROFS if is_read_only else errno.EACCES
        raise OSError(code, os.strerror(code))
