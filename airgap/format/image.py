"""OCI images: what an item of the kind ``image`` holds (format §27)."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from airgap.errors import CorruptError
from airgap.format import limits, names
from airgap.format.files import version_of
from airgap.format.inventory import Item

__all__ = [
    "BLOBS",
    "INDEX",
    "INDEX_TYPE",
    "INDEX_TYPES",
    "LAYOUT",
    "LAYOUT_TEXT",
    "MANIFEST_TYPES",
    "Descriptor",
    "ImageIndex",
    "blob_path",
    "check_blobs",
    "check_image",
    "decode",
    "encode",
    "is_reference",
    "read_descriptor",
]

INDEX: Final = "index.json"
LAYOUT: Final = "oci-layout"
LAYOUT_TEXT: Final = b'{"imageLayoutVersion":"1.0.0"}'
BLOBS: Final = "blobs/sha256/"

INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
_REFERENCE: Final = "org.opencontainers.image.ref.name"
_MANIFESTS: Final = "airgap.manifests"
_HEX_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9.+/_-]{0,126}")
INDEX_TYPES: Final = (INDEX_TYPE, "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFEST_TYPES: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """How a document refers to a blob: by digest (hex), size in bytes and media type."""

    digest: str
    size: int
    media_type: str


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """What ``index.json`` says: the image's digest in hex, its size in bytes and its type.

    ``reference`` is the name that people gave it, such as ``registry.example/team/shop:1.4``.
    ``manifests`` are the digests (hex), sorted, of the manifests of an index that are in the item;
    empty if all are.
    """

    digest: str
    size: int
    media_type: str
    reference: str
    manifests: tuple[str, ...] = ()

    @property
    def image(self) -> Descriptor:
        """What it says of the image."""
        return Descriptor(self.digest, self.size, self.media_type)

    @property
    def version(self) -> str:
        """The version of the item: it stands for the content and for the reference."""
        return version_of(encode(self))


def blob_path(digest: str) -> str:
    """Return the path of a blob in the item; ``digest`` is hex."""
    return f"{BLOBS}{digest}"


def encode(index: ImageIndex) -> bytes:
    """Write ``index.json`` in its one form."""
    annotations = {_REFERENCE: index.reference}
    if index.manifests:
        annotations[_MANIFESTS] = ",".join(index.manifests)
    descriptor = {
        "annotations": annotations,
        "digest": f"sha256:{index.digest}",
        "mediaType": index.media_type,
        "size": index.size,
    }
    document = {"manifests": [descriptor], "mediaType": INDEX_TYPE, "schemaVersion": 2}
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
    (value,) = json.loads(raw)["manifests"]
    image, reference = read_descriptor(value), value["annotations"][_REFERENCE]
    if not is_reference(reference) or not 0 < image.size <= limits.IMAGE_DOCUMENT_BYTES:
        raise ValueError("an invalid reference or size")
    text = value["annotations"].get(_MANIFESTS)
    manifests = () if text is None else tuple(text.split(","))
    if manifests and image.media_type not in INDEX_TYPES:
        raise ValueError("only an index leaves something out")
    if list(manifests) != sorted(set(manifests)) or not all(map(_HEX_DIGEST.fullmatch, manifests)):
        raise ValueError("invalid digests of manifests")
    return ImageIndex(image.digest, image.size, image.media_type, reference, manifests)


def is_reference(text: str) -> bool:
    """Tell whether this can be the reference of an image in ``index.json`` (format §27)."""
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
        raise _make_error("does not allow links, folders or executable files beside it")
    for path, file in files.items():
        if path not in {INDEX, LAYOUT, blob_path(file.digest.hex())}:
            raise _make_error(f"does not allow {path!r} (SHA-256 {file.digest.hex()}) beside it")
    image, layout = files.get(blob_path(index.digest)), files.get(LAYOUT)
    if image is None or image.size != index.size:
        raise _make_error(f"names the image {index.digest}, which is not in the item")
    if layout is None or layout.digest != hashlib.sha256(LAYOUT_TEXT).digest():
        raise _make_error(f"lies beside a missing or invalid {LAYOUT}")


def check_blobs(item: Item, index: ImageIndex, read: Callable[[str], bytes]) -> None:
    """Refuse an item that lacks what its image names, or holds more than that.

    Of an index, the manifests that ``index.json`` lists must be there, or all if it lists none.

    Args:
        item: passed ``check_image``.
        index: what its ``index.json`` says.
        read: returns a blob by its path in the item; of one above 4 MiB, more than 4 MiB.

    Raises:
        CorruptError: see above; or a document is malformed.
    """
    sizes = {file.path: file.size for file in item.files}
    manifests = [index.image]
    if index.media_type in INDEX_TYPES:
        manifests = _choose_manifests(index, read)
    expected = {INDEX, LAYOUT, blob_path(index.digest)}
    for manifest in manifests:
        if manifest.media_type not in MANIFEST_TYPES:
            raise _make_error(f"leads to the type {manifest.media_type!r}, which is not an image's")
        _require(manifest, sizes)
        document = _read_document(manifest, read)
        blobs = _list_descriptors(document, "layers")
        for blob in (*_list_descriptors({"config": [document.get("config")]}, "config"), *blobs):
            _require(blob, sizes)
            expected.add(blob_path(blob.digest))
        expected.add(blob_path(manifest.digest))
    for path in sizes.keys() - expected:
        raise _make_error(f"does not lead to {path}, which is in the item")


def _choose_manifests(index: ImageIndex, read: Callable[[str], bytes]) -> list[Descriptor]:
    """Return the manifests of an index that must be there, each once."""
    # An index may name one manifest of 4 MiB very often: each is read once.
    named = dict.fromkeys(_list_descriptors(_read_document(index.image, read), "manifests"))
    digests = {manifest.digest for manifest in named}
    if not named:
        raise _make_error(f"names the index {index.digest}, which has no images")
    if not digests.issuperset(index.manifests):
        raise _make_error(f"lists manifests that the index {index.digest} does not name")
    if digests == set(index.manifests):
        raise _make_error("lists all manifests of its index, although none is left out")
    return [
        manifest for manifest in named if not index.manifests or manifest.digest in index.manifests
    ]


def _require(blob: Descriptor, sizes: Mapping[str, int]) -> None:
    if sizes.get(blob_path(blob.digest)) != blob.size:
        raise _make_error(
            f"leads to the blob {blob.digest} of {blob.size} bytes, which is not in the item"
        )


def _read_document(blob: Descriptor, read: Callable[[str], bytes]) -> Mapping[str, Any]:
    raw = read(blob_path(blob.digest))
    try:
        document = json.loads(raw) if len(raw) <= limits.IMAGE_DOCUMENT_BYTES else None
    except (ValueError, RecursionError) as error:
        raise _make_error(f"leads to {blob.digest}, which is not JSON") from error
    if type(document) is not dict:
        raise _make_error(f"leads to {blob.digest}, which is too long or not an object")
    return document


def _list_descriptors(document: Mapping[str, Any], key: str) -> list[Descriptor]:
    try:
        return [read_descriptor(value) for value in document[key]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _make_error(f"leads to a document without valid {key!r}") from error


def read_descriptor(value: Mapping[str, Any]) -> Descriptor:
    """Parse a descriptor, of which only three keys matter here.

    Raises:
        ValueError, TypeError, KeyError: it has no valid digest, media type or size.
    """
    digest = _DIGEST.fullmatch(value["digest"])
    media_type, size = value["mediaType"], value["size"]
    if digest is None or type(size) is not int or not _MEDIA_TYPE.fullmatch(media_type):
        raise ValueError("an invalid digest, type or size")
    return Descriptor(digest[1], size, media_type)


def _make_error(problem: str) -> CorruptError:
    return CorruptError(
        f"The {INDEX} of an image {problem}.", "Ask the sender to export the image again."
    )
