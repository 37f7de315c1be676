"""What a client downloads: a file, or an item as a tar, of a length that is known beforehand."""

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from airgap.codec.buffer import Buffer
from airgap.flow.serving.block_reader import BlockReader
from airgap.flow.serving.readable import ReadableBundle
from airgap.format.inventory import Entry, File, Folder, Item, Link
from airgap.format.tar import END, round_to_block

__all__ = ["ServedContent", "make_file", "make_tar"]

_EXECUTABLE: Final = 0o755
_PLAIN: Final = 0o644


@dataclass(frozen=True, slots=True)
class ServedContent:
    """Bytes that are put together while they are sent. ``length`` is in bytes.

    ``etag`` names them: the same ``etag``, the same bytes.
    """

    etag: str
    length: int
    parts: Sequence[bytes | File]
    bundle: ReadableBundle

    def read(
        self, reader: BlockReader, start: int = 0, stop: int | None = None
    ) -> Iterator[Buffer]:
        """Yield what is from ``start`` to before ``stop``; raises as ``BlockReader.read_file``."""
        stop = self.length if stop is None else stop
        position = 0
        for part in self.parts:
            length = part.size if isinstance(part, File) else len(part)
            first, last = max(start - position, 0), min(stop - position, length)
            if first < last:
                if isinstance(part, File):
                    yield from reader.read_file(self.bundle, part, first, last)
                else:
                    yield memoryview(part)[first:last]
            position += length


def make_file(bundle: ReadableBundle, file: File) -> ServedContent:
    """Return the content of one file; its ``etag`` is the file's SHA-256 in hex."""
    return ServedContent(file.digest.hex(), file.size, (file,), bundle)


def make_tar(bundle: ReadableBundle, item: Item) -> ServedContent:
    """Return an item as a tar: its entries in their order, of user 0 and from 1970.

    The same item gives the same bytes in every bundle; ``etag`` is the item's digest in hex.
    """
    parts: list[bytes | File] = []
    for entry in item.entries:
        parts.append(_make_header(entry))
        if isinstance(entry, File):
            parts += [entry, bytes(round_to_block(entry.size) - entry.size)]
    parts.append(END)
    length = sum(part.size if isinstance(part, File) else len(part) for part in parts)
    return ServedContent(item.digest.hex(), length, tuple(parts), bundle)


def _make_header(entry: Entry) -> bytes:
    """Return the header of an entry, with a PAX header where a name needs one."""
    header = tarfile.TarInfo(entry.path)
    header.mode = _PLAIN
    if isinstance(entry, File):
        header.size = entry.size
        header.mode = _EXECUTABLE if entry.executable else _PLAIN
    elif isinstance(entry, Link):
        header.type, header.linkname = tarfile.SYMTYPE, entry.target
    elif isinstance(entry, Folder):
        header.type, header.mode = tarfile.DIRTYPE, _EXECUTABLE
    return header.tobuf(tarfile.PAX_FORMAT)
