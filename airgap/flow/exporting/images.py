"""Images that travel though they are not installed: from a layout, an archive or a registry."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from airgap.errors import MissingError
from airgap.format import names
from airgap.format.kinds import IMAGE
from airgap.oci.documents import Platform, parse_platform
from airgap.oci.local_image import LocalImage, open_local_image
from airgap.oci.reference import ImageReference, parse_reference
from airgap.oci.skopeo import fetch_image
from airgap.store.image_source import make_image_source
from airgap.store.installed_image import open_image
from airgap.store.item_kind import Reference, Source
from airgap.store.kinds import find_kind

__all__ = [
    "ImageFile",
    "ImageOrigin",
    "ImageReference",
    "make_source",
    "open_origin",
    "parse_image",
    "parse_platforms",
]


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A layout or an archive, and the reference of the image in it; empty: it has only one."""

    path: Path
    reference: str = ""


@dataclass(frozen=True, slots=True)
class ImageTag:
    """An image that an import installed."""

    name: str
    version: str


ImageOrigin = ImageFile | ImageReference | ImageTag


def parse_image(text: str) -> ImageOrigin:
    """Read what a person named: a path, ``PATH:REFERENCE``, a tag, or a reference in a registry.

    What exists on this machine comes first. ``docker://`` before a reference says that it is one.

    Raises:
        MissingError: a path does not exist.
        UsageError: it is not a reference.
    """
    if text.startswith("docker://"):
        return parse_reference(text.removeprefix("docker://"))
    ends = [at for at, character in enumerate(text) if character == ":"]
    for end in [len(text), *ends]:
        if text[:end] and os.path.lexists(text[:end]):
            return ImageFile(Path(text[:end]), text[end + 1 :])
    if text.startswith((".", "/", "~")):
        raise MissingError(f"{text} is not there.", "Check the path of the layout or the archive.")
    installed = _find_installed(text)
    return installed or parse_reference(text)


def _find_installed(text: str) -> ImageTag | None:
    name, _, version = text.partition(":")
    if not names.is_tag_part(name) or (version and not names.is_content_version(version)):
        return None
    with suppress(MissingError):
        return ImageTag(*find_kind(IMAGE.name).find(text))
    return None


def parse_platforms(texts: Sequence[str]) -> list[Platform]:
    """Parse ``os/architecture[/variant]`` of each; raises UsageError."""
    return [parse_platform(text) for text in texts]


def make_source(origin: ImageOrigin, platforms: Sequence[Platform], private: Path) -> Source:
    """Make an item of an image.

    ``private`` is a folder of the caller's own, which gets what a registry sends.

    Raises:
        ConfigurationError: skopeo is not installed, and the image is in a registry.
        TransportError: skopeo failed.
        UsageError, MissingError, CorruptError, StorageError: as ``open_local_image`` and
            ``make_image_source``.
    """
    if isinstance(origin, ImageTag) and not platforms:
        return find_kind(IMAGE.name).scan(Reference(IMAGE.name, origin.name, origin.version))
    return make_image_source(open_origin(origin, platforms, private), platforms, private)


def open_origin(origin: ImageOrigin, platforms: Sequence[Platform], private: Path) -> LocalImage:
    """Find an image, and fetch it if it is in a registry. Raises as ``make_source``."""
    if isinstance(origin, ImageReference):
        return fetch_image(origin, platforms, private)
    if isinstance(origin, ImageTag):
        image = open_image(f"{origin.name}:{origin.version}")
        return LocalImage(image.index.image, image.index.reference, image.blobs)
    path = Path(os.path.realpath(origin.path))
    return open_local_image(path, origin.reference, private)
