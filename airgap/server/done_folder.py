"""The folder of `airgap watch --move-done`, where finished bundles are moved to."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk import durable
from airgap.disk.descriptors import open_folder
from airgap.errors import StorageError, UsageError

__all__ = ["DoneFolder", "locate_done_folder"]

_NOT_A_FOLDER: Final = (errno.ELOOP, errno.ENOTDIR)


@dataclass(frozen=True, slots=True)
class DoneFolder:
    """The folder of finished bundles; it has one below it for each outcome.

    ``names`` lead to it from ``top``. Below ``top`` no link is followed: a sender may have put it
    there. ``skipped``: its path in the watched folder, where no bundle is looked for; None if it is
    not there.
    """

    top: Path
    names: tuple[str, ...] = ()
    skipped: Path | None = None

    @contextmanager
    def open(self, *names: str) -> Iterator[int]:
        """Give the descriptor of a folder below, which is made if need be.

        Raises:
            StorageError: there is a link, or something that is not a folder.
            OSError: it cannot be made or opened.
        """
        path = self.top.joinpath(*self.names, *names)
        try:
            durable.make_folder(self.top)
            with open_folder(self.top, [*self.names, *names], make=True) as descriptor:
                yield descriptor
        except OSError as error:
            if error.errno not in _NOT_A_FOLDER:
                raise
            raise StorageError(
                f"{path} is not a folder, or leads through a link.",
                "Remove what is there, or give --move-done another folder.",
            ) from error


def locate_done_folder(watched: Path, done: Path) -> DoneFolder:
    """Find out whether the folder of finished bundles lies in the watched one.

    The real folders are compared: ``done`` may lead there by a link or by `..`.

    Raises:
        UsageError: it is the watched folder or one above it, where no bundle is looked for.
    """
    if done.exists() and _find_names(watched, done) is not None:
        raise UsageError(
            f"{done} is the watched folder, or a folder above it.",
            "Give --move-done another folder; it may be below the watched one.",
        )
    for top in (*reversed(done.parents), done):
        above = _find_names(top, watched) if top.exists() else None
        if above is not None:
            names = done.relative_to(top).parts
            return DoneFolder(top, names, Path(os.path.normpath(watched.joinpath(*above, *names))))
    return DoneFolder(done)


def _find_names(folder: Path, above: Path) -> tuple[str, ...] | None:
    """Return the names that lead from a folder to one below it, or which is the same.

    Returns None if ``folder`` is somewhere else.
    """
    real = folder.resolve()
    for parent in (real, *real.parents):
        if parent.samefile(above):
            return real.relative_to(parent).parts
    return None
