"""The front matter of a model card: ``README.md`` of a repository of the Hugging Face hub (§30.3).

It is YAML between two lines ``---``. Anybody may have written it: no tags, no anchors, no aliases,
and at most 1 MiB and 50,000 values.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from airgap.bom.claims import LicenceClaim, read_hub_licences
from airgap.printable import cut_text, make_printable
from airgap.store.yaml_tree import Node, Scalar, parse_tree, string

__all__ = ["CARD_BYTES", "Metric", "ModelCard", "read_model_card"]

CARD_BYTES: Final = 1024 * 1024
"""The most that is read of a model card."""
_VALUES: Final = 50_000
_MOST: Final = 200
"""Names in one list, and metrics; what comes after them is left out."""
_CHARACTERS: Final = 200
_OPENING: Final = re.compile(rb"(?:\xef\xbb\xbf)?---[ \t]*\r?\n")
_END: Final = re.compile(rb"(?m)^---[ \t]*\r?$")


@dataclass(frozen=True, slots=True)
class Metric:
    """A result that a model card claims: ``value`` as written, and the data that it is of."""

    type: str
    value: str
    data: str = ""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model card says. All texts have at most 200 characters and are safe to print."""

    licences: tuple[LicenceClaim, ...] = ()
    task: str = ""
    library: str = ""
    languages: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    base_models: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()


def read_model_card(raw: bytes, path: str) -> ModelCard:
    """Read the front matter of a card; one without front matter says nothing.

    Raises:
        ValueError: the front matter is not YAML, or breaks a limit.
    """
    opening = _OPENING.match(raw)
    if opening is None:
        return ModelCard()
    end = _END.search(raw, opening.end(), CARD_BYTES)
    if end is None:
        raise ValueError(f"its front matter has no end within {CARD_BYTES:,} bytes")
    tree = parse_tree(raw[opening.end() : end.start()], plain=True, most_values=_VALUES)
    if not isinstance(tree, dict):
        return ModelCard()
    return ModelCard(
        read_hub_licences(
            _read_texts(tree, "license"),
            f"{path}: license",
            name=_read_text(tree, "license_name"),
            link=_read_text(tree, "license_link"),
        ),
        _read_text(tree, "pipeline_tag"),
        _read_text(tree, "library_name"),
        _read_texts(tree, "language"),
        _read_texts(tree, "datasets"),
        _read_texts(tree, "base_model"),
        tuple(_read_metrics(tree)),
    )


def _read_metrics(tree: Node) -> Iterator[Metric]:
    """Yield the metrics of ``model-index``; what has another form is passed over."""
    count = 0
    for model in _read_list(tree, "model-index"):
        for result in _read_list(model, "results"):
            data = _read_text(_read(result, "dataset"), "name")
            for metric in _read_list(result, "metrics"):
                kind, value = _read_text(metric, "type"), _read_text(metric, "value")
                if kind and value and count < _MOST:
                    count += 1
                    yield Metric(kind, value, data)


def _read(node: Node | None, name: str) -> Node | None:
    return node.get(string(name)) if isinstance(node, dict) else None


def _read_list(node: Node | None, name: str) -> list[Node]:
    value = _read(node, name)
    return value if isinstance(value, list) else []


def _read_text(node: Node | None, name: str) -> str:
    value = _read(node, name)
    return _shorten(value) if isinstance(value, Scalar) else ""


def _read_texts(node: Node | None, name: str) -> tuple[str, ...]:
    """Return a field that is a text or a list of texts, each text once."""
    value = _read(node, name)
    values = value if isinstance(value, list) else [value]
    texts = [_shorten(one) for one in values[: 2 * _MOST] if isinstance(one, Scalar)]
    return tuple(filter(None, dict.fromkeys(texts)))[:_MOST]


def _shorten(scalar: Scalar) -> str:
    if scalar.type in {"null", "binary"}:
        return ""
    return make_printable(cut_text(" ".join(scalar.text.split()), _CHARACTERS))
