"""ONNX models: operators of its own domains, and weights that lie in the item."""

import re
from dataclasses import replace
from math import prod
from typing import Final

from airgap.scan.contents import Content
from airgap.scan.pickle_values import demand
from airgap.scan.protobuf import Field, read_fields
from airgap.scan.verdicts import Judgment, Unreadable, Weights, inert

__all__ = ["judge_onnx", "looks_like_onnx"]

_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""Domains of which every operator is in the standard, and computes with tensors alone."""
_MICROSOFT_TEXT: Final = """
Attention BeamSearch BiasAdd BiasGelu BiasSoftmax BiasSplitGelu CropAndResize
DecoderMaskedMultiHeadAttention DecoderMaskedSelfAttention DequantizeLinear
DynamicQuantizeLSTM DynamicQuantizeMatMul EmbedLayerNormalization FastGelu FusedConv FusedGemm
FusedMatMul FusedMatMulActivation GatedRelativePositionBias GatherND Gelu GreedySearch
GroupNorm GroupQueryAttention Inverse MatMulBnb4 MatMulInteger16 MatMulIntegerToFloat
MatMulNBits MultiHeadAttention NGramRepeatBlock NhwcConv NhwcFusedConv NhwcMaxPool
PackedAttention PackedMultiHeadAttention Pad QAttention QEmbedLayerNormalization QGemm
QLinearAdd QLinearAveragePool QLinearConcat QLinearConv QLinearGlobalAveragePool
QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QMoE
QuantizeLinear QuickGelu Range RelativePositionBias RemovePadding RestorePadding
RotaryEmbedding Sampling SimplifiedLayerNormalization SkipGroupNorm SkipLayerNormalization
SkipSimplifiedLayerNormalization SparseToDenseMatMul TransposeMatMul Trilu Unique
WhisperBeamSearch
"""
_MICROSOFT: Final = frozenset(_MICROSOFT_TEXT.split())
"""Operators that ONNX Runtime adds; EPContext, which holds a program for a device, is not here."""
_DEEPEST: Final = 60
_LOCATION: Final = re.compile(r"(?!/)[^\x00-\x1f\\:]{1,255}")
_BITS: Final = {
    **dict.fromkeys((1, 6, 12), 32),
    **dict.fromkeys((4, 5, 10, 16), 16),
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 24), 8),
    **dict.fromkeys((7, 11, 13, 14), 64),
    15: 128,
    **dict.fromkeys((21, 22, 23), 4),
}
"""Bits of one number, by the type of a tensor."""

# The fields of each message, by number; M: a message of that name, T: a text, -: anything else.
_MESSAGES: Final[dict[str, dict[int, str]]] = {
    "Model": {
        **dict.fromkeys((1, 2, 3, 4, 5, 6, 8, 14), "-"),
        7: "Graph",
        20: "Training",
        25: "Function",
    },
    "Training": {1: "Graph", 2: "Graph", 3: "-", 4: "-"},
    "Function": {
        **dict.fromkeys((1, 4, 5, 6, 8, 9, 10, 12, 13, 14), "-"),
        7: "Node",
        11: "Attribute",
    },
    "Graph": {
        **dict.fromkeys((2, 10, 11, 12, 13, 14, 16), "-"),
        1: "Node",
        5: "Tensor",
        15: "Sparse",
    },
    "Node": {**dict.fromkeys((1, 2, 3, 4, 6, 7, 8, 9, 10), "-"), 5: "Attribute"},
    "Attribute": {
        **dict.fromkeys((1, 2, 3, 4, 7, 8, 9, 13, 14, 15, 20, 21), "-"),
        **dict.fromkeys((5, 10), "Tensor"),
        **dict.fromkeys((6, 11), "Graph"),
        **dict.fromkeys((22, 23), "Sparse"),
    },
    "Sparse": {1: "Tensor", 2: "Tensor", 3: "-"},
    "Tensor": dict.fromkeys(range(1, 17), "-"),
}
_OPERATOR, _DOMAIN = 4, 7
_FUNCTION_NAME, _FUNCTION_DOMAIN = 1, 10
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_EXTERNAL, _TENSOR_WHERE = 1, 2, 13, 14
_EXTERNAL: Final = 1
_BOUNDS: Final = frozenset({"location", "offset", "length", "checksum"})


def looks_like_onnx(content: Content) -> bool:
    """Tell whether all fields at the top are a model's, and a version and a graph among them."""
    numbers = set()
    try:
        for field in read_fields(content):
            numbers.add(field.number)
            if field.number not in _MESSAGES["Model"]:
                return False
    except Unreadable:
        return False
    return {1, 7} <= numbers


