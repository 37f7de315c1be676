"""ONNX models: operators of its own domains, and weights that lie in the item."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from airgap.scan.contents import Content, Unreadable
from airgap.scan.protobuf import Field, read_fields
from airgap.scan.verdicts import Assessment, join, refused

__all__ = ["assess_onnx", "looks_like_onnx"]

_FORM: Final = "ONNX"
_DOMAINS: Final = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "com.microsoft", "com.microsoft.nchwc"}
)
"""Domains whose operators ONNX Runtime has itself; others need a library with code."""
_DEEPEST: Final = 100


class _Numbers(NamedTuple):
    """The numbers of the fields of a message that hold nodes and tensors; 0: it has none."""

    node: int
    tensor: int = 0
    sparse_tensor: int = 0


# Numbers of fields, by message.
_MODEL: Final = frozenset({*range(1, 9), 14, 20, 25, 26})
_VERSION, _MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTION = 1, 7, 20, 25
_GRAPH: Final = _Numbers(node=1, tensor=5, sparse_tensor=15)
_FUNCTION: Final = _Numbers(node=7)
_FUNCTION_DOMAIN: Final = 10
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSORS: Final = frozenset({5, 10})
_ATTRIBUTE_GRAPHS: Final = frozenset({6, 11})
_ATTRIBUTE_SPARSE_TENSORS: Final = frozenset({22, 23})
_TENSOR_EXTERNAL: Final = 13
_KEY, _VALUE = 1, 2


def looks_like_onnx(content: Content) -> bool:
    """Tell whether all fields at the top are a model's, and a graph is among them."""
    numbers = set()
    try:
        for field in read_fields(content):
            numbers.add(field.number)
            if field.number not in _MODEL:
                return False
    except Unreadable:
        return False
    return {_VERSION, _MODEL_GRAPH} <= numbers


def assess_onnx(content: Content) -> Assessment:
    """Assess an ONNX model: its operators, and where its weights are."""
    fields = [field for field in _read_messages(content) if field[0] != _VERSION]
    functions = [message for number, message in fields if number == _MODEL_FUNCTION]
    walk = _Walk(_DOMAINS | {_find_domain(function) for function in functions})
    assessments = [assessment for body in functions for assessment in walk.assess(body, _FUNCTION)]
    for number, message in fields:
        if number == _MODEL_GRAPH:
            assessments += walk.assess(message, _GRAPH)
        elif number == _MODEL_TRAINING:
            for _, graph in _read_messages(message):
                assessments += walk.assess(graph, _GRAPH)
    assessment = join(_FORM, assessments)
    return replace(assessment, weights=tuple(sorted(walk.weights)))


def _read_messages(content: Content) -> Iterator[tuple[int, Content]]:
    """Yield the numbers and contents of the fields that are no numbers."""
    for field in read_fields(content):
        if field.content is not None:
            yield field.number, field.content


def _find_domain(function: Content) -> str:
    for field in read_fields(function):
        if field.number == _FUNCTION_DOMAIN:
            return field.read_text()
    return ""


class _Walk:
    """Goes through graphs, and through graphs in the attributes of their nodes."""

    def __init__(self, domains: frozenset[str]) -> None:
        self._domains = domains
        self._reported: set[str] = set()
        self.weights: set[str] = set()

    def assess(self, body: Content, numbers: _Numbers, depth: int = 0) -> Iterator[Assessment]:
        """Yield what is wrong with a graph or with the body of a function."""
        if depth > _DEEPEST:
            raise Unreadable("its graphs are nested too deeply")
        for number, message in _read_messages(body):
            if number == numbers.node:
                yield from self._assess_node(message, depth)
            elif number == numbers.tensor:
                yield from self._assess_tensor(message)
            elif number == numbers.sparse_tensor:
                yield from self._assess_sparse_tensor(message)

    def _assess_node(self, node: Content, depth: int) -> Iterator[Assessment]:
        domain = operator = ""
        for field in read_fields(node):
            if field.number == _NODE_DOMAIN:
                domain = field.read_text()
            elif field.number == _NODE_OPERATOR:
                operator = field.read_text()
            elif field.number == _NODE_ATTRIBUTE and field.content is not None:
                yield from self._assess_attribute(field.content, depth)
        if domain not in self._domains and domain not in self._reported:
            self._reported.add(domain)
            yield refused(_FORM, f"the operator {operator} is of {domain}, which needs a library")

    def _assess_attribute(self, attribute: Content, depth: int) -> Iterator[Assessment]:
        for number, message in _read_messages(attribute):
            if number in _ATTRIBUTE_TENSORS:
                yield from self._assess_tensor(message)
            elif number in _ATTRIBUTE_SPARSE_TENSORS:
                yield from self._assess_sparse_tensor(message)
            elif number in _ATTRIBUTE_GRAPHS:
                yield from self.assess(message, _GRAPH, depth + 1)

    def _assess_sparse_tensor(self, tensor: Content) -> Iterator[Assessment]:
        for _, part in _read_messages(tensor):
            yield from self._assess_tensor(part)

    def _assess_tensor(self, tensor: Content) -> Iterator[Assessment]:
        for number, message in _read_messages(tensor):
            if number == _TENSOR_EXTERNAL:
                yield from self._assess_location(list(read_fields(message)))

    def _assess_location(self, entry: list[Field]) -> Iterator[Assessment]:
        """Assess where the weights of a tensor lie that are in another file."""
        texts = {field.number: field.read_text() for field in entry}
        if texts.get(_KEY) != "location":
            return
        location = texts.get(_VALUE, "")
        path = PurePosixPath(location)
        if not location or path.is_absolute() or ".." in path.parts or "\\" in location:
            yield refused(_FORM, f"its weights lie outside of the item, in {location[:200]}")
        else:
            self.weights.add(str(path))
