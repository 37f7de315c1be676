"""What descriptions of items say to those who list a registry, as plain data."""

from typing import Any, Final

from airgap.format import image
from airgap.format.inventory import Item
from airgap.format.kinds import BENTO, IMAGE, MODEL
from airgap.store.kinds import find_kind
from airgap.store.yaml_tree import Node, Scalar, parse_tree, string

__all__ = ["SUMMARIZED", "summarize"]

SUMMARIZED: Final = frozenset({MODEL.name, BENTO.name, IMAGE.name})
"""The kinds of items whose descriptions say something."""

_FIELDS = ("service", "bentoml_version", "module", "api_version")


def summarize(item: Item, raw: bytes) -> dict[str, Any]:
    """Return creation time (seconds since 1970), labels and some texts of a Bento or a model.

    Of an image it is the reference, and the digest (hex) and type of its manifest or index.

    Raises:
        CorruptError: it is malformed, as an import would find.
    """
    if item.kind == IMAGE.name:
        index = image.decode(raw)
        names = {"reference": index.reference, "image_digest": index.digest}
        return {**names, "media_type": index.media_type}
    kind = find_kind(item.kind)
    source = f"{kind.rules.description} of {item}"
    description = kind.read_description(raw, source)
    tree = parse_tree(raw)
    fields = tree if isinstance(tree, dict) else {}
    summary: dict[str, Any] = {name: _read_text(fields.get(string(name))) for name in _FIELDS}
    summary["created_at"] = description.created_at
    summary["labels"] = _read_labels(fields.get(string("labels")))
    if item.kind == BENTO.name:
        summary["models"] = [f"{model.name}:{model.version}" for model in description.models]
    return summary


def _read_text(node: Node | None) -> str:
    return node.text if isinstance(node, Scalar) else ""


def _read_labels(node: Node | None) -> dict[str, str]:
    if not isinstance(node, dict):
        return {}
    return {key.text: _read_text(value) for key, value in node.items()}
