"""Which Bentos and environments of this machine need an item."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from airgap.errors import AirgapError
from airgap.flow.installed.item_name import ItemName
from airgap.flow.installed.remembered import Remembered
from airgap.format.kinds import BENTO, FILES, HUGGING_FACE, MODEL, WHEELHOUSE
from airgap.format.wheelhouse import NO_BENTO
from airgap.store.bento_runtime import digest_requirements
from airgap.store.environments import Environment, list_environments
from airgap.store.in_use import is_in_use
from airgap.store.kinds import find_kind
from airgap.store.wheelhouses import list_wheelhouses

__all__ = ["find_dependents", "find_used"]

_NAMED_BY_BENTOS: Final = frozenset({MODEL.name, HUGGING_FACE.name})


def find_dependents(
    remembered: Remembered, bentos: frozenset[ItemName] | None = None
) -> Mapping[ItemName, tuple[str, ...]]:
    """Return what needs each item, whether it is here or not: ``bento shop:v1``.

    A Bento needs the models and snapshots that it names, the wheelhouses for its requirements, and
    the files and images that came in a bundle with it: it does not name those. Of a Bento that
    cannot be read nobody can tell, so that it needs all that came with it. An environment needs the
    files that it names and the build of Python that it was made with; not its wheelhouse any more.

    Args:
        remembered: what was imported.
        bentos: the Bentos to ask; None: all that are installed.

    Raises:
        StorageError: an environment cannot be read.
    """
    kind = find_kind(BENTO.name)
    if bentos is None:
        bentos = frozenset(ItemName(*tag, BENTO.name) for tag in kind.list_tags())
    wheelhouses: dict[bytes, list[ItemName]] = {}
    for stored in list_wheelhouses():
        name = ItemName(stored.folder.parent.name, stored.folder.name, WHEELHOUSE.name)
        wheelhouses.setdefault(stored.lock.requirements, []).append(name)
    dependents: dict[ItemName, set[str]] = {}
    wheelhouses.pop(NO_BENTO, None)
    readable = frozenset(name for names in wheelhouses.values() for name in names)
    for bento in bentos:
        for item in _list_needed(bento, remembered, wheelhouses, readable):
            dependents.setdefault(item, set()).add(str(bento))
    for environment in list_environments():
        for item in _list_needed_by_environment(environment):
            dependents.setdefault(item, set()).add(f"environment {environment.folder}")
    return {item: tuple(sorted(tags)) for item, tags in dependents.items()}


def find_used() -> Mapping[ItemName, tuple[str, ...]]:
    """Return the items that an environment is made from right now, and by what they are needed."""
    return {
        ItemName(name, version, kind.rules.name): ("an environment that is being made",)
        for kind in map(find_kind, (WHEELHOUSE.name, FILES.name))
        for name, version in kind.list_tags()
        if is_in_use(kind.install_path(name, version).final)
    }


def _list_needed_by_environment(environment: Environment) -> Iterator[ItemName]:
    description = environment.description
    if description is None:
        return
    for tag in description.files:
        name, _, version = tag.partition(":")
        yield ItemName(name, version, FILES.name)
    for name, version in find_kind(FILES.name).list_tags():
        folder = find_kind(FILES.name).install_path(name, version).final
        if Path(description.python).is_relative_to(folder):
            yield ItemName(name, version, FILES.name)


def _list_needed(
    bento: ItemName,
    remembered: Remembered,
    wheelhouses: Mapping[bytes, list[ItemName]],
    readable: frozenset[ItemName],
) -> Iterator[ItemName]:
    kind = find_kind(BENTO.name)
    folder = kind.install_path(bento.name, bento.version).final
    beside = [
        item
        for origin in remembered.origins.get(bento, ())
        for item in remembered.bundles[origin.bundle]
        if item.kind != BENTO.name
    ]
    try:
        models = kind.describe(folder).models
        own = wheelhouses.get(digest_requirements(folder), [])
    except AirgapError:
        yield from beside
        return
    yield from (ItemName(model.name, model.version, model.kind) for model in models)
    yield from own
    for item in beside:
        if item.kind not in _NAMED_BY_BENTOS and item not in readable:
            yield item
