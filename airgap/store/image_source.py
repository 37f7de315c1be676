"""An image that is not installed, as an item: its blobs are read where they lie (format §27)."""

import os
from collections.abc import Sequence
from pathlib import Path

from airgap.disk.os_errors import translate_errors
from airgap.errors import CorruptError, MissingError
from airgap.format import image as layout
from airgap.format.image import ImageIndex
from airgap.format.kinds import IMAGE
from airgap.oci.blobs import BlobFile, Blobs, read_document
from airgap.oci.documents import Platform
from airgap.oci.local_image import LocalImage
from airgap.oci.reference import make_item_name
from airgap.oci.select_platforms import Selection, select_blobs
from airgap.store.item_kind import Source
from airgap.store.source_tree import SourceFile, Tree, scan_file

__all__ = ["make_image_source"]


def make_image_source(image: LocalImage, platforms: Sequence[Platform], private: Path) -> Source:
    """Make an item of an image; its manifests are read, and its layers are not.

    Args:
        image: where it lies.
        platforms: what is carried of an index; none: all that is there.
        private: a folder of the caller's own, which gets ``index.json`` and ``oci-layout``.

    Raises:
        UsageError, MissingError, CorruptError: as ``select_blobs``; or a blob is missing, or has
            another size.
        StorageError: it cannot be read, or the disk refused.
    """
    selection = select_blobs(
        image.top,
        platforms,
        lambda digest: read_document(image.blobs, digest),
        lambda digest: image.blobs.find(digest) is not None,
    )
    top, manifests = image.top, selection.manifests
    index = ImageIndex(top.digest, top.size, top.media_type, image.reference, manifests)
    blobs = [_find_blob(image.blobs, digest, size) for digest, size in selection.blobs.items()]
    written = [
        _write(private / layout.INDEX, layout.INDEX, layout.encode(index), blobs),
        _write(private / layout.LAYOUT, layout.LAYOUT, layout.LAYOUT_TEXT, blobs),
    ]
    files = sorted([*blobs, *written], key=lambda file: file.path)
    name = make_item_name(image.reference)
    tree = Tree(tuple(files), {}, ())
    return Source(
        IMAGE.name, name, index.version, 0, tree, notes=_make_notes(image.reference, selection)
    )


def _find_blob(blobs: Blobs, digest: str, size: int) -> SourceFile:
    """Look at a blob. Raises MissingError, CorruptError, StorageError."""
    blob = blobs.find(digest)
    if blob is None:
        raise MissingError(
            f"The blob sha256:{digest} ({size:,} bytes), which the image names, is missing.",
            "Copy the image from its source again.",
        )
    if blob.size != size:
        raise CorruptError(
            f"The blob {digest} in {blob.location} is damaged ({blob.size:,} bytes, expected"
            f" {size:,}).",
            "Copy the image from its source again.",
        )
    return _describe(blob, layout.blob_path(digest))


def _describe(blob: BlobFile, path: str) -> SourceFile:
    with translate_errors(blob.location):
        file = scan_file(blob.location, path)._replace(executable=False)
    if blob.offset is None:
        return file
    return file._replace(size=blob.size, within=(blob.offset, file.size))


def _write(file: Path, path: str, data: bytes, blobs: Sequence[SourceFile]) -> SourceFile:
    """Write a small file, as old as the image: the same image gives the same bundle."""
    changed = max(blob.times[0] for blob in blobs)
    with translate_errors(file):
        file.write_bytes(data)
        os.utime(file, ns=(changed, changed))
        return scan_file(file, path)


def _make_notes(reference: str, selection: Selection) -> tuple[str, ...]:
    if not selection.left_out:
        return ()
    carried, left = ", ".join(selection.platforms), ", ".join(selection.left_out)
    return (f"The image {reference} is carried for {carried}, without {left}.",)
