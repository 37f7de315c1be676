"""Bentos of BentoML's store."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from airgap.errors import CorruptError, StorageError
from airgap.format.inventory import Item
from airgap.format.kinds import BENTO, MODEL
from airgap.store.bento_models import MODELS, ModelCopy, explain_incomplete, has_copy, list_copies
from airgap.store.bentoml_home import BentoMLKind
from airgap.store.bentoml_yaml import parse_description
from airgap.store.item_kind import Description, ItemFault, Reference, Source

__all__ = ["Bentos"]


class Bentos(BentoMLKind):
    """Bentos, in ``bentos/``.

    Python writes its cache beside a Bento's sources when the Bento is served, and bentoml never
    builds one in: it is not part of the item. Nor are models that lie in the Bento's own folder:
    they are items of their own.
    """

    rules = BENTO
    folder = "bentos"
    command = "bentoml"
    ignored_folders = frozenset({"__pycache__"})
    ignored_top = frozenset({MODELS})
    searched_suffixes = ("",)
    dockerfile = "env/docker/Dockerfile"

    def read_description(self, text: bytes, source: str, *, thorough: bool = False) -> Description:
        """Parse a bento.yaml; see ``parse_description``."""
        return parse_description(text, source, with_models=True, thorough=thorough)

    def check(self, item: Item, description: bytes, *, thorough: bool) -> None:
        """Also refuse a Bento with ``models/``; see ``ItemKind``.

        BentoML takes models from there, and its list ends at one of them that it cannot read.
        """
        super().check(item, description, thorough=thorough)
        if any(entry.path.partition("/")[0] == MODELS for entry in item.entries):
            raise CorruptError(
                f"The {item} has a folder {MODELS}/, whose models are items of their own.",
                "The bundle was made wrongly: ask the sender to export it again.",
            )

    def scan(self, reference: Reference) -> Source:
        """List a Bento's files. The models in its own folder travel as models do.

        Raises:
            StorageError: as ``ItemKind.scan``; or its folder ``models/`` holds something else.
        """
        source = super().scan(reference)
        copies = list_copies(self.install_path(source.name, source.version).final)
        tags = {copy.tag for copy in copies}
        others = [
            model
            for model in source.references
            if model.kind != MODEL.name or f"{model.name}:{model.version}" not in tags
        ]
        return replace(source, references=(*(copy.reference for copy in copies), *others))

    def holds(self, folder: Path, model: Reference) -> bool:
        """Tell whether a Bento's own folder has a model of BentoML, complete or not."""
        return model.kind == MODEL.name and has_copy(folder, model.name, model.version)

    def find_inner_faults(
        self, folder: Path, is_installed: Callable[[Reference], bool]
    ) -> Iterator[ItemFault]:
        """Yield what is wrong with the models in a Bento's own folder."""
        bento = f"{folder.parent.name}:{folder.name}"
        try:
            copies = list_copies(folder)
        except StorageError as error:
            yield ItemFault(folder / MODELS, error.message, error.hint)
            return
        for copy in copies:
            problem = explain_incomplete(copy.folder)
            if not problem:
                yield ItemFault(
                    copy.folder,
                    f"The Bento {bento} holds the model {copy.tag} itself, as BentoML 1.0 built it:"
                    " BentoML takes it from there, and so does `airgap export`.",
                    "Nothing has to be done.",
                    harmless=True,
                )
            else:
                yield _make_copy_fault(bento, copy, problem, is_installed(copy.reference))


def _make_copy_fault(bento: str, copy: ModelCopy, problem: str, installed: bool) -> ItemFault:  # noqa: FBT001
    hint = f"Get the model {copy.tag} from where it was made; keep the copy until then."
    if installed:
        hint = f"Move the copy out of the Bento, as with: mv {copy.folder} /some/folder"
    return ItemFault(
        copy.folder,
        f"The Bento {bento} holds a copy of the model {copy.tag} that is not complete ({problem}),"
        " and BentoML takes it as complete. The model is"
        f" {'' if installed else 'not '}in the model store.",
        hint,
    )
