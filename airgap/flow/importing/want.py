"""A want: what an import lacked, written for the sender and its next export (format §22)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airgap.disk.part_file import write_atomically
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.chunks.missing_chunks import MissingChunksError
from airgap.format import want as wants
from airgap.format.want import Want

__all__ = ["write_want"]


@contextmanager
def write_want(path: Path | None, opened: Opened) -> Iterator[None]:
    """If the block ends because chunks are missing, write to ``path`` which ones.

    Raises:
        MissingChunksError: the same, with what to do next.
        StorageError: the disk refused.
    """
    try:
        yield
    except MissingChunksError as error:
        if path is None:
            raise
        tags = tuple(str(item) for item in opened.manifest.value.items)
        raw = wants.encode(Want(bytes.fromhex(opened.bundle), tags, error.wanted))
        write_atomically(path.parent, path.name, [raw])
        raise MissingChunksError(
            f"{error.message} {path} says which.",
            f"Carry {path} to the sender, for `airgap export --for {path.name}`; import this bundle"
            " again with --depot and the location of what comes back.",
            error.wanted,
        ) from error
