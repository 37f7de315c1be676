"""Indexes, manifests and configurations of images, as far as airgap reads them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from airgap.errors import CorruptError, UsageError
from airgap.format.image import Descriptor, read_descriptor
from airgap.printable import quote

__all__ = [
    "CONFIG_TYPE",
    "LAYER_TYPE",
    "MANIFEST_TYPE",
    "ImageManifest",
    "IndexEntry",
    "Platform",
    "encode",
    "parse_index",
    "parse_manifest",
    "parse_object",
    "parse_platform",
    "read_platform",
]

CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar"
_SUBJECT: Final = "vnd.docker.reference.digest"
_PLATFORM: Final = re.compile(r"([a-z0-9]+)/([a-z0-9_]+)(?:/([a-z0-9.]+))?")


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image runs on. An empty variant stands for any, where one is asked for."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        """Write it as people do: ``linux/arm64/v8``."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    def includes(self, other: "Platform") -> bool:
        """Tell whether an image for ``other`` is one for this platform."""
        same = (self.os, self.architecture) == (other.os, other.architecture)
        return same and self.variant in ("", other.variant)


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """An image that an index names.

    ``platform`` is None if the index does not say; ``subject`` is the digest (hex) of the image
    that an attestation of the builder is about, if this is one.
    """

    image: Descriptor
    platform: Platform | None
    annotations: Mapping[str, str]

    @property
    def subject(self) -> str:
        """The digest, in hex, of the image that this is an attestation about; or empty."""
        return self.annotations.get(_SUBJECT, "").removeprefix("sha256:")


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """What a manifest names."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


def parse_platform(text: str) -> Platform:
    """Parse ``os/architecture[/variant]``; raises UsageError."""
    match = _PLATFORM.fullmatch(text)
    if match is None:
        raise UsageError(f"{quote(text, 100)} is not a platform.", "Write it as linux/amd64.")
    return Platform(match[1], match[2], match[3] or "")


def parse_object(raw: bytes, what: str) -> dict[str, Any]:
    """Parse a JSON object; ``what`` names it in a message. Raises CorruptError."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _make_error(what) from error
    if type(document) is not dict:
        raise _make_error(what)
    return document


def parse_index(raw: bytes, what: str) -> tuple[IndexEntry, ...]:
    """Parse an index of images; ``what`` names it in a message. Raises CorruptError."""
    try:
        return tuple(map(_read_entry, parse_object(raw, what)["manifests"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _make_error(what) from error


def parse_manifest(raw: bytes, what: str) -> ImageManifest:
    """Parse the manifest of an image; ``what`` names it in a message. Raises CorruptError."""
    document = parse_object(raw, what)
    try:
        layers = tuple(map(read_descriptor, document["layers"]))
        return ImageManifest(read_descriptor(document["config"]), layers)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _make_error(what) from error


def read_platform(config: Mapping[str, Any]) -> Platform | None:
    """Return what a configuration, or an entry of an index, says of the platform."""
    texts = [config.get(key, "") for key in ("os", "architecture", "variant")]
    if not all(isinstance(text, str) for text in texts) or not all(texts[:2]):
        return None
    return Platform(*texts)


def encode(document: object) -> bytes:
    """Write a document that airgap makes: without spaces, its keys sorted."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _read_entry(value: Mapping[str, Any]) -> IndexEntry:
    platform, annotations = value.get("platform") or {}, value.get("annotations") or {}
    if not all(isinstance(text, str) for text in annotations.values()):
        raise TypeError
    return IndexEntry(read_descriptor(value), read_platform(platform), annotations)


def _make_error(what: str) -> CorruptError:
    return CorruptError(
        f"{what} is not a valid document of an image.", "Copy the image from its source again."
    )
