"""A base image as it is built upon: its documents, and a look at the files in its layers.

Layers are not unpacked. Their headers say which paths there are; the content of two small files is
read.
"""

import gzip
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from airgap.disk.os_errors import translate_errors
from airgap.errors import CorruptError, MissingError, UsageError
from airgap.format import limits
from airgap.format.image import INDEX_TYPES, Descriptor
from airgap.oci.blobs import BlobFile, Blobs, read_document
from airgap.oci.documents import (
    LAYER_TYPE,
    ImageManifest,
    Platform,
    parse_index,
    parse_manifest,
    parse_object,
)
from airgap.oci.local_image import LocalImage
from airgap.oci.select_platforms import choose_entries
from airgap.oci.tar_members import TarMembers, list_members

__all__ = ["BaseImage", "open_base"]

_DOCKER_LAYERS: Final = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": f"{LAYER_TYPE}+gzip",
    "application/vnd.docker.image.rootfs.diff.tar": LAYER_TYPE,
}
_LAYER_TYPES: Final = (LAYER_TYPE, f"{LAYER_TYPE}+gzip")
_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_SMALL_BYTES: Final = limits.MIB
_LAYER_BYTES: Final = 64 * 1024 * limits.MIB


@dataclass(frozen=True, slots=True)
class BaseImage:
    """The image of one platform: its layers, configuration and, from the top down, their files."""

    reference: str
    layers: tuple[Descriptor, ...]
    config: dict[str, Any]
    blobs: Blobs
    files: tuple[TarMembers, ...]

    def has(self, path: str) -> bool:
        """Tell whether there is a file or a link of this path; its folders are no links."""
        return self._find(path) is not None

    def read_small(self, path: str) -> bytes:
        """Return a small file; empty if it is not there. Raises StorageError."""
        layer = self._find(path)
        file = layer.find(path) if layer else None
        if file is None or file.size > _SMALL_BYTES:
            return b""
        return b"".join(file.read_pieces())

    def _find(self, path: str) -> TarMembers | None:
        """Return the highest layer that has a path, unless one above has removed it."""
        for layer in self.files:
            if path in layer.files or path in layer.links:
                return layer
            if any(mark in layer.files for mark in _list_whiteouts(path)):
                return None
        return None


def open_base(image: LocalImage, platform: Platform, private: Path) -> BaseImage:
    """Open a base image for a platform.

    Args:
        image: an image, or an index.
        platform: what is built for.
        private: a folder of the caller's own, for layers that are decompressed.

    Raises:
        UsageError: it is of a form that cannot be built upon.
        MissingError: it has nothing for the platform, or lacks a blob.
        CorruptError: a document or a layer is damaged.
        StorageError: the disk refused.
    """
    top = image.top
    if top.media_type in INDEX_TYPES:
        entries = parse_index(read_document(image.blobs, top.digest), f"The index {top.digest}")
        images = [entry for entry in choose_entries(entries, [platform]) if not entry.subject]
        top = images[0].image
    raw = read_document(image.blobs, top.digest)
    manifest = parse_manifest(raw, f"The manifest {top.digest}")
    config = parse_object(
        read_document(image.blobs, manifest.config.digest), "The configuration of the base"
    )
    _check(manifest, config, platform, image.reference)
    layers = tuple(
        replace(layer, media_type=_DOCKER_LAYERS.get(layer.media_type, layer.media_type))
        for layer in manifest.layers
    )
    indexed = [_index_layer(image.blobs, layer, private) for layer in layers]
    return BaseImage(image.reference, layers, config, image.blobs, tuple(reversed(indexed)))


def _check(
    manifest: ImageManifest, config: dict[str, Any], platform: Platform, reference: str
) -> None:
    own = Platform(str(config.get("os")), str(config.get("architecture")))
    if not platform.includes(own):
        raise MissingError(
            f"The base {reference} is for {own}, and the packages are for {platform}.",
            "Name a base for that platform, or another wheelhouse with --target.",
        )
    for layer in manifest.layers:
        if _DOCKER_LAYERS.get(layer.media_type, layer.media_type) not in _LAYER_TYPES:
            raise UsageError(
                f"The base {reference} has a layer of the type {layer.media_type!r}.",
                "Copy it with `skopeo copy --dest-compress-format gzip`.",
            )
    rootfs = config.get("rootfs")
    count = len(rootfs.get("diff_ids", ())) if isinstance(rootfs, dict) else -1
    if count != len(manifest.layers) or not isinstance(config.get("config", {}), dict | None):
        raise CorruptError(
            f"The configuration of the base {reference} does not fit its layers.",
            "Copy the image from its source again.",
        )


def _index_layer(blobs: Blobs, layer: Descriptor, private: Path) -> TarMembers:
    blob = blobs.find(layer.digest)
    if blob is None:
        raise MissingError(
            f"The layer sha256:{layer.digest} of the base is missing.",
            "Copy the image from its source again.",
        )
    if layer.media_type == LAYER_TYPE and blob.offset is None:
        return list_members(blob.location)
    plain = private / f"layer-{layer.digest}"
    if not plain.exists():
        _decompress(blob, plain, "gz" if layer.media_type != LAYER_TYPE else "")
    return list_members(plain)


def _decompress(blob: BlobFile, plain: Path, form: Literal["gz", ""]) -> None:
    """Write a layer as a plain tar."""
    packed = plain.with_suffix(".gz")
    with translate_errors(plain):
        with packed.open("xb") as file:
            file.writelines(blob.read_pieces())
        if not form:
            packed.rename(plain)
            return
        try:
            with gzip.open(packed) as source, plain.open("xb") as target:
                left = _LAYER_BYTES
                while left and (piece := source.read(min(limits.MIB, left))):
                    target.write(piece)
                    left -= len(piece)
        except (EOFError, gzip.BadGzipFile) as error:
            raise CorruptError(
                f"A layer in {blob.location} is damaged.", "Copy the image from its source again."
            ) from error
        packed.unlink()


def _list_whiteouts(path: str) -> list[str]:
    """Return the paths of marks that remove a path from the layers below."""
    parts = path.split("/")
    marks = []
    for number in range(1, len(parts) + 1):
        folder = "/".join(parts[: number - 1])
        start = f"{folder}/" if folder else ""
        marks += [f"{start}{_WHITEOUT}{parts[number - 1]}", f"{start}{_OPAQUE}"]
    return marks
