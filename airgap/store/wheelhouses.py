"""Python packages for one target, in ``wheelhouses/`` of BentoML's home (format §26)."""

from airgap.format.inventory import Item
from airgap.format.kinds import WHEELHOUSE
from airgap.format.wheelhouse import check_wheelhouse
from airgap.store.content_kind import ContentKind

__all__ = ["Wheelhouses"]


class Wheelhouses(ContentKind):
    """Wheelhouses, found by what a Bento says of its packages."""

    rules = WHEELHOUSE
    folder = "wheelhouses"
    searched_suffixes = ()  # others made and published what is in it

    @staticmethod
    def check_content(item: Item, description: bytes) -> None:
        """Compare every wheel with ``pylock.toml``; see ``check_wheelhouse``."""
        check_wheelhouse(item, description)
