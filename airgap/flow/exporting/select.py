"""From what a person asked for to the items that must travel."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from airgap.errors import AirgapError, CommandLine, MissingError, StorageError, UsageError
from airgap.format.kinds import Kind
from airgap.store.bento_models import has_same_content
from airgap.store.item_kind import Reference, Source
from airgap.store.kinds import find_kind
from airgap.store.source_tree import SourceFile

__all__ = ["Source", "require_items", "select_items"]


def select_items(
    tags: Mapping[Kind, Sequence[str]], made: Sequence[Source] = (), *, with_models: bool
) -> list[Source]:
    """Find items of each kind by tag, with every model the Bentos name, in item order.

    ``made`` are further items, made for this export.

    Raises:
        UsageError: nothing was asked for, or something that is not a tag.
        MissingError: an item is not installed; all missing models are named.
        StorageError, CorruptError: as ``ItemKind.scan``.
    """
    if not (any(tags.values()) or made):
        raise UsageError("There is nothing to export.", "Give a Bento's tag, or --model TAG.")
    sources = [
        find_kind(kind).scan(_parse_reference(kind, tag))
        for kind, texts in tags.items()
        for tag in dict.fromkeys(texts)
    ]
    if with_models:
        sources += _resolve([model for source in sources for model in source.references])
    merged: dict[tuple[int, str, str], Source] = {}
    for source in [*sources, *made]:
        other = merged.get(source.key)
        merged[source.key] = source if other is None else _merge(other, source)
    return [merged[key] for key in sorted(merged)]


def require_items(tags: Mapping[Kind, Sequence[str]]) -> None:
    """Require that items are there, by their names alone, before a person types a passphrase.

    Raises:
        UsageError: one is not a tag.
        MissingError: one is not installed.
    """
    for kind, texts in tags.items():
        for tag in texts:
            _parse_reference(kind, tag)


def _parse_reference(kind: Kind, tag: str) -> Reference:
    try:
        return Reference(kind, *find_kind(kind).find(tag))
    except MissingError as error:
        raise MissingError(
            error.message, _suggest_kind(kind, tag) or error.hint, error.details
        ) from (error)


def _suggest_kind(kind: Kind, tag: str) -> str:
    """Say how to name an item of the other kind that has this tag; nothing if there is none."""
    other: Kind = "model" if kind == "bento" else "bento"
    try:
        name, version = find_kind(other).find(tag)
    except (AirgapError, OSError):
        return ""
    if other == "model":
        return f"A model of that name is there: give --model {name}:{version}."
    return f"A Bento of that name is there: give {name}:{version} without --model."


def _resolve(references: Iterable[Reference]) -> list[Source]:
    """Find the models that Bentos name; report all that are missing at once."""
    sources: list[Source] = []
    missing: list[MissingError] = []
    for reference in dict.fromkeys(references):
        try:
            sources.append(find_kind(reference.kind).scan(reference))
        except MissingError as error:
            missing.append(error)
    if len(missing) == 1:
        raise missing[0]
    if missing:
        raise MissingError(
            f"{len(missing)} models are missing, and the Bentos need them.",
            " ".join(dict.fromkeys(error.hint for error in missing)),
            [line for error in missing for line in (error.message, *_list_commands(error))],
        )
    return sources


def _list_commands(error: AirgapError) -> list[str]:
    return [line for line in error.details if isinstance(line, CommandLine)]


def _merge(source: Source, other: Source) -> Source:
    """Join two selections of files from the same snapshot, or the copies that two Bentos hold.

    Raises:
        StorageError: the copies differ.
    """
    if source.folder and other.folder and not has_same_content(source.folder, other.folder):
        raise StorageError(
            f"The {source.kind} {source.name}:{source.version} in {source.folder} differs from"
            f" that in {other.folder}.",
            "Export the Bentos into two bundles.",
        )
    if source.folder:
        return source
    files: dict[str, SourceFile] = {
        file.path: file for part in (source, other) for file in part.tree.files
    }
    tree = replace(source.tree, files=tuple(files[path] for path in sorted(files)))
    return replace(source, tree=tree, notes=(*source.notes, *other.notes))