def judge_onnx(content: Content) -> Judgment:
    """Judge an ONNX model: its operators, and where its weights are."""
    walk = _GraphWalk(content)
    walk.follow(content, "Model", 0)
    ends: dict[str, int] = {}
    for weights in walk.weights:
        ends[weights.path] = max(ends.get(weights.path, 0), weights.end)
    weights_of_model = tuple(Weights(path, end) for path, end in sorted(ends.items()))
    return replace(inert("ONNX"), weights=weights_of_model)


def _find_text(message: Content, number: int) -> str:
    """Return the last text of a field, which is what readers take."""
    text = ""
    for field in read_fields(message):
        if field.number == number:
            text = field.read_text()
    return text


class _GraphWalk:
    """Goes through graphs, and through graphs in the attributes of their nodes."""

    def __init__(self, model: Content) -> None:
        self.weights: list[Weights] = []
        functions = [field.content for field in read_fields(model) if field.number == 25]  # noqa: PLR2004
        self._functions = {
            (_find_text(body, _FUNCTION_DOMAIN), _find_text(body, _FUNCTION_NAME))
            for body in functions
            if body is not None
        }

    def follow(self, message: Content, kind: str, depth: int) -> None:
        """Check a message and all within; raises Unreadable at what is not listed."""
        demand(depth <= _DEEPEST, "its graphs are nested too deeply")
        fields = _MESSAGES[kind]
        external: dict[str, str] = {}
        for field in read_fields(message):
            if field.number not in fields:
                raise Unreadable(f"a {kind} has the field {field.number}")
            inner = fields[field.number]
            if inner != "-":
                if field.content is None:
                    raise Unreadable(f"the field {field.number} of a {kind} is a number")
                self.follow(field.content, inner, depth + 1)
            elif kind == "Tensor" and field.number == _TENSOR_EXTERNAL:
                key, value = _read_entry(field)
                demand(key in _BOUNDS and key not in external, "weights are described oddly")
                external[key] = value
        if kind == "Node":
            self._check_operator(message)
        elif kind == "Tensor":
            self._check_tensor(message, external)

    def _check_operator(self, node: Content) -> None:
        operator, domain = _find_text(node, _OPERATOR), _find_text(node, _DOMAIN)
        is_known = (
            domain in _DOMAINS
            or (domain == "com.microsoft" and operator in _MICROSOFT)
            or (domain, operator) in self._functions
        )
        demand(is_known, f"the operator {operator[:80]} is of {domain[:80]!r}, which is not listed")

    def _check_tensor(self, tensor: Content, external: dict[str, str]) -> None:
        """Note the weights of a tensor that are in another file: so many as its shape says."""
        dims: list[int] = []
        kind = where = 0
        for field in read_fields(tensor):
            if field.number == _TENSOR_DIMS:
                dims += _read_numbers(field)
            elif field.number == _TENSOR_TYPE:
                kind = field.value
            elif field.number == _TENSOR_WHERE:
                where = field.value
        demand(len(dims) <= 64, "a tensor has too many dimensions")  # noqa: PLR2004
        if not external and where != _EXTERNAL:
            return
        demand(where == _EXTERNAL and kind in _BITS, "weights are described oddly")
        location = external.get("location", "")
        demand(_LOCATION.fullmatch(location), "its weights lie outside of the item")
        demand(not {"", ".", ".."} & {*location.split("/")}, "its weights lie outside of the item")
        offset, length = external.get("offset", "0"), external.get("length", "")
        demand(_is_size(offset) and _is_size(length), "its weights have no size")
        demand(8 * int(length) == _BITS[kind] * prod(dims), "its weights have another size")
        self.weights.append(Weights(location, int(offset) + int(length)))


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 16  # noqa: PLR2004 -- digits


def _read_entry(field: Field) -> tuple[str, str]:
    if field.content is None:
        raise Unreadable("weights are described oddly")
    return _find_text(field.content, 1), _find_text(field.content, 2)


def _read_numbers(field: Field) -> list[int]:
    """Return the numbers of a repeated field, which may be packed into one."""
    if field.content is None:
        return [field.value]
    raw = field.content.read_whole(1024)
    numbers, value, shift = [], 0, 0
    for byte in raw:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 -- the last byte of a number has no such bit
            numbers.append(value)
            value = shift = 0
    return numbers
