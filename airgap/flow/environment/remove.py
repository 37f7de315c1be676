"""``airgap env remove``: removes an environment that no process uses."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from airgap.disk import locks
from airgap.disk.os_errors import translate_errors
from airgap.errors import ConflictError
from airgap.flow.environment.create import empty, hold
from airgap.flow.progress import Progress
from airgap.store.bentoml_home import home
from airgap.store.environments import DESCRIPTION, FOLDER, MARKER, find_environment, refuse_foreign

__all__ = ["is_running", "remove"]


def remove(text: str, progress: Progress) -> Path:
    """Remove the environment that a person names; return its folder.

    Raises:
        UsageError, MissingError: as ``find_environment``.
        ConflictError: `airgap env run` has started something in it that still runs, or the folder
            is not ours.
        StorageError: the disk refused.
    """
    folder = find_environment(text).folder
    refuse_foreign(folder)
    waiting = f"Another process makes or removes the environment in {folder}: waiting for it."
    with (
        translate_errors(folder),
        hold(folder, lambda: progress.note(waiting)),
        _lock_unused(folder) as is_unused,
    ):
        if not is_unused:
            raise ConflictError(
                f"A process that `airgap env run` has started still runs in {folder}.",
                "Stop it, and remove the environment then.",
            )
        empty(folder)
        (folder / MARKER).unlink()
        folder.rmdir()
        if folder.is_relative_to(home() / FOLDER):
            with suppress(OSError):  # other environments are there
                folder.parent.rmdir()
                folder.parent.parent.rmdir()
    return folder


def is_running(folder: Path) -> bool:
    """Tell whether a process that was started by ``airgap env run`` uses an environment.

    Raises:
        OSError: the description cannot be opened, or the file system has no locks.
    """
    with _lock_unused(folder) as is_unused:
        return not is_unused


@contextmanager
def _lock_unused(folder: Path) -> Iterator[bool]:
    """Lock the description of an environment; give False if a running process holds it."""
    try:
        descriptor = os.open(folder / DESCRIPTION, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        yield locks.try_lock(descriptor)
    finally:
        os.close(descriptor)
