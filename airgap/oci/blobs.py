"""Where the blobs of an image lie: files in a folder, or parts of a tar, read in place."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from airgap.disk.descriptors import open_without_waiting
from airgap.disk.os_errors import translate_errors
from airgap.errors import CorruptError, MissingError
from airgap.format import limits

__all__ = ["BlobFile", "BlobFolder", "BlobSet", "Blobs", "read_document"]

_PIECE: Final = limits.MIB


@dataclass(frozen=True, slots=True)
class BlobFile:
    """A file, or ``size`` bytes of it from ``offset``; None: the whole file."""

    location: Path
    size: int
    offset: int | None = None

    def read_pieces(self) -> Iterator[bytes]:
        """Yield its bytes; fewer than ``size`` if the file became shorter. Raises StorageError."""
        with translate_errors(self.location):
            descriptor = open_without_waiting(self.location)
            try:
                yield from self._read(descriptor, 0, self.size)
            finally:
                os.close(descriptor)

    def read_at(self, position: int, count: int) -> bytes:
        """Return up to ``count`` bytes from a position on. Raises StorageError."""
        with translate_errors(self.location):
            descriptor = open_without_waiting(self.location)
            try:
                return b"".join(self._read(descriptor, position, min(position + count, self.size)))
            finally:
                os.close(descriptor)

    def _read(self, descriptor: int, begin: int, end: int) -> Iterator[bytes]:
        start = self.offset or 0
        while begin < end:
            piece = os.pread(descriptor, min(_PIECE, end - begin), start + begin)
            if not piece:
                return
            begin += len(piece)
            yield piece

    def digest(self) -> str:
        """Return its SHA-256 in hex. Raises StorageError."""
        digest = hashlib.sha256()
        for piece in self.read_pieces():
            digest.update(piece)
        return digest.hexdigest()


class Blobs(Protocol):
    """Blobs by digest, in hex."""

    def find(self, digest: str) -> BlobFile | None:
        """Return where a blob lies; None if it is not there. Its content is not read."""


@dataclass(frozen=True, slots=True)
class BlobFolder:
    """A folder in which each blob is a file named by its digest."""

    folder: Path

    def find(self, digest: str) -> BlobFile | None:
        """Return where a blob lies; a link is not followed."""
        path = self.folder / digest
        if path.is_symlink() or not path.is_file():
            return None
        return BlobFile(path, path.stat().st_size)


@dataclass(frozen=True, slots=True)
class BlobSet:
    """Blobs that are known by name, then those of other places, in order."""

    files: Mapping[str, BlobFile] = field(default_factory=dict)
    others: Sequence[Blobs] = ()

    def find(self, digest: str) -> BlobFile | None:
        """Return where a blob lies."""
        candidates = (blobs.find(digest) for blobs in self.others)
        return self.files.get(digest) or next(filter(None, candidates), None)


def read_document(blobs: Blobs, digest: str) -> bytes:
    """Read a manifest, an index or a configuration, and compare it with its digest.

    Raises:
        MissingError: it is not there.
        CorruptError: it has another digest, or more than 4 MiB.
        StorageError: it cannot be read.
    """
    file = blobs.find(digest)
    if file is None:
        raise MissingError(
            f"The blob sha256:{digest}, which the image names, is missing.",
            "Copy the image from its source again.",
        )
    if file.size > limits.IMAGE_DOCUMENT_BYTES:
        raise CorruptError(
            f"The document sha256:{digest} of the image has {file.size:,} bytes (at most"
            f" {limits.IMAGE_DOCUMENT_BYTES:,} are allowed).",
            "Check that this is an image.",
        )
    raw = b"".join(file.read_pieces())
    actual = hashlib.sha256(raw).hexdigest()
    if actual != digest:
        raise CorruptError(
            f"The blob {digest} in {file.location} is damaged (its SHA-256 is {actual}).",
            "Copy the image from its source again.",
        )
    return raw
