"""Folders that have another name until they are complete."""

import glob
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from airgap.disk import durable, locks

__all__ = ["make_part_folder"]

_PART: Final = re.compile(r".+\.[0-9a-f]{16}\.part", re.DOTALL)
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def make_part_folder(path: Path) -> Iterator[Path]:
    """Give a new folder beside ``path``, for the caller to rename when it is complete.

    What has not been renamed is removed at the end, with folders above it that were made for it.
    What killed processes left is removed first: a folder is locked as long as its process lives.

    Raises:
        OSError: the disk refused.
    """
    absent = [folder for folder in path.parents if not folder.exists()]
    durable.make_folder(path.parent)
    for left in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        if _PART.fullmatch(left.name):
            _remove_abandoned(left)
    part, descriptor = _open_part(path)
    try:
        yield part
    finally:
        with suppress(OSError):
            shutil.rmtree(part)
        os.close(descriptor)
        with suppress(OSError):  # they are not empty
            for folder in absent:
                folder.rmdir()


def _remove_abandoned(part: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(part, _FOLDER)
        try:
            if locks.try_lock(descriptor):
                shutil.rmtree(part)
        finally:
            os.close(descriptor)


def _open_part(path: Path) -> tuple[Path, int]:
    """Make a folder, and lock it.

    Another process that looks for abandoned folders may come between the two, and remove it.
    """
    while True:
        part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
        part.mkdir()
        try:
            descriptor = os.open(part, _FOLDER)
        except FileNotFoundError:
            continue
        with suppress(OSError):  # some file systems have no locks
            locks.lock(descriptor)
        if part.exists():
            return part, descriptor
        os.close(descriptor)
