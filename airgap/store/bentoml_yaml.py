"""bento.yaml and model.yaml, as BentoML 1.4 writes them and as an attacker might."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import yaml

from airgap.errors import CorruptError
from airgap.format.kinds import HUGGING_FACE, MODEL
from airgap.store.item_kind import Description, Reference

__all__ = ["parse_description"]

_NESTING: Final = 200
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_description(text: bytes, source: str, *, with_models: bool) -> Description:
    """Parse a bento.yaml or model.yaml.

    Args:
        text: the content of the file.
        source: names the file in messages.
        with_models: also return the models that the item names. A model names none.

    Raises:
        CorruptError: it is not what BentoML writes.
    """
    try:
        _refuse_hostile(text)
        document = yaml.load(text, _Loader)  # noqa: S506  (a safe loader, the C one if there)
        return Description(
            name=_to_text(document["name"]),
            version=_to_text(document["version"]),
            created=_parse_time(document["creation_time"]),
            models=tuple(_list_models(document)) if with_models else (),
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptError(
            f"{source} is malformed: {type(error).__name__} {error}.",
            "Delete the item with BentoML and build it again.",
        ) from error


def _list_models(document: dict[str, Any]) -> Iterator[Reference]:
    """Yield the models named at the top and by each service, each once."""
    seen: set[Reference] = set()
    lists = [document.get("models") or []]
    lists += [service.get("models") or [] for service in document.get("services") or []]
    for entry in (entry for models in lists for entry in models):
        reference = _parse_reference({"tag": entry} if isinstance(entry, str) else entry)
        if reference not in seen:
            seen.add(reference)
            yield reference


def _parse_reference(entry: dict[str, Any]) -> Reference:
    name, _, version = _to_text(entry["tag"]).partition(":")
    if entry.get("registry", "bentoml") == "bentoml":
        return Reference(MODEL.name, name, version)
    if entry["registry"] != "huggingface":
        raise ValueError(f"unknown model registry {_to_text(entry['registry'])!r:.80}")
    metadata = entry.get("metadata") or {}
    return Reference(
        HUGGING_FACE.name,
        _to_text(metadata.get("model_id") or name.replace("--", "/")).lower().replace("/", "--"),
        _to_text(metadata.get("revision") or version),
        _parse_patterns(metadata.get("include")),
        _parse_patterns(metadata.get("exclude")),
    )


def _to_text(value: object) -> str:
    """Write a scalar as text. A list that contains itself a billion times has none."""
    if isinstance(value, list | dict):
        raise TypeError("has a list or map where a text belongs")
    return str(value)


def _refuse_hostile(text: bytes) -> None:
    """Refuse nesting on which the C loader would overflow its stack.

    Also maps merged into others, which BentoML does not write: thirty lines of them double thirty
    times.
    """
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _NESTING:
            raise ValueError("is nested too deep")
        if isinstance(event, yaml.ScalarEvent) and event.value == "<<":
            raise ValueError("merges maps")


def _parse_patterns(value: str | list[str] | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    return (value,) if isinstance(value, str) else tuple(value)


def _parse_time(value: datetime | str) -> datetime:
    time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
