"""Folders that Bentos read at run time, in ``files/`` of BentoML's home (format §25)."""

from airgap.format.files import check_files
from airgap.format.inventory import Item
from airgap.format.kinds import FILES
from airgap.store.content_kind import ContentKind

__all__ = ["Files"]


class Files(ContentKind):
    """Folders: encodings of tokenizers, data of NLTK, checkpoints of a hub."""

    rules = FILES
    folder = "files"

    @staticmethod
    def check_content(item: Item, description: bytes) -> None:
        """Compare the folder with ``files.json``; see ``check_files``."""
        check_files(item, description)
