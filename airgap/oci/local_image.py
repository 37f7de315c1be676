"""Images in files of this machine: OCI layouts, OCI archives, and archives of ``docker save``."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_bounded
from airgap.errors import CorruptError, MissingError, UsageError
from airgap.format import limits
from airgap.format.image import INDEX, LAYOUT, Descriptor, is_reference
from airgap.oci import docker_archive
from airgap.oci.blobs import BlobFile, BlobFolder, Blobs, BlobSet
from airgap.oci.documents import MANIFEST_TYPE, IndexEntry, parse_index, parse_object
from airgap.oci.tar_members import TarMembers, list_members
from airgap.printable import quote

__all__ = ["LocalImage", "open_local_image"]

_REFERENCE: Final = "org.opencontainers.image.ref.name"
_FULL_REFERENCE: Final = "io.containerd.image.name"
_VERSION: Final = "1.0.0"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LocalImage:
    """An image (or an index of several platforms), what people call it, and its blobs."""

    top: Descriptor
    reference: str
    blobs: Blobs


def open_local_image(path: Path, wanted: str, private: Path) -> LocalImage:
    """Find the one image that is meant in a layout or an archive; layers are not unpacked.

    Args:
        path: the folder or the file.
        wanted: its reference there; empty if there is one image.
        private: a folder of the caller's own, for a manifest that is made.

    Raises:
        UsageError: there are several images; or it is neither a layout nor an archive.
        MissingError: no image has that reference, or a file is missing.
        CorruptError: it is malformed.
        StorageError: it cannot be read.
    """
    if path.is_dir():
        raw = read_bounded(path, LAYOUT, limits.IMAGE_DOCUMENT_BYTES)
        _check_layout(raw, path)
        index = read_bounded(path, INDEX, limits.IMAGE_DOCUMENT_BYTES)
        return _open_layout(path, index, BlobFolder(path / "blobs" / "sha256"), wanted)
    members = list_members(path)
    if LAYOUT in members.files and INDEX in members.files:
        _check_layout(_read(members.files[LAYOUT]), path)
        blobs = BlobSet(_list_blobs(members))
        return _open_layout(path, _read(members.files[INDEX]), blobs, wanted)
    if docker_archive.DOCKER_MANIFEST in members.files:
        return _open_docker_archive(path, members, wanted, private)
    raise UsageError(
        f"{path} holds no image.",
        "Give an OCI layout or archive, or what `docker save` or `podman save` writes.",
    )


def _check_layout(raw: bytes, path: Path) -> None:
    if parse_object(raw, f"{path}/{LAYOUT}").get("imageLayoutVersion") != _VERSION:
        raise CorruptError(
            f"{path} is an image layout of another version than {_VERSION}.",
            "Copy the image with `skopeo copy` into a new layout.",
        )


def _open_layout(path: Path, index: bytes, blobs: Blobs, wanted: str) -> LocalImage:
    entries = parse_index(index, f"{path}/{INDEX}")
    named = [(_name_entry(entry, path), entry.image) for entry in entries]
    reference, top = _choose(named, wanted, path)
    return LocalImage(top, reference, blobs)


def _open_docker_archive(path: Path, members: TarMembers, wanted: str, private: Path) -> LocalImage:
    images = docker_archive.list_images(_read(members.files[docker_archive.DOCKER_MANIFEST]))
    named = [
        (reference, image)
        for image in images
        for reference in image.references or (f"{path.stem}:latest",)
    ]
    if len(images) == 1 and not wanted:
        named = named[:1]  # one image may have several references
    reference, image = _choose(named, wanted, path)
    manifest, blobs = docker_archive.convert(image, members)
    digest = hashlib.sha256(manifest).hexdigest()
    file = private / digest
    with translate_errors(file):
        file.write_bytes(manifest)
    top = Descriptor(digest, len(manifest), MANIFEST_TYPE)
    return LocalImage(top, reference, BlobSet({**blobs, digest: BlobFile(file, len(manifest))}))


def _name_entry(entry: IndexEntry, path: Path) -> str:
    """Return the reference of an image in a layout, of which many tools only write the tag."""
    short = entry.annotations.get(_REFERENCE, "latest")
    full = entry.annotations.get(_FULL_REFERENCE, "")
    stem = path.resolve().name if path.is_dir() else path.stem
    reference = full or (short if "/" in short or ":" in short else f"{stem}:{short}")
    return reference if is_reference(reference) else f"image:{entry.image.digest[:12]}"


def _choose(named: Sequence[tuple[str, T]], wanted: str, path: Path) -> tuple[str, T]:
    """Choose the image that is wanted, by its reference or the tag in it."""
    fitting = [
        (reference, image)
        for reference, image in named
        if wanted in ("", reference, reference.rpartition(":")[2])
    ]
    if len(fitting) == 1:
        return fitting[0]
    shown = [f"there is {reference}" for reference, _ in named[:20]]
    if not fitting:
        raise MissingError(
            f"{path} has no image {quote(wanted)}." if wanted else f"{path} has no image.",
            "Name one that is there.",
            shown,
        )
    raise UsageError(f"{path} has {len(fitting)} images.", f"Name one: {path}:REFERENCE.", shown)


def _list_blobs(members: TarMembers) -> dict[str, BlobFile]:
    start = "blobs/sha256/"
    return {
        path.removeprefix(start): file
        for path, file in members.files.items()
        if path.startswith(start)
    }


def _read(file: BlobFile) -> bytes:
    if file.size > limits.IMAGE_DOCUMENT_BYTES:
        raise CorruptError(
            f"A document in {file.location} has {file.size:,} bytes.",
            "Check that this is an image.",
        )
    return b"".join(file.read_pieces())
