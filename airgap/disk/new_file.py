"""Files that must not exist yet, such as those of keys."""

import os
from pathlib import Path

from airgap.disk import durable
from airgap.errors import StorageError

__all__ = ["create_file"]


def create_file(path: Path, content: bytes, mode: int) -> None:
    """Write a new file whole, or leave nothing of it: half a key would look like one.

    Raises:
        StorageError: it exists, or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                durable.flush(file)
            durable.sync_folder(path.parent)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}.", "Choose another folder."
        ) from error
