"""What breaks `bentoml list` only together: items that are each in order.

BentoML sorts a store by creation time, and ends the list at two times that cannot be compared, one
with its time zone and one without. It takes the version of a model as the beginning of one, and
ends the list at a Bento whose model is not there while several versions begin like its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from airgap.errors import AirgapError, ConflictError
from airgap.format.kinds import BENTO, MODEL, Kind
from airgap.format.stock_archive import MODELS
from airgap.store.item_kind import Description
from airgap.store.kinds import find_kind
from airgap.store.staging import StagedItem

__all__ = ["ListConflict", "find_conflicts", "find_store_conflicts", "refuse_conflicts"]

Key: TypeAlias = tuple[Kind, str, str]
"""Kind, name and version of an item."""


class ListConflict(NamedTuple):
    """Items that BentoML cannot list together. ``key`` is the same whichever items show it."""

    key: tuple[str, ...]
    message: str


def find_conflicts(descriptions: Mapping[Key, Description]) -> Iterator[ListConflict]:
    """Yield what BentoML cannot list together."""
    yield from _find_mixed_times(descriptions, BENTO.name)
    yield from _find_mixed_times(descriptions, MODEL.name)
    yield from _find_ambiguous_models(descriptions)


def find_store_conflicts() -> Iterator[ListConflict]:
    """Yield the same of BentoML's stores; items that cannot be read are left out."""
    yield from find_conflicts(_describe_stores())


def refuse_conflicts(staged: Sequence[StagedItem]) -> None:
    """Refuse items that BentoML could not list with those in its stores, which are locked.

    A conflict that the stores have already does not count.

    Raises:
        ConflictError: `bentoml list` would end with an error after the import.
    """
    new = {
        (item.item.kind, item.item.name, item.item.version): find_kind(item.item.kind).describe(
            item.folder
        )
        for item in staged
        if item.item.kind in (BENTO.name, MODEL.name)
    }
    if not new:
        return
    present = _describe_stores()
    old = {conflict.key for conflict in find_conflicts(present)}
    after = find_conflicts({**present, **new})
    messages = [conflict.message for conflict in after if conflict.key not in old]
    if messages:
        raise ConflictError(
            messages[0],
            "Ask the sender for a bundle with what is missing, or for items as BentoML builds them;"
            " or delete the item that is in the way.",
            messages[1:],
        )


def _describe_stores() -> dict[Key, Description]:
    descriptions: dict[Key, Description] = {}
    for kind in (find_kind(BENTO.name), find_kind(MODEL.name)):
        for name, version in kind.list_tags():
            folder = kind.install_path(name, version).final
            try:
                description = kind.describe(folder)
            except AirgapError:  # `airgap doctor` names it
                continue
            own = folder / MODELS  # BentoML takes models from there first
            models = tuple(
                model
                for model in description.models
                if not (own / model.name / model.version).is_dir()
            )
            descriptions[kind.rules.name, name, version] = replace(description, models=models)
    return descriptions


def _find_mixed_times(
    descriptions: Mapping[Key, Description], kind: Kind
) -> Iterator[ListConflict]:
    """Look for a creation time with a time zone, and one without."""
    examples = {
        description.has_zone: f"{name}:{version}"
        for (item_kind, name, version), description in descriptions.items()
        if item_kind == kind
    }
    if len(examples) > 1:
        yield ListConflict(
            ("time zone", kind),
            f"The creation time of the {kind} {examples[False]} has no time zone, and that of"
            f" {examples[True]} has one: BentoML cannot list both.",
        )


def _find_ambiguous_models(descriptions: Mapping[Key, Description]) -> Iterator[ListConflict]:
    """Look for Bentos whose model is not there, while several versions begin like its own."""
    versions: dict[str, list[str]] = {}
    for kind, name, version in sorted(descriptions):
        if kind == MODEL.name:
            versions.setdefault(name, []).append(version)
    for (kind, name, version), description in descriptions.items():
        for model in description.models if kind == BENTO.name else ():
            if model.kind != MODEL.name or model.version in versions.get(model.name, ()):
                continue
            similar = [
                other for other in versions.get(model.name, ()) if other.startswith(model.version)
            ]
            if len(similar) > 1:
                yield ListConflict(
                    ("model", name, version, model.name, model.version),
                    f"The Bento {name}:{version} needs the model {model.name}:{model.version},"
                    f" which is not there, and BentoML cannot choose between"
                    f" {model.name}:{similar[0]} and {model.name}:{similar[1]}.",
                )
