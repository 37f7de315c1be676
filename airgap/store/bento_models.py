"""Models that lie in a Bento itself: in its folder ``models/``, as BentoML 1.0 built it.

BentoML 1.4 takes a Bento's models from there, if there are any, and its import moves them to the
model store. An interrupted `bentoml export` leaves such a folder too, perhaps with half a model.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk.digests import digest_file
from airgap.disk.presence import is_file, is_folder
from airgap.disk.reading import read_bounded
from airgap.errors import AirgapError, StorageError
from airgap.format import limits, names
from airgap.format.kinds import MODEL
from airgap.store.bentoml_yaml import parse_description
from airgap.store.item_kind import Reference
from airgap.store.latest import LATEST
from airgap.store.source_tree import scan

__all__ = ["MODELS", "ModelCopy", "explain_incomplete", "has_same_content", "list_copies"]

MODELS: Final = "models"


@dataclass(frozen=True, slots=True, order=True)
class ModelCopy:
    """A model in a Bento's folder: where it lies, and the tag that this gives it."""

    name: str
    version: str
    folder: Path

    @property
    def tag(self) -> str:
        """``name:version``."""
        return f"{self.name}:{self.version}"

    @property
    def reference(self) -> Reference:
        """The model, as the Bento names it."""
        return Reference(MODEL.name, self.name, self.version, copy=self.folder)


def has_copy(bento: Path, name: str, version: str) -> bool:
    """Tell whether a Bento's folder has a model of BentoML, complete or not."""
    is_tag = names.is_tag_part(name) and names.is_tag_part(version)
    return is_tag and is_folder(bento / MODELS / name / version)


def list_copies(bento: Path) -> list[ModelCopy]:
    """Return the models in a Bento's folder, sorted, complete or not.

    Raises:
        StorageError: something else lies there, or the folder cannot be read.
    """
    top = bento / MODELS
    if not os.path.lexists(top):
        return []
    try:
        return sorted(_list_copies(top))
    except OSError as error:
        raise StorageError(
            f"{error.filename or top} cannot be read: {error.strerror}.",
            "Check that it exists and that you may read it.",
        ) from error


def explain_incomplete(copy: Path) -> str:
    """Say why a model in a Bento's folder is not complete; empty if it is.

    BentoML writes ``latest`` when the first model of a name is complete.
    """
    if not is_file(copy.parent / LATEST):
        return f"{copy.parent} has no file {LATEST}"
    path = copy / MODEL.description
    try:
        name = f"{MODELS}/{copy.parent.name}/{copy.name}/{path.name}"
        text = read_bounded(copy.parents[2], name, limits.DESCRIPTION_BYTES)
        described = parse_description(text, str(path), with_models=False)
    except AirgapError as error:
        return error.message.removesuffix(".")
    if (described.name, described.version) != (copy.parent.name, copy.name):
        return f"{path} is that of {described.name}:{described.version}"
    return ""


def has_same_content(first: Path, second: Path) -> bool:
    """Compare two folders: names, links, permission to execute, and content.

    Raises:
        StorageError: a folder cannot be read.
    """
    trees = [scan(folder) for folder in (first, second)]
    shapes = [
        ([(file.path, file.size, file.executable) for file in tree.files], tree.links)
        for tree in trees
    ]
    if shapes[0] != shapes[1] or trees[0].empty_folders != trees[1].empty_folders:
        return False
    pairs = zip(trees[0].files, trees[1].files, strict=True)
    try:
        return all(
            digest_file(Path(one.location)) == digest_file(Path(other.location))
            for one, other in pairs
        )
    except OSError as error:
        raise StorageError(
            f"{error.filename} cannot be read: {error.strerror}.",
            "Check that it exists and that you may read it.",
        ) from error


def _list_copies(top: Path) -> Iterator[ModelCopy]:
    if top.is_symlink() or not is_folder(top):
        _refuse(top)
    for folder in top.iterdir():
        if folder.is_symlink() or not is_folder(folder):
            _refuse(folder)
        for path in folder.iterdir():
            if path.name == LATEST and is_file(path):
                continue
            is_tag = names.is_tag_part(folder.name) and names.is_tag_part(path.name)
            if path.is_symlink() or not (is_folder(path) and is_tag):
                _refuse(path)
            yield ModelCopy(folder.name, path.name, path)


def _refuse(path: Path) -> None:
    raise StorageError(
        f"{path} is not part of a model, and the folder models/ of a Bento holds models only.",
        "Move it out of the Bento.",
    )
