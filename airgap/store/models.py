"""Models in BentoML's model store and in the folders of Bentos."""

from pathlib import Path

from airgap.errors import MissingError, StorageError
from airgap.format.kinds import MODEL
from airgap.store.bento_models import explain_incomplete, has_same_content
from airgap.store.bentoml_home import BentoMLKind
from airgap.store.bentoml_yaml import parse_description
from airgap.store.item_kind import Description, Reference, Source
from airgap.store.source_tree import scan

__all__ = ["Models"]


class Models(BentoMLKind):
    """Models, in ``models/``."""

    rules = MODEL
    folder = "models"
    command = "bentoml models"

    def read_description(self, text: bytes, source: str, *, thorough: bool = False) -> Description:
        """Parse a model.yaml; see ``parse_description``."""
        return parse_description(text, source, with_models=False, thorough=thorough)

    def scan(self, reference: Reference) -> Source:
        """List a model's files, from the store or, if it is only there, from the Bento's folder.

        Raises:
            MissingError: it is not in the store, and no complete copy lies in the Bento's folder.
            StorageError: as ``ItemKind.scan``; or the copy differs from what is in the store.
        """
        copy = reference.copy
        if copy is None:
            return super().scan(reference)
        problem = explain_incomplete(copy)
        installed = self.install_path(reference.name, reference.version).final
        if self._is_item(installed):
            if not problem and not has_same_content(copy, installed):
                raise _make_difference_error(reference, copy, installed)
            return super().scan(reference)
        if problem:
            raise MissingError(
                f"The model {reference.name}:{reference.version} is not in {installed.parent}, and"
                f" its copy {copy} is not complete ({problem}).",
                "Get the model from where it was made; keep the copy until then.",
            )
        created = self.describe(copy, thorough=True).created_at
        tree = scan(copy, ignored_folders=self.ignored_folders)
        return Source(
            self.rules.name, reference.name, reference.version, created, tree, folder=copy
        )


def _make_difference_error(reference: Reference, copy: Path, installed: Path) -> StorageError:
    return StorageError(
        f"The model {reference.name}:{reference.version} in {installed} differs from its copy"
        f" {copy}, which BentoML uses for this Bento.",
        "Compare them with `diff -r`, and move the wrong one to another folder.",
    )
