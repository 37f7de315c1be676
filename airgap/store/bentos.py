"""Bentos of BentoML's store."""

from collections.abc import Iterator
from pathlib import Path

from airgap.errors import StorageError
from airgap.format.kinds import BENTO
from airgap.store.bentoml_home import BentoMLKind
from airgap.store.bentoml_yaml import parse_description
from airgap.store.item_kind import Description, ItemFault

__all__ = ["Bentos"]


class Bentos(BentoMLKind):
    """Bentos, in ``bentos/``.

    Python writes its cache beside a Bento's sources when the Bento is served, and bentoml never
    builds one in: it is not part of the item.
    """

    rules = BENTO
    folder = "bentos"
    command = "bentoml"
    ignored_folders = frozenset({"__pycache__"})

    def read_description(self, text: bytes, source: str, *, thorough: bool = False) -> Description:
        """Parse a bento.yaml; see ``parse_description``."""
        return parse_description(text, source, with_models=True, thorough=thorough)

    def refuse_leftovers(self, folder: Path) -> None:
        """Refuse a Bento with ``models/``. Raises StorageError."""
        models = folder / "models"
        if models.exists():
            raise StorageError(
                f"The Bento has a folder {models}, which an interrupted `bentoml export` leaves"
                " behind.",
                f"If none is running now, remove it: rm -r {models}",
            )

    def find_leftovers(self, folder: Path) -> Iterator[ItemFault]:
        """Yield the same ``models/``."""
        models = folder / "models"
        if models.exists():
            yield ItemFault(
                models,
                f"The Bento {folder.parent.name}:{folder.name} has a folder models/, which an"
                " interrupted `bentoml export` left behind; BentoML takes the models in it as"
                " complete.",
                f"Remove it (rm -r {models}): the models are in their own store.",
            )
