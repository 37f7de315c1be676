"""From what a person asked for to the items that must travel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from airgap.errors import MissingError, StorageError, UsageError
from airgap.format.inventory import KINDS, Kind
from airgap.store import bentoml_home, hugging_face
from airgap.store.bentoml_home import ModelReference
from airgap.store.source_tree import SourceFile, Tree, is_still, is_unchanged, scan

__all__ = ["Source", "select"]

StoreKind = Literal["bento", "model"]


@dataclass(frozen=True, slots=True)
class Source:
    """An item in its store, before it is read. ``created_at`` is in seconds since 1970."""

    kind: Kind
    name: str
    version: str
    created_at: int
    tree: Tree
    references: tuple[ModelReference, ...] = ()

    @property
    def key(self) -> tuple[int, str, str]:
        """What items are sorted by (format §3.2)."""
        return KINDS.index(self.kind), self.name, self.version

    def has_changed(self) -> bool:
        """Tell whether the item is still what was scanned.

        Its folder is listed anew. A Hugging Face snapshot may gain files meanwhile: which of
        them belong to the item was chosen at the beginning.
        """
        if self.kind == "hugging-face":
            return not all(map(is_unchanged, self.tree.files))
        folder = _folder(self.kind, self.name, self.version)
        return not is_still(self.tree, folder, without=bentoml_home.not_its_own(self.kind))


def select(bentos: Sequence[str], models: Sequence[str], *, with_models: bool) -> list[Source]:
    """Find Bentos and models by tag, with every model the Bentos name, in item order.

    Raises:
        UsageError: nothing was asked for, or something that is not a tag.
        MissingError: a Bento or model is not there; all that are missing are named.
    """
    if not bentos and not models:
        raise UsageError("There is nothing to export.", "Give a Bento's tag, or --model TAG.")
    found = [_stored("bento", tag) for tag in dict.fromkeys(bentos)]
    found += [_stored("model", tag) for tag in dict.fromkeys(models)]
    references = [one for source in found for one in source.references] if with_models else []
    found += _resolve(references)
    merged: dict[tuple[int, str, str], Source] = {}
    for source in found:
        known = merged.get(source.key)
        merged[source.key] = source if known is None else _union(known, source)
    return [merged[key] for key in sorted(merged)]


def _stored(kind: StoreKind, tag: str) -> Source:
    name, version = bentoml_home.find(kind, tag)
    description = bentoml_home.describe(kind, bentoml_home.folder_of(kind, name, version))
    if (description.name, description.version) != (name, version):
        raise StorageError(
            f"The {kind} in folder {name}/{version} calls itself"
            f" {description.name}:{description.version}.",
            "Delete it with BentoML and build it again.",
        )
    tree = _scan(kind, name, version)
    return Source(kind, name, version, description.created_at, tree, description.models)


def _scan(kind: StoreKind, name: str, version: str) -> Tree:
    return scan(_folder(kind, name, version), without=bentoml_home.not_its_own(kind))


def _folder(kind: StoreKind, name: str, version: str) -> Path:
    folder = bentoml_home.folder_of(kind, name, version)
    if kind == "bento" and (folder / "models").exists():
        raise StorageError(
            f"The Bento has a folder {folder / 'models'}, which an interrupted `bentoml export`"
            " leaves behind.",
            f"If none is running now, remove it: rm -r {folder / 'models'}",
        )
    return folder


def _resolve(references: Sequence[ModelReference]) -> list[Source]:
    """Find the models that Bentos name; tell of all that are missing at once."""
    found: list[Source] = []
    missing: list[MissingError] = []
    for one in dict.fromkeys(references):
        try:
            if one.kind == "hugging-face":
                tree = hugging_face.scan_snapshot(one)
                found.append(Source(one.kind, one.name, one.version, 0, tree))
            else:
                found.append(_stored("model", f"{one.name}:{one.version}"))
        except MissingError as error:
            missing.append(error)
    if missing:
        more = f" ({len(missing)} models are missing)" if len(missing) > 1 else ""
        raise MissingError(
            missing[0].message.removesuffix(".") + f"{more}.",
            missing[0].hint,
            [f"{error.message} {error.hint}" for error in missing],
        )
    return found


def _union(one: Source, other: Source) -> Source:
    """Join two selections of files from the same snapshot."""
    files: dict[str, SourceFile] = {
        file.path: file for source in (one, other) for file in source.tree.files
    }
    tree = replace(one.tree, files=tuple(files[path] for path in sorted(files)))
    return replace(one, tree=tree)
