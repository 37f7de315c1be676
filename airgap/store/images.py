"""OCI images, in ``images/`` of BentoML's home (format §27)."""

from airgap.format.image import check_image
from airgap.format.inventory import Item
from airgap.format.kinds import IMAGE
from airgap.store.content_kind import ContentKind

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
