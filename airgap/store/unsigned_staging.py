"""Files of an unsigned archive, received outside the stores (format §10)."""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from airgap.disk.sharing import make_new_folder
from airgap.disk.space import make_shortage, measure_free
from airgap.errors import CorruptError
from airgap.store.install_paths import private_folder
from airgap.store.private_folder import make_private_folder
from airgap.store.staging import STAGING, StagedItem

__all__ = ["UNSIGNED", "UnsignedStaging"]

UNSIGNED: Final = "unsigned"


class UnsignedStaging:
    """A tree of regular files in a store, whose lock must be held; links are never made."""

    def __init__(self, store: Path, name: str = UNSIGNED) -> None:
        """Create an empty folder: what a killed process left there is removed."""
        self._top = private_folder(store) / STAGING / name
        self.discard()
        make_private_folder(store, STAGING)
        make_new_folder(self._top)

    def write(self, path: str, size: int, pieces: Iterable[bytes]) -> None:
        """Write a file of ``size`` bytes at ``path``, which was checked (format §2.5).

        Raises:
            StorageError: the disk is too small for it.
            CorruptError: there is already a file or folder of this name.
        """
        free = measure_free(self._top)
        if free is not None and size > free:
            raise make_shortage(self._top, size, free, " more")
        try:
            self._make_folders((self._top / path).parent)
            with (self._top / path).open("xb") as file:
                file.writelines(pieces)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise CorruptError(
                f"The archive has {path!r} twice, or both as a file and as a folder.",
                "Do not use this archive: no known tool makes such archives.",
            ) from error

    def _make_folders(self, folder: Path) -> None:
        """Make folders that another operator can remove, if this one is interrupted."""
        if not folder.is_dir():
            self._make_folders(folder.parent)
            make_new_folder(folder)

    def hand_over(self, path: str, staged: StagedItem) -> None:
        """Move everything below ``path`` (empty for all) to where the item is staged."""
        staged.make_parent()
        (self._top / path).rename(staged.folder)
        staged.finish()

    def remove(self, path: str) -> None:
        """Remove everything below ``path``."""
        shutil.rmtree(self._top / path, ignore_errors=True)

    def discard(self) -> None:
        """Remove everything, and the folder above if it is empty."""
        shutil.rmtree(self._top, ignore_errors=True)
        with suppress(OSError):  # other imports may have staged items
            self._top.parent.rmdir()
