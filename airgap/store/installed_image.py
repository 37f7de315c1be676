"""An installed image: its manifests are compared with their digests when it is opened."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.disk.reading import read_bounded
from airgap.errors import CorruptError, MissingError
from airgap.format import image as layout
from airgap.format.image import INDEX_TYPES, Descriptor, ImageIndex
from airgap.format.kinds import IMAGE
from airgap.format.limits import IMAGE_DOCUMENT_BYTES
from airgap.oci.blobs import BlobFile, BlobFolder, read_document
from airgap.oci.documents import IndexEntry, Platform, parse_index
from airgap.oci.select_platforms import Selection, choose_entries, select_blobs
from airgap.store.kinds import find_kind

__all__ = ["InstalledImage", "open_image"]


@dataclass(frozen=True, slots=True)
class InstalledImage:
    """An image in the store. ``selection`` has its blobs; none of its layers has been read."""

    name: str
    version: str
    index: ImageIndex
    selection: Selection
    blobs: BlobFolder

    @property
    def tag(self) -> str:
        """Its tag in the store."""
        return f"{self.name}:{self.version}"

    def read(self, digest: str) -> bytes:
        """Read a manifest, an index or a configuration. Raises as ``read_document``."""
        return read_document(self.blobs, digest)

    def find(self, digest: str) -> BlobFile:
        """Return where a blob lies. Raises MissingError."""
        file = self.blobs.find(digest)
        if file is None:
            raise MissingError(
                f"The blob sha256:{digest} of the image {self.tag} is missing.",
                "Import the image again.",
            )
        return file

    def list_manifests(self) -> tuple[IndexEntry, ...]:
        """Return the images of an index that are here; none if it is not an index."""
        if self.index.media_type not in INDEX_TYPES:
            return ()
        entries = parse_index(self.read(self.index.digest), f"The index {self.index.digest}")
        return tuple(entry for entry in entries if entry.image.digest in self.selection.blobs)

    def choose_manifest(self, platforms: Sequence[Platform]) -> Descriptor:
        """Return the one image that is for these platforms; of an index with one, that one.

        Raises:
            MissingError: there is none, or there are several.
        """
        images = [entry for entry in self.list_manifests() if not entry.subject]
        if self.index.media_type not in INDEX_TYPES:
            return self.index.image
        chosen = [e for e in choose_entries(images, platforms) if not e.subject]
        if len(chosen) == 1:
            return chosen[0].image
        raise MissingError(
            f"The image {self.tag} has {len(chosen)} platforms, and one is wanted.",
            "Choose it with --platform.",
            [f"there is {platform}" for platform in self.selection.platforms],
        )


def open_image(tag: str) -> InstalledImage:
    """Open an installed image: ``name:version``, or ``name`` if it has one version.

    Raises:
        UsageError, MissingError: as ``ContentKind.find``; or a blob is missing.
        CorruptError: a document is damaged, or the layout is that of another image.
    """
    kind = find_kind(IMAGE.name)
    name, version = kind.find(tag)
    folder = kind.install_path(name, version).final
    index = layout.decode(read_bounded(folder, layout.INDEX, IMAGE_DOCUMENT_BYTES))
    if index.version != version:
        raise CorruptError(
            f"{folder} is the image {name}:{index.version}, and its folder has another name.",
            "Import the image again.",
        )
    blobs = BlobFolder(Path(folder, "blobs", "sha256"))
    selection = select_blobs(
        index.image,
        (),
        lambda digest: read_document(blobs, digest),
        lambda digest: blobs.find(digest) is not None,
    )
    return InstalledImage(name, version, index, selection, blobs)
