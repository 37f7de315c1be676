"""What ``docker save`` writes, as an OCI image (docs/adr/0035-images-of-docker-save.md).

The layers stay as they are; so the same archive always gives the same manifest and digest.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from airgap.errors import CorruptError, UsageError
from airgap.format import limits
from airgap.oci.blobs import BlobFile
from airgap.oci.documents import CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE, encode, parse_object
from airgap.oci.tar_members import TarMembers
from airgap.printable import quote

__all__ = ["DOCKER_MANIFEST", "DockerImage", "convert", "list_images"]

DOCKER_MANIFEST: Final = "manifest.json"
_LAYERS: Final = 1000
_COMPRESSIONS: Final = {b"\x1f\x8b": "+gzip", b"\x28\xb5\x2f\xfd": "+zstd"}


@dataclass(frozen=True, slots=True)
class DockerImage:
    """An image in the archive: its references, and the paths of its configuration and layers."""

    references: tuple[str, ...]
    config: str
    layers: tuple[str, ...]


def list_images(raw: bytes) -> tuple[DockerImage, ...]:
    """Parse the ``manifest.json`` of an archive. Raises CorruptError."""
    images = parse_object(b'{"images":' + raw + b"}", DOCKER_MANIFEST)["images"]
    try:
        return tuple(_read_image(image) for image in images)
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptError(
            f"The {DOCKER_MANIFEST} of the archive is malformed.",
            "Save the image again with `docker save`.",
        ) from error


def convert(image: DockerImage, members: TarMembers) -> tuple[bytes, dict[str, BlobFile]]:
    """Make the OCI manifest of an image, and find its blobs; its layers are read once.

    Raises:
        CorruptError: a layer or the configuration is missing, or they do not belong together.
        StorageError: the archive cannot be read.
    """
    config = _require(image.config, members)
    if config.size > limits.IMAGE_DOCUMENT_BYTES:
        raise UsageError(
            f"The configuration {quote(image.config)} has {config.size:,} bytes.",
            "Save the image again with `docker save`.",
        )
    config_raw = b"".join(config.read_pieces())
    config_digest = hashlib.sha256(config_raw).hexdigest()
    blobs, layers = {config_digest: config}, []
    digests = _list_layer_digests(parse_object(config_raw, image.config))
    if len(digests) != len(image.layers):
        raise CorruptError(
            f"The archive has {len(image.layers)} layers and its configuration {len(digests)}.",
            "Save the image again with `docker save`.",
        )
    for path, expected in zip(image.layers, digests, strict=True):
        layer = _require(path, members)
        digest, compression = layer.digest(), _find_compression(layer)
        if not compression and digest != expected:
            raise CorruptError(
                f"The layer {quote(path)} is damaged (SHA-256 is {digest}, expected {expected}).",
                "Save the image again with `docker save`.",
            )
        blobs[digest] = layer
        layers.append(_describe(LAYER_TYPE + compression, digest, layer.size))
    manifest = {
        "config": _describe(CONFIG_TYPE, config_digest, config.size),
        "layers": layers,
        "mediaType": MANIFEST_TYPE,
        "schemaVersion": 2,
    }
    return encode(manifest), blobs


def _read_image(image: object) -> DockerImage:
    if not isinstance(image, dict):
        raise TypeError
    references, layers, config = image.get("RepoTags") or [], image["Layers"], image["Config"]
    if not isinstance(references, list) or not isinstance(layers, list) or len(layers) > _LAYERS:
        raise TypeError
    if not all(isinstance(text, str) for text in (*references, *layers, config)):
        raise TypeError
    return DockerImage(tuple(references), config, tuple(layers))


def _list_layer_digests(config: dict[str, Any]) -> list[str]:
    try:
        return [text.removeprefix("sha256:") for text in config["rootfs"]["diff_ids"]]
    except (TypeError, KeyError, AttributeError) as error:
        raise CorruptError(
            "The configuration of the image names no layers.",
            "Save the image again with `docker save`.",
        ) from error


def _require(path: str, members: TarMembers) -> BlobFile:
    file = members.find(path)
    if file is None:
        raise CorruptError(
            f"The archive lacks {quote(path)}, which its {DOCKER_MANIFEST} names.",
            "Save the image again with `docker save`.",
        )
    return file


def _find_compression(layer: BlobFile) -> str:
    start = next(layer.read_pieces(), b"")
    fits = (suffix for magic, suffix in _COMPRESSIONS.items() if start.startswith(magic))
    return next(fits, "")


def _describe(media_type: str, digest: str, size: int) -> dict[str, object]:
    return {"digest": f"sha256:{digest}", "mediaType": media_type, "size": size}
