"""OCI images, in ``images/`` of BentoML's home (format §27)."""

from collections.abc import Mapping
from pathlib import Path

from airgap.disk.reading import read_small
from airgap.errors import CorruptError
from airgap.format.image import BLOBS, INDEX, blob_path, check_blobs, check_image, decode
from airgap.format.inventory import Item
from airgap.format.kinds import IMAGE
from airgap.format.limits import IMAGE_DOCUMENT_BYTES
from airgap.store.content_kind import ContentKind, link_equal_files
from airgap.store.item_kind import NOTHING_STAGED, Source

__all__ = ["Images"]


class Images(ContentKind):
    """Images, each a layout with one image in it."""

    rules = IMAGE
    folder = "images"
    searched_suffixes = ()  # others made and published what is in it

    @staticmethod
    def check_content(item: Item, description: bytes) -> None:
        """Compare the blobs' names with their digests; see ``check_image``."""
        check_image(item, description)

    def check_read(self, item: Item, source: Source) -> None:
        """Compare each blob that was read with its name; see ``ItemKind.check_read``."""
        locations = {file.path: file.location for file in source.tree.files}
        for file in item.files:
            digest = file.digest.hex()
            if file.path.startswith(BLOBS) and file.path != blob_path(digest):
                raise CorruptError(
                    f"The blob {file.path.removeprefix(BLOBS)} in {locations[file.path]} is"
                    f" damaged (its SHA-256 is {digest}).",
                    "Copy the image from its source again.",
                )
        super().check_read(item, source)

    def check_staged(self, item: Item, folder: Path) -> None:
        """Refuse an image that lacks what its manifests name; see ``check_blobs``."""

        def read(path: str) -> bytes:
            return read_small(folder / path, IMAGE_DOCUMENT_BYTES)

        check_blobs(item, decode(read(INDEX)), read)

    def share_installed(
        self, item: Item, folder: Path, staged: Mapping[bytes, str] = NOTHING_STAGED
    ) -> None:
        """Let a blob that two images have be one file, where the file system has links."""
        pattern = f"*/*/{BLOBS}*"
        installed = {path.name: path for path in (self.store() / self.folder).glob(pattern)}
        known = {
            file.digest: installed[file.digest.hex()]
            for file in item.files
            if file.digest.hex() in installed
        }
        link_equal_files(item, folder, {**staged, **known})
