"""Where an item of each kind is installed, and where it is staged on the same file system."""

from dataclasses import dataclass
from pathlib import Path

from airgap.format.inventory import Item
from airgap.store import bentoml_home, hugging_face
from airgap.store.bentoml_home import ModelReference

__all__ = ["InstallPath", "folder_of_model", "install_path", "private_folder"]


@dataclass(frozen=True, slots=True)
class InstallPath:
    """Where an item goes.

    ``store`` is the folder that a lock and staging belong to. ``may_hold_more`` tells that other
    files may lie beside the item's own (a snapshot of which another Bento took other files).
    """

    final: Path
    store: Path
    latest: Path | None
    may_hold_more: bool

    @property
    def private(self) -> Path:
        """The store's folder for airgap's own work."""
        return private_folder(self.store)


def install_path(item: Item) -> InstallPath:
    """Return where an item is installed on this machine."""
    if item.kind == "hugging-face":
        final = hugging_face.folder_of(item.name, item.version)
        return InstallPath(final, hugging_face.cache(), None, may_hold_more=True)
    final = bentoml_home.folder_of(item.kind, item.name, item.version)
    return InstallPath(final, bentoml_home.home(), final.parent / "latest", may_hold_more=False)


def folder_of_model(reference: ModelReference) -> Path:
    """Return where a model that a Bento names is looked for on this machine."""
    if reference.kind == "hugging-face":
        return hugging_face.folder_of(reference.name, reference.version)
    return bentoml_home.folder_of(reference.kind, reference.name, reference.version)


def private_folder(store: Path) -> Path:
    """Return the folder for airgap's own work: on the store's file system, outside its items."""
    return store / ".airgap"
