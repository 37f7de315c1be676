"""Where an item is installed, and where it is staged on the same file system."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["InstallPath", "private_folder"]


@dataclass(frozen=True, slots=True)
class InstallPath:
    """Where an item goes.

    What a service reads lies outside the folder for airgap's own work, which only those who import
    may enter: ``bentos/``, ``models/`` and the folders of other kinds lie side by side in a store.

    ``store`` is the folder that a lock and staging belong to. ``latest`` is the file that names
    the newest version, for kinds that have one. ``may_hold_more`` tells that other files may lie
    beside the item's own (a snapshot of which another Bento took other files).
    """

    final: Path
    store: Path
    latest: Path | None
    may_hold_more: bool

    def __post_init__(self) -> None:
        """Refuse a kind of item that no service could read."""
        if self.final.is_relative_to(self.private):
            raise ValueError(f"{self.final} is in the folder for airgap's own work")

    @property
    def private(self) -> Path:
        """The store's folder for airgap's own work."""
        return private_folder(self.store)


def private_folder(store: Path) -> Path:
    """Return the folder for airgap's own work: on the store's file system, outside its items."""
    return store / ".airgap"
