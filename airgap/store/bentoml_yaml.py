"""bento.yaml and model.yaml, as BentoML 1.4 writes them and as an attacker might."""

from collections.abc import Iterator
from datetime import UTC

from airgap.errors import CorruptError
from airgap.format.kinds import HUGGING_FACE, MODEL
from airgap.store.bentoml_fields import BENTO_FIELDS, MODEL_FIELDS, parse_time
from airgap.store.item_kind import Description, Reference
from airgap.store.yaml_tree import Node, Scalar, parse_tree, string

__all__ = ["parse_description"]


def parse_description(
    raw: bytes, source: str, *, with_models: bool, thorough: bool = False
) -> Description:
    """Parse a bento.yaml or model.yaml: only what airgap needs, and as text.

    Args:
        raw: the content of the file.
        source: names the file in messages.
        with_models: it is a bento.yaml, which names models. A model names none.
        thorough: parse it as BentoML does, too; see ``ItemKind.read_description``.

    Raises:
        CorruptError: BentoML 1.4 could not list a store with it.
    """
    fields = BENTO_FIELDS if with_models else MODEL_FIELDS
    try:
        tree = parse_tree(raw, thorough=thorough)
    except ValueError as error:
        raise _make_error(source, str(error)) from error
    problem = fields(tree)
    if problem or not isinstance(tree, dict):
        raise _make_error(source, f"it{problem}" if problem[0] == " " else problem[1:])
    created = parse_time(tree[string("creation_time")])
    return Description(
        name=_read_text(tree, "name"),
        version=_read_text(tree, "version"),
        created=created if created.tzinfo else created.replace(tzinfo=UTC),
        models=tuple(dict.fromkeys(_list_models(tree))) if with_models else (),
        has_zone=created.tzinfo is not None,
        python=_read_python(tree) if with_models else "",
    )


def _make_error(source: str, reason: str) -> CorruptError:
    return CorruptError(
        f"{source} is malformed: {reason}.",
        "BentoML cannot delete such an item: correct the file, or move its folder out of the store"
        " and build it again.",
    )


def _read_python(tree: dict[Scalar, Node]) -> str:
    """Return the Python that a Bento's image has (``image``), or had before BentoML 1.4."""
    for section in (tree.get(string("image")), tree.get(string("docker"))):
        version = section.get(string("python_version")) if isinstance(section, dict) else None
        if isinstance(version, Scalar) and version.type in {"str", "float"}:
            return version.text
    return ""


def _list_models(tree: dict[Scalar, Node]) -> Iterator[Reference]:
    """Yield the models named at the top and by each service."""
    yield from map(_make_reference, _read_list(tree, "models"))
    for service in _read_list(tree, "services"):
        yield from map(_make_reference, _read_list(service, "models"))


def _make_reference(model: Node) -> Reference:
    name, _, version = (
        model.text if isinstance(model, Scalar) else _read_text(model, "tag")
    ).partition(":")
    if _read_text(model, "registry") != "huggingface":
        return Reference(MODEL.name, name, version)
    metadata = model.get(string("metadata")) if isinstance(model, dict) else None
    repository = _read_text(metadata, "model_id") or name
    return Reference(
        HUGGING_FACE.name,
        repository.lower().replace("/", "--"),
        _read_text(metadata, "revision") or version,
        _read_patterns(metadata, "include"),
        _read_patterns(metadata, "exclude"),
    )


def _read_text(node: Node | None, name: str) -> str:
    """Return the text of a map's field; empty if there is none."""
    value = node.get(string(name)) if isinstance(node, dict) else None
    return value.text if isinstance(value, Scalar) and value.type == "str" else ""


def _read_list(node: Node, name: str) -> list[Node]:
    value = node.get(string(name)) if isinstance(node, dict) else None
    return value if isinstance(value, list) else []


def _read_patterns(node: Node | None, name: str) -> tuple[str, ...] | None:
    """Return a field that is a text or a list of texts; None if it is neither."""
    value = node.get(string(name)) if isinstance(node, dict) else None
    if isinstance(value, list):
        return tuple(pattern.text for pattern in value if isinstance(pattern, Scalar))
    return (value.text,) if isinstance(value, Scalar) and value.type == "str" else None
