"""The kinds of items that may travel, and what the format says of each (format §3.2)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from airgap.errors import CorruptError
from airgap.format import names

__all__ = [
    "BENTO",
    "FILES",
    "HUGGING_FACE",
    "IMAGE",
    "MODEL",
    "WHEELHOUSE",
    "Kind",
    "KindRules",
    "StockPlacement",
    "add_rules",
    "find_rules",
    "highest_reader",
    "required_reader",
]

Kind: TypeAlias = str
"""The name of a kind, as manifests spell it."""

StockPlacement = Literal["top", "models", "by digest", "none"]
"""Where an archive for stock BentoML holds the files of an item (format §10)."""


def _hint_renaming_in_bento(path: str) -> str:
    return f"Rename {path!r}, or exclude it in bentofile.yaml, and build the Bento again."


def _hint_renaming_in_model(path: str) -> str:
    return f"Rename {path!r}, and save the model again."


def _hint_excluding(path: str) -> str:
    """Say how a Bento leaves out a file of a repository that others own."""
    pattern = re.sub(r"([*?[])", r"[\1]", path)
    return f"Exclude it and build the Bento again: HuggingFaceModel(…, exclude=[{pattern!r}])."


@dataclass(frozen=True, slots=True)
class KindRules:
    """What the format says of one kind.

    ``rank`` orders the kinds within a bundle. ``is_tag`` tells whether a name and a version may
    travel (format §2.4). ``description`` is the path of the file that gives the item its name and
    version, if the kind has one. ``path_hint`` says what to do about a path that may not travel
    (§2.5). ``is_model`` tells that an item may be signed by itself (format
    §18). ``reader`` is the format version that a reader must know (format §4.1).
    """

    name: Kind
    rank: int
    is_tag: Callable[[str, str], bool]
    description: str = ""
    path_hint: Callable[[str], str] = names.hint_renaming
    is_model: bool = False
    stock: StockPlacement = "none"
    reader: int = 1


def _is_bentoml_tag(name: str, version: str) -> bool:
    return names.is_tag_part(name) and names.is_tag_part(version)


def _is_named_by_content(name: str, version: str) -> bool:
    return names.is_tag_part(name) and names.is_content_version(version)


def _is_snapshot(name: str, version: str) -> bool:
    return names.is_repository(name) and names.is_commit(version)


MODEL: Final = KindRules(
    "model",
    0,
    _is_bentoml_tag,
    "model.yaml",
    path_hint=_hint_renaming_in_model,
    is_model=True,
    stock="models",
)
HUGGING_FACE: Final = KindRules(
    "hugging-face",
    1,
    _is_snapshot,
    path_hint=_hint_excluding,
    is_model=True,
    stock="by digest",
)
FILES: Final = KindRules("files", 2, _is_named_by_content, "files.json", reader=2)
WHEELHOUSE: Final = KindRules("wheelhouse", 3, _is_named_by_content, "pylock.toml", reader=2)
IMAGE: Final = KindRules("image", 4, _is_named_by_content, "index.json", reader=2)
BENTO: Final = KindRules(
    "bento",
    5,
    _is_bentoml_tag,
    "bento.yaml",
    path_hint=_hint_renaming_in_bento,
    stock="top",
)

_RULES: Final = {
    rules.name: rules for rules in (MODEL, HUGGING_FACE, FILES, WHEELHOUSE, IMAGE, BENTO)
}


def add_rules(rules: KindRules) -> None:
    """Let manifests have items of this kind."""
    _RULES[rules.name] = rules


def find_rules(kind: Kind) -> KindRules:
    """Return the rules of a kind.

    Raises:
        CorruptError: there is no such kind.
    """
    rules = _RULES.get(kind)
    if rules is None:
        raise CorruptError(
            f"The item is of the unknown kind {kind!r}.", "Ask the sender to export it again."
        )
    return rules


def highest_reader() -> int:
    """Return the highest format version of a manifest's ``reader`` that is known here."""
    return max(rules.reader for rules in _RULES.values())


def required_reader(kinds: set[Kind]) -> int:
    """Return what a manifest with items of these kinds says as its ``reader`` (format §4.1)."""
    return max((find_rules(kind).reader for kind in kinds), default=1)
