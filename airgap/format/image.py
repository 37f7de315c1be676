"""OCI images: what an item of the kind ``image`` holds (format §27)."""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Final

from airgap.errors import CorruptError
from airgap.format import limits, names
from airgap.format.files import VERSION_DIGITS
from airgap.format.inventory import Item

__all__ = [
    "BLOBS",
    "INDEX",
    "LAYOUT",
    "LAYOUT_TEXT",
    "ImageIndex",
    "blob_path",
    "check_image",
    "decode",
    "encode",
]

INDEX: Final = "index.json"
LAYOUT: Final = "oci-layout"
LAYOUT_TEXT: Final = b'{"imageLayoutVersion":"1.0.0"}'
BLOBS: Final = "blobs/sha256/"

_INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
_REFERENCE: Final = "org.opencontainers.image.ref.name"
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9.+/_-]{0,126}")
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """What ``index.json`` says: the image's digest in hex, its size in bytes and its type.

    ``reference`` is the name that people gave it, such as ``registry.example/team/shop:1.4``.
    """

    digest: str
    size: int
    media_type: str
    reference: str

    @property
    def version(self) -> str:
        """The version of the item."""
        return self.digest[:VERSION_DIGITS]


def blob_path(digest: str) -> str:
    """Return the path of a blob in the item; ``digest`` is hex."""
    return f"{BLOBS}{digest}"


def encode(index: ImageIndex) -> bytes:
    """Write ``index.json`` in its one form."""
    descriptor = {
        "annotations": {_REFERENCE: index.reference},
        "digest": f"sha256:{index.digest}",
        "mediaType": index.media_type,
        "size": index.size,
    }
    document = {"manifests": [descriptor], "mediaType": _INDEX_TYPE, "schemaVersion": 2}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def decode(raw: bytes) -> ImageIndex:
    """Parse ``index.json``.

    Raises:
        CorruptError: it is not what ``encode`` would write (format §27).
    """
    try:
        index = _parse(raw)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _make_error("breaks a rule of its format") from error
    if encode(index) != raw:
        raise _make_error("is not in its canonical form")
    return index


def _parse(raw: bytes) -> ImageIndex:
    if len(raw) > limits.IMAGE_DOCUMENT_BYTES:
        raise ValueError("too long")
    (descriptor,) = json.loads(raw)["manifests"]
    digest = _DIGEST.fullmatch(descriptor["digest"])
    reference = descriptor["annotations"][_REFERENCE]
    media_type, size = descriptor["mediaType"], descriptor["size"]
    valid = _is_reference(reference) and _MEDIA_TYPE.fullmatch(media_type) is not None
    valid = valid and type(size) is int and 0 < size <= limits.IMAGE_DOCUMENT_BYTES
    if digest is None or not valid:
        raise ValueError("an invalid digest, reference, type or size")
    return ImageIndex(digest[1], size, media_type, reference)


def _is_reference(text: str) -> bool:
    return (
        0 < len(text) <= limits.REFERENCE_CHARACTERS
        and text.isascii()
        and not names.has_invisible(text)
    )


def check_image(item: Item, raw: bytes) -> None:
    """Refuse an item that is not the layout that its ``index.json`` names.

    What its blobs name is not looked at.

    Raises:
        CorruptError: see ``decode``; or the version, a file or a blob's name differs.
    """
    index = decode(raw)
    if item.version != index.version:
        raise _make_error(f"is that of version {index.version}")
    files = {file.path: file for file in item.files if not file.executable}
    if len(files) != len(item.entries):
        raise _make_error("is in an item with other entries than files")
    for path, file in files.items():
        if path not in {INDEX, LAYOUT, blob_path(file.digest.hex())}:
            raise _make_error(f"is in an item with {path!r}, whose SHA-256 is {file.digest.hex()}")
    image, layout = files.get(blob_path(index.digest)), files.get(LAYOUT)
    if image is None or image.size != index.size:
        raise _make_error(f"names the image {index.digest}, which is not in the item")
    if layout is None or layout.digest != hashlib.sha256(LAYOUT_TEXT).digest():
        raise _make_error(f"is in an item without a valid {LAYOUT}")


def _make_error(problem: str) -> CorruptError:
    return CorruptError(
        f"The {INDEX} of an image {problem}.", "Ask the sender to export the image again."
    )
