"""A private folder for packs under way; the next run removes what a killed one left of it."""

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

__all__ = ["Spool"]

_PREFIX: Final = "airgap-spool-"


class Spool:
    """Files between memory and a connection; a pack that is taken out is removed."""

    def __init__(self, parent: Path | None = None) -> None:
        """Make the folder in ``parent`` or the system's place; remove what others were killed over.

        Raises:
            StorageError: it cannot be made.
        """
        top = parent or Path(tempfile.gettempdir())
        with translate_errors(top):
            top.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(top)
            self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=top))
            self._lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with suppress(OSError):  # some file systems have no locks
                locks.try_lock(self._lock)

    def nameless(self) -> BinaryIO:
        """Make a file without a name, which is gone when it is closed.

        Raises:
            StorageError: the disk refused.
        """
        with translate_errors(self.folder):
            return tempfile.TemporaryFile(dir=self.folder)

    def write(self, name: str, parts: Sequence[Buffer]) -> Path:
        """Write a file; whoever has sent it removes it.

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


def _remove_abandoned(top: Path) -> None:
    """Remove folders of ours that nobody holds locked."""
    for folder in top.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(descriptor).st_uid == os.geteuid() and locks.try_lock(descriptor):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
