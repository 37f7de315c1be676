"""Which blobs of an image travel: all, or those of some platforms (format §27)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airgap.errors import MissingError, UsageError
from airgap.format.image import INDEX_TYPES, MANIFEST_TYPES, Descriptor
from airgap.oci.documents import (
    IndexEntry,
    Platform,
    parse_index,
    parse_manifest,
    parse_object,
    read_platform,
)

__all__ = ["Selection", "choose_entries", "select_blobs"]


@dataclass(frozen=True, slots=True)
class Selection:
    """The blobs that travel, by digest, and the platforms that stay behind."""

    blobs: dict[str, int]
    """Sizes in bytes by digest (hex), the top of the image first."""
    platforms: tuple[str, ...]
    left_out: tuple[str, ...]
    manifests: tuple[str, ...] = ()
    """Digests (hex), sorted, of the manifests of an index that travel; empty if all do."""


def select_blobs(
    top: Descriptor,
    platforms: Sequence[Platform],
    read: Callable[[str], bytes],
    has: Callable[[str], bool],
) -> Selection:
    """Follow an image from its top to its layers.

    Args:
        top: the manifest or the index.
        platforms: those that travel; none: all that are there.
        read: returns a document by its digest (hex), compared with it; raises MissingError.
        has: tells whether a document is there.

    Raises:
        UsageError: it is not an image, or of a form that is not carried.
        MissingError: a platform is not in the index, or a document is missing.
        CorruptError: a document is malformed.
    """
    _require_type(top, (*INDEX_TYPES, *MANIFEST_TYPES))
    blobs = {top.digest: top.size}
    if top.media_type in MANIFEST_TYPES:
        platform = _add_image(top, blobs, read)
        if platforms and not any(asked.includes(platform) for asked in platforms if platform):
            raise _make_missing_error(platforms[0], [str(platform or "unknown")])
        return Selection(blobs, (str(platform or "unknown"),), ())
    entries = parse_index(read(top.digest), f"The index sha256:{top.digest}")
    for entry in entries:
        _require_type(entry.image, MANIFEST_TYPES)
    chosen = choose_entries(entries, platforms)
    carried = [entry for entry in chosen if has(entry.image.digest)]
    if not carried or (platforms and len(carried) < len(chosen)):
        raise MissingError(
            "The index names images that are not there.", "Copy them too, or give --platform."
        )
    for entry in carried:
        blobs[entry.image.digest] = entry.image.size
        _add_image(entry.image, blobs, read)
    left = [entry for entry in entries if entry not in carried]
    manifests = sorted({entry.image.digest for entry in carried}) if left else ()
    return Selection(blobs, _list_platforms(carried), _list_platforms(left), tuple(manifests))


def _add_image(
    image: Descriptor, blobs: dict[str, int], read: Callable[[str], bytes]
) -> Platform | None:
    """Add what a manifest names; return its platform, if its configuration tells."""
    manifest = parse_manifest(read(image.digest), f"The manifest sha256:{image.digest}")
    for blob in (manifest.config, *manifest.layers):
        blobs[blob.digest] = blob.size
    digest = manifest.config.digest
    return read_platform(parse_object(read(digest), f"The configuration sha256:{digest}"))


def choose_entries(
    entries: Sequence[IndexEntry], platforms: Sequence[Platform]
) -> Sequence[IndexEntry]:
    """Choose the images for some platforms (all, if none is named), and attestations about them.

    Raises:
        MissingError: there is none for one of the platforms.
    """
    if not platforms:
        return entries
    for asked in platforms:
        if not any(entry.platform and asked.includes(entry.platform) for entry in entries):
            raise _make_missing_error(asked, _list_platforms(entries))
    images = {
        entry.image.digest
        for entry in entries
        for asked in platforms
        if entry.platform and asked.includes(entry.platform)
    }
    return [entry for entry in entries if {entry.image.digest, entry.subject} & images]


def _list_platforms(entries: Sequence[IndexEntry]) -> tuple[str, ...]:
    """Return the platforms of images, without what is only said about them."""
    images = (entry for entry in entries if not entry.subject)
    return tuple(dict.fromkeys(str(entry.platform or "unknown") for entry in images))


def _require_type(image: Descriptor, types: Sequence[str]) -> None:
    if image.media_type not in types:
        raise UsageError(
            f"The image has a part of the type {image.media_type!r}, which is not carried.",
            "Give an OCI image, or one of Docker's second format; `skopeo copy` converts others.",
        )


def _make_missing_error(asked: Platform, present: Sequence[str]) -> MissingError:
    return MissingError(
        f"The image has nothing for the platform {asked}.",
        "Name one that is there.",
        [f"there is {platform}" for platform in present],
    )
