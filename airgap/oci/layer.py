"""Writes a layer: a tar whose bytes follow from its entries alone."""

import hashlib
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk.os_errors import translate_errors
from airgap.errors import CorruptError
from airgap.format.image import Descriptor
from airgap.format.tar import END, round_to_block
from airgap.oci.documents import LAYER_TYPE

__all__ = ["LayerEntry", "make_folders", "write_layer"]

_TIME: Final = 315_532_800  # 1980: a zip cannot say an earlier time


@dataclass(frozen=True, slots=True)
class LayerEntry:
    """A file, a folder or a symbolic link of a layer.

    ``pieces`` yields the ``size`` bytes of a file; ``target`` is that of a link; both None: a
    folder. ``owner`` is user and group.
    """

    path: str
    owner: int = 0
    executable: bool = False
    size: int = 0
    pieces: Callable[[], Iterable[bytes]] | None = None
    target: str | None = None


def make_folders(entries: Sequence[LayerEntry], top: str, owner: int) -> list[LayerEntry]:
    """Return the folders that entries lie in, from ``top`` downwards; those above are not owned."""
    folders: dict[str, LayerEntry] = {}
    parts = top.split("/")
    for number in range(1, len(parts)):
        above = "/".join(parts[:number])
        folders[above] = LayerEntry(above)
    folders[top] = LayerEntry(top, owner)
    for entry in entries:
        folder = entry.path.rpartition("/")[0]
        while folder.startswith(f"{top}/") and folder not in folders:
            folders[folder] = LayerEntry(folder, owner)
            folder = folder.rpartition("/")[0]
    return list(folders.values())


def write_layer(
    entries: Iterable[LayerEntry], file: Path, advance: Callable[[int], object]
) -> Descriptor:
    """Write an uncompressed layer, sorted by path; return what names it.

    Raises:
        CorruptError: an entry has another size than it says, or two have the same path.
        StorageError: the disk refused.
    """
    digest, size = hashlib.sha256(), 0
    with translate_errors(file), file.open("xb") as out:
        for piece in _list_pieces(sorted(entries, key=lambda entry: entry.path.encode())):
            out.write(piece)
            digest.update(piece)
            size += len(piece)
            advance(len(piece))
    return Descriptor(digest.hexdigest(), size, LAYER_TYPE)


def _list_pieces(entries: Sequence[LayerEntry]) -> Iterator[bytes]:
    previous = ""
    for entry in entries:
        if entry.path == previous:
            raise CorruptError(
                f"Two files of the image have the path {entry.path!r}.", "Build the Bento again."
            )
        previous = entry.path
        yield _header(entry)
        if entry.pieces is None:
            continue
        written = 0
        for piece in entry.pieces():
            written += len(piece)
            yield piece
        if written != entry.size:
            raise CorruptError(
                f"{entry.path!r} has {written:,} bytes (expected {entry.size:,}).",
                "Run the same command again.",
            )
        yield bytes(round_to_block(entry.size) - entry.size)
    yield END


def _header(entry: LayerEntry) -> bytes:
    info = tarfile.TarInfo(entry.path)
    info.uid = info.gid = entry.owner
    info.mtime = _TIME
    if entry.target is not None:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.target, 0o777
    elif entry.pieces is None:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    else:
        info.size, info.mode = entry.size, 0o755 if entry.executable else 0o644
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
