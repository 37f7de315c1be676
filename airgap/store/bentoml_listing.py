"""What breaks `bentoml list` only together: items that are each in order.

BentoML sorts a store by creation time, and ends the list at two times that cannot be compared, one
with its time zone and one without. It takes the version of a model as the beginning of one, and
ends the list at a Bento whose model is not there while several versions begin like its own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from airgap.disk.reading import read_small
from airgap.errors import AirgapError, ConflictError
from airgap.format import limits
from airgap.format.kinds import BENTO, MODEL, Kind
from airgap.store.bento_models import has_copy
from airgap.store.description_peek import may_begin_version, peek_zone
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
    present = _describe_relevant(new)
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
    return dict(_describe(key for kind in (BENTO.name, MODEL.name) for key in _list_keys(kind)))


def _describe_relevant(new: Mapping[Key, Description]) -> dict[Key, Description]:
    """Describe the installed items that could be in a conflict with new ones.

    Parsing every description of a store with 1,000 items takes more than a second. If one of those
    described here has a creation time of the other sort, all are: it may have been in a conflict
    before.
    """
    zones = {kind: {new[key].has_zone for key in new if key[0] == kind} for kind, *_ in new}
    versions: dict[str, list[str]] = {}
    for kind, name, version in new:
        if kind == MODEL.name:
            versions.setdefault(name, []).append(version)
    relevant = dict(
        _describe(
            key
            for kind in (BENTO.name, MODEL.name)
            for key in _list_keys(kind)
            if key in new or _may_conflict(key, zones.get(kind, set()), versions)
        )
    )
    if any(
        len({*zones[kind], *(relevant[key].has_zone for key in relevant if key[0] == kind)}) > 1
        for kind in zones
    ):
        return _describe_stores()
    return relevant | dict(_describe(_list_candidates([*relevant.values(), *new.values()])))


def _may_conflict(
    key: Key, zones: AbstractSet[bool], versions: Mapping[str, Sequence[str]]
) -> bool:
    """Tell whether an installed item could be in a conflict with new ones.

    ``zones`` tell whether the creation times of new items of its kind have a time zone;
    ``versions`` are those of the new models, by name.
    """
    if not zones and (key[0] == MODEL.name or not versions):
        return False
    kind = find_kind(key[0])
    path = kind.install_path(*key[1:]).final / kind.rules.description
    try:
        raw = read_small(path, limits.DESCRIPTION_BYTES)
    except OSError:
        return False  # nor can it be described
    if zones and peek_zone(raw) not in zones:
        return True
    return key[0] == BENTO.name and may_begin_version(raw, versions)


def _list_candidates(descriptions: Sequence[Description]) -> Iterator[Key]:
    """Yield the installed models that BentoML could take for one that a description names."""
    named: dict[str, set[str]] = {}
    for model in {model for description in descriptions for model in description.models}:
        if model.kind == MODEL.name:
            named.setdefault(model.name, set()).add(model.version)
    for name, versions in named.items():
        for key in _list_keys(MODEL.name, name):
            if key[2].startswith(tuple(versions)):
                yield key


def _list_keys(kind: Kind, name: str | None = None) -> Iterator[Key]:
    return ((kind, *tag) for tag in find_kind(kind).list_tags(name))


def _describe(keys: Iterable[Key]) -> Iterator[tuple[Key, Description]]:
    """Yield the descriptions of installed items; those that cannot be read are left out."""
    for key in keys:
        kind = find_kind(key[0])
        folder = kind.install_path(*key[1:]).final
        try:
            description = kind.describe(folder)
        except AirgapError:  # `airgap doctor` names it
            continue
        models = tuple(  # BentoML takes models from the Bento's own folder first
            model for model in description.models if not has_copy(folder, model.name, model.version)
        )
        yield key, replace(description, models=models)


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
