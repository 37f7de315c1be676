"""A private folder for packs in transfer; the next run removes what a killed one left behind."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from airgap.codec.buffer import Buffer
from airgap.disk import locks
from airgap.disk.os_errors import translate_errors
from airgap.disk.temporary import find_temporary_folder

__all__ = ["Spool"]

_PREFIX: Final = "airgap-spool-"


class Spool:
    """Temporary files between memory and a connection."""

    def __init__(self, parent: Path | None = None) -> None:
        """Make the folder in ``parent`` or the system's temporary folder; remove abandoned ones.

        Raises:
            StorageError: the folder cannot be made.
        """
        top = self.find_parent(parent)
        with translate_errors(top):
            top.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(top)
            self.folder, self._lock = _make_locked_folder(top)

    @staticmethod
    def find_parent(folder: Path | None) -> Path:
        """Return the folder that spool folders are made in."""
        return find_temporary_folder(folder)

    def open_unnamed(self) -> BinaryIO:
        """Make a file without a name, which vanishes when it is closed.

        Raises:
            StorageError: the disk refused.
        """
        with translate_errors(self.folder):
            return tempfile.TemporaryFile(dir=self.folder)

    def write(self, name: str, parts: Sequence[Buffer]) -> Path:
        """Write a file. The caller removes it after sending.

        Raises:
            StorageError: the disk refused.
        """
        path = self.folder / name
        with translate_errors(path), path.open("xb") as file:
            file.writelines(parts)
        return path

    def close(self) -> None:
        """Remove everything; may be called twice."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _make_locked_folder(top: Path) -> tuple[Path, int]:
    """Make a folder and lock it; another one if a run that cleans up removed it before the lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=top))
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        is_locked = True
        with suppress(OSError):  # some file systems have no locks
            is_locked = locks.try_lock(lock)
        if is_locked and folder.is_dir():
            return folder, lock
        os.close(lock)


def _remove_abandoned(top: Path) -> None:
    """Remove spool folders of this user whose process has ended: they are not locked."""
    for folder in top.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(descriptor).st_uid == os.geteuid() and locks.try_lock(descriptor):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
