"""BentoML's own store: where Bentos and models lie, and what they say of themselves.

Read and written as BentoML 1.4 does (ARCHITECTURE: facts about the neighbour), without importing
it: that costs a second, and the isolated side may have only airgap.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from airgap.errors import CorruptError, MissingError, StorageError, UsageError
from airgap.format import names
from airgap.format.inventory import Kind

__all__ = [
    "DESCRIPTIONS",
    "Description",
    "ModelReference",
    "StoreKind",
    "describe",
    "find",
    "folder_of",
    "home",
    "is_there",
    "list_tags",
    "read_description",
]

StoreKind = Literal["bento", "model"]

FOLDERS: Final[dict[StoreKind, str]] = {"bento": "bentos", "model": "models"}
DESCRIPTIONS: Final[dict[StoreKind, str]] = {"bento": "bento.yaml", "model": "model.yaml"}
_LEFT_BY_SERVING: Final = frozenset({"__pycache__"})
_YAML_BYTES: Final = 64 * 1024 * 1024
_NESTING: Final = 200
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model that a Bento names: ``version`` is a commit for Hugging Face."""

    kind: Literal["model", "hugging-face"]
    name: str
    version: str
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """What bento.yaml or model.yaml says. ``created_at`` is in seconds since 1970."""

    name: str
    version: str
    created: datetime
    models: tuple[ModelReference, ...]

    @property
    def created_at(self) -> int:
        """Creation time in whole seconds."""
        return max(0, int(self.created.timestamp()))


def home() -> Path:
    """Return BentoML's home: ``BENTOML_HOME``, else ``~/bentoml``."""
    return Path(os.environ.get("BENTOML_HOME") or Path.home() / "bentoml").absolute()


def folder_of(kind: StoreKind, name: str, version: str) -> Path:
    """Return where an item lies, whether it is there or not."""
    return home() / FOLDERS[kind] / name / version


def is_there(kind: StoreKind, folder: Path) -> bool:
    """Tell whether a folder of the store is an item and not what something has left behind."""
    return (folder / DESCRIPTIONS[kind]).is_file()


def find(kind: StoreKind, tag: str) -> tuple[str, str]:
    """Resolve ``name``, ``name:latest`` or ``name:version`` to a name and version that are there.

    A version must be given whole: unlike BentoML, no prefix stands for it.

    Raises:
        UsageError: not a tag.
        MissingError: not in the store.
    """
    name, colon, version = tag.partition(":")
    if not names.is_tag_part(name) or (
        colon and version != "latest" and not names.is_tag_part(version)
    ):
        raise UsageError(
            f"{tag!r} is not a tag.", "Write name:version, name:latest or name, in lower case."
        )
    if not colon or version == "latest":
        version = _latest(kind, name)
    if not is_there(kind, folder_of(kind, name, version)):
        raise _not_there(kind, f"{name}:{version}", name)
    return name, version


def not_its_own(kind: Kind) -> frozenset[str]:
    """Return names of folders that are no part of an item of this kind.

    Python writes its cache beside a Bento's sources when the Bento is served, and bentoml never
    builds one in.
    """
    return _LEFT_BY_SERVING if kind == "bento" else frozenset()


def list_tags(kind: StoreKind, name: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield name and version of everything in the store, sorted."""
    top = home() / FOLDERS[kind]
    for one in [name] if name else _subfolders(top):
        for version in _subfolders(top / one):
            if is_there(kind, top / one / version):
                yield one, version


def describe(kind: StoreKind, folder: Path) -> Description:
    """Read bento.yaml or model.yaml.

    Raises:
        StorageError: it is not there or cannot be read.
        CorruptError: it is not what BentoML writes.
    """
    path = folder / DESCRIPTIONS[kind]
    try:
        with path.open("rb") as file:
            text = file.read(_YAML_BYTES)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read: {error.strerror}.",
            f"The {kind} is incomplete: delete it with BentoML and build it again.",
        ) from error
    return read_description(kind, text, str(path))


def read_description(kind: StoreKind, text: bytes, where: str) -> Description:
    """Read the text of bento.yaml or model.yaml; ``where`` it was is for the message.

    Raises:
        CorruptError: it is not what BentoML writes.
    """
    try:
        _refuse_hostile(text)
        document = yaml.load(text, _Loader)  # noqa: S506  (a safe loader, the C one if there)
        return Description(
            name=_scalar(document["name"]),
            version=_scalar(document["version"]),
            created=_time(document["creation_time"]),
            models=tuple(_references(document)) if kind == "bento" else (),
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptError(
            f"{where} is not what BentoML writes: {type(error).__name__} {error}.",
            f"Delete the {kind} with BentoML and build it again.",
        ) from error


def _latest(kind: StoreKind, name: str) -> str:
    """Return what ``latest`` points to; where that is gone, the newest, as BentoML does."""
    try:
        version = (home() / FOLDERS[kind] / name / "latest").read_text().strip()
    except (OSError, ValueError):
        version = ""
    if names.is_tag_part(version) and folder_of(kind, name, version).is_dir():
        return version
    there = [version for _, version in list_tags(kind, name)]
    if not there:
        raise _not_there(kind, name, name)
    return max(there, key=lambda one: describe(kind, folder_of(kind, name, one)).created)


def _subfolders(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []


def _not_there(kind: StoreKind, tag: str, name: str) -> MissingError:
    there = [f"{name}:{version}" for _, version in list_tags(kind, name)]
    listing = "bentoml list" if kind == "bento" else "bentoml models list"
    remedy = "bentoml pull" if kind == "bento" else "bentoml models pull"
    return MissingError(
        f"The {kind} {tag} is not in {home() / FOLDERS[kind]}.",
        f"See `{listing}` for what is there, or fetch it with `{remedy} {tag}`.",
        [f"there is {one}" for one in there[:10]],
    )


def _references(document: dict[str, Any]) -> Iterator[ModelReference]:
    """Yield the models named at the top and by each service, each once."""
    seen: set[ModelReference] = set()
    lists = [document.get("models") or []]
    lists += [service.get("models") or [] for service in document.get("services") or []]
    for one in (entry for models in lists for entry in models):
        reference = _reference({"tag": one} if isinstance(one, str) else one)
        if reference not in seen:
            seen.add(reference)
            yield reference


def _reference(entry: dict[str, Any]) -> ModelReference:
    name, _, version = _scalar(entry["tag"]).partition(":")
    if entry.get("registry", "bentoml") == "bentoml":
        return ModelReference("model", name, version)
    if entry["registry"] != "huggingface":
        raise ValueError(f"unknown model registry {_scalar(entry['registry'])!r:.80}")
    metadata = entry.get("metadata") or {}
    return ModelReference(
        "hugging-face",
        _scalar(metadata.get("model_id") or name.replace("--", "/")).lower().replace("/", "--"),
        _scalar(metadata.get("revision") or version),
        _patterns(metadata.get("include")),
        _patterns(metadata.get("exclude")),
    )


def _scalar(value: object) -> str:
    """Write a scalar as text. A list that holds itself a billion times has no text to speak of."""
    if isinstance(value, list | dict):
        raise TypeError("has a list or map where a text belongs")
    return str(value)


def _refuse_hostile(text: bytes) -> None:
    """Refuse nesting on which the C loader would overflow its stack.

    And maps that are merged into others, which BentoML does not write: thirty lines of them
    double thirty times.
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


def _patterns(value: str | list[str] | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    return (value,) if isinstance(value, str) else tuple(value)


def _time(value: datetime | str) -> datetime:
    made = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return made if made.tzinfo else made.replace(tzinfo=UTC)
