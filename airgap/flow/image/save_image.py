"""Saves an installed image as a layout, an OCI archive, or what `docker load` reads."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from airgap.disk.durable import sync_file_system, sync_folder
from airgap.disk.os_errors import translate_errors
from airgap.disk.part_file import PartFile
from airgap.disk.part_folder import make_part_folder
from airgap.errors import ConflictError, CorruptError, UsageError
from airgap.flow.progress import Progress
from airgap.format import image as layout
from airgap.format.image import Descriptor, ImageIndex
from airgap.oci.blobs import BlobFile
from airgap.oci.docker_archive import DOCKER_MANIFEST
from airgap.oci.documents import encode, parse_manifest, parse_platform
from airgap.oci.write_archive import write_tar
from airgap.printable import quote
from airgap.store.installed_image import InstalledImage, open_image

__all__ = ["SaveForm", "SaveOptions", "save_image"]

SaveForm = Literal["layout", "oci-archive", "docker-archive"]
_DOCKER_REFERENCE: Final = re.compile(
    r"(?:[a-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9._-]+(?:/[a-z0-9._-]+)*:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
)


@dataclass(frozen=True, slots=True)
class SaveOptions:
    """What to write.

    ``platforms``: of an index, the one image for this platform; a docker-archive has only one.
    ``reference``: what other tools call the image; empty: as its sender did.
    """

    form: SaveForm
    platforms: Sequence[str] = ()
    reference: str = ""


@dataclass(frozen=True, slots=True)
class _Content:
    """What is written: small files by path, then blobs by path."""

    top: Descriptor
    documents: dict[str, bytes]
    blobs: dict[str, BlobFile]

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.size for blob in self.blobs.values())


def save_image(
    tag: str, destination: Path, options: SaveOptions, progress: Progress
) -> dict[str, Any]:
    """Write an image; each blob is compared with its digest while it is read.

    A file gets its name when it is complete, and replaces another; a folder must not be there.

    Raises:
        UsageError, MissingError, CorruptError: as ``open_image``; or a blob is damaged.
        ConflictError: the folder is there.
        StorageError: the disk refused.
    """
    image = open_image(tag)
    content = _collect(image, options)
    progress.begin("saving", content.size)
    try:
        if options.form == "layout":
            _write_layout(content, destination, progress.advance)
        else:
            _write_archive(content, destination, progress.advance)
    finally:
        progress.end()
    return {
        "image": image.tag,
        "digest": f"sha256:{content.top.digest}",
        "format": options.form,
        "path": str(destination),
        "size": content.size,
    }


def _collect(image: InstalledImage, options: SaveOptions) -> _Content:
    top, selected = image.index.image, dict(image.selection.blobs)
    if options.platforms or options.form == "docker-archive":
        top = image.choose_manifest([parse_platform(text) for text in options.platforms])
        named = parse_manifest(image.read(top.digest), f"The manifest {top.digest}")
        blobs = (top, named.config, *named.layers)
        selected = {blob.digest: blob.size for blob in blobs}
    reference = options.reference or image.index.reference
    if not layout.is_reference(reference):
        raise UsageError(f"{quote(reference)} is not a reference.", "Write shop:1.4.")
    index = ImageIndex(top.digest, top.size, top.media_type, reference)
    documents = {layout.LAYOUT: layout.LAYOUT_TEXT, layout.INDEX: layout.encode(index)}
    if options.form == "docker-archive":
        documents[DOCKER_MANIFEST] = _make_docker_manifest(image, top, reference)
    files = {layout.blob_path(digest): image.find(digest) for digest in selected}
    return _Content(top, documents, files)


def _make_docker_manifest(image: InstalledImage, top: Descriptor, reference: str) -> bytes:
    """Make the document that `docker load` reads: it names the same blobs."""
    manifest = parse_manifest(image.read(top.digest), f"The manifest {top.digest}")
    name = reference.partition("@")[0]
    document = {
        "Config": layout.blob_path(manifest.config.digest),
        "Layers": [layout.blob_path(layer.digest) for layer in manifest.layers],
        "RepoTags": [name] if _DOCKER_REFERENCE.fullmatch(name) else [],
    }
    return encode([document])


def _write_archive(content: _Content, destination: Path, advance: Callable[[int], object]) -> None:
    """Write a part file, and rename it. Raises CorruptError, StorageError."""
    with translate_errors(destination):
        part = PartFile(destination)
        try:
            pieces = write_tar(
                content.documents,
                content.blobs,
                lambda path, blob: _read_compared(path, blob, advance),
            )
            for piece in pieces:
                part.file.write(piece)
            part.publish()
        finally:
            part.discard()


def _write_layout(content: _Content, destination: Path, advance: Callable[[int], object]) -> None:
    """Write a folder under another name, and rename it. Raises as ``save_image``."""
    if os.path.lexists(destination):
        raise ConflictError(f"{destination} is there already.", "Name a new folder.")
    with translate_errors(destination), make_part_folder(destination) as part:
        (part / layout.BLOBS).mkdir(parents=True)
        for path, data in content.documents.items():
            (part / path).write_bytes(data)
        for path, blob in content.blobs.items():
            _write(part / path, _read_compared(path, blob, advance))
        sync_file_system(part)
        part.rename(destination)
        sync_folder(destination.absolute().parent)


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    with path.open("xb") as file:
        file.writelines(pieces)


def _read_compared(path: str, blob: BlobFile, advance: Callable[[int], object]) -> Iterator[bytes]:
    """Yield a blob's bytes; at its end they must have had its digest. Raises CorruptError."""
    digest, size = hashlib.sha256(), 0
    for piece in blob.read_pieces():
        digest.update(piece)
        size += len(piece)
        advance(len(piece))
        yield piece
    if layout.blob_path(digest.hexdigest()) != path or size != blob.size:
        raise CorruptError(
            f"{blob.location} is damaged (its SHA-256 is {digest.hexdigest()}).",
            "Import the image again.",
        )
