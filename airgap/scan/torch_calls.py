"""What an archive of torch may call, with which arguments (`pickle_calls` has the others)."""

import re
from collections.abc import Callable, Mapping
from math import prod
from typing import Final

from airgap.scan.pickle_values import (
    Arguments,
    Made,
    Named,
    Pair,
    Row,
    Storage,
    Table,
    demand,
    list_numbers,
)
from airgap.scan.verdicts import Unreadable

__all__ = ["TORCH_CALLS", "measure_storage", "parse_storage"]

_STORAGES: Final = {
    **dict.fromkeys(("ComplexDoubleStorage",), 16),
    **dict.fromkeys(("DoubleStorage", "LongStorage", "ComplexFloatStorage"), 8),
    **dict.fromkeys(("FloatStorage", "IntStorage", "QInt32Storage"), 4),
    **dict.fromkeys(("HalfStorage", "BFloat16Storage", "ShortStorage"), 2),
    **dict.fromkeys(("CharStorage", "ByteStorage", "BoolStorage"), 1),
    **dict.fromkeys(("QInt8Storage", "QUInt8Storage"), 1),
}
_DEVICE: Final = re.compile(r"(?:cpu|meta|mps|(?:cuda|xpu|hpu)(?::[0-9]{1,3})?)")


def measure_storage(pair: Pair) -> int:
    """Return the bytes of one number of a storage, by its class; 0: it is not one."""
    if pair == ("torch.storage", "UntypedStorage"):
        return 1
    return _STORAGES.get(pair[1], 0) if pair[0] == "torch" else 0


def parse_storage(identity: object) -> Storage:
    """Return the storage that a persistent identity names; raises Unreadable if it is none."""
    match identity:
        case Row(("storage", Named(pair), str(key), str(device), int(count))):
            width = measure_storage(pair)
            if width and count >= 0 and _DEVICE.fullmatch(device) and key.isalnum():
                return Storage(key, count, width)
        case _:
            pass
    raise Unreadable("it asks its reader for something other than a tensor's storage")


def _make_size(arguments: Arguments) -> None:
    demand(len(arguments) == 1, "it has other arguments")
    list_numbers(arguments[0])


def _make_device(arguments: Arguments) -> None:
    match arguments:
        case (str(device), *rest) if _DEVICE.fullmatch(device):
            demand(all(type(item) is int for item in rest), "it has other arguments")
            return
        case _:
            pass
    raise Unreadable("it is not a device")


def _make_tensor(arguments: Arguments) -> None:
    match arguments:
        case (Storage() as storage, int(offset), size, stride, bool(), hooks, *metadata):
            _check_span(storage.count, offset, size, stride)
            _check_hooks(hooks)
            demand(not any(metadata), "it has metadata")
            return
        case _:
            pass
    raise Unreadable("its arguments are not those of a tensor")


def _make_tensor_of_type(arguments: Arguments) -> None:
    match arguments:
        case (
            Storage() as storage, int(offset), size, stride, bool(), hooks,
            Named(("torch", _), is_value=True), *metadata,
        ):  # fmt: skip
            _check_span(storage.count * storage.width, offset, size, stride)
            _check_hooks(hooks)
            demand(not any(metadata), "it has metadata")
            return
        case _:
            pass
    raise Unreadable("its arguments are not those of a tensor")


def _make_quantized_tensor(arguments: Arguments) -> None:
    match arguments:
        case (
            Storage() as storage, int(offset), size, stride,
            Row((Named(("torch", "per_tensor_affine")), float() | int(), int())), bool(), hooks,
        ):  # fmt: skip
            _check_span(storage.count, offset, size, stride)
            _check_hooks(hooks)
            return
        case _:
            pass
    raise Unreadable("its arguments are not those of a tensor")


def _make_sparse_tensor(arguments: Arguments) -> None:
    match arguments:
        case (Made(("torch.serialization", "_get_layout")), Row((Made(), Made(), size, *rest))):
            demand(all(isinstance(item, bool) for item in rest), "it has more arguments")
            demand(isinstance(size, Made) and size.pair == ("torch", "Size"), "it has no size")
            return
        case _:
            pass
    raise Unreadable("its arguments are not those of a sparse tensor")


def _make_layout(arguments: Arguments) -> None:
    demand(arguments in {("torch.sparse_coo",), ("torch.strided",)}, "it is another layout")


def _make_parameter(arguments: Arguments) -> None:
    match arguments:
        case (Made(("torch._utils", _)), bool(), hooks):
            _check_hooks(hooks)
            return
        case _:
            pass
    raise Unreadable("its arguments are not those of a parameter")


def _check_span(count: int, offset: int, size: object, stride: object) -> None:
    """Demand that all numbers of a tensor lie within its storage."""
    sizes, strides = list_numbers(size), list_numbers(stride)
    demand(len(sizes) == len(strides) and offset >= 0, "its strides are not those of its size")
    if prod(sizes):
        last = sum((n - 1) * step for n, step in zip(sizes, strides, strict=True))
        demand(offset + last < count, "it lies behind the end of its storage")


def _check_hooks(hooks: object) -> None:
    """Demand that nothing is called when a gradient is computed, now and later."""
    match hooks:
        case Made(("collections", "OrderedDict"), table=Table(items=[]) as table):
            table.frozen = True
            return
        case _:
            pass
    raise Unreadable("it has hooks")


TORCH_CALLS: Final[Mapping[Pair, Callable[[Arguments], object]]] = {
    ("torch", "Size"): _make_size,
    ("torch", "device"): _make_device,
    ("torch._utils", "_rebuild_tensor_v2"): _make_tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _make_tensor_of_type,
    ("torch._utils", "_rebuild_qtensor"): _make_quantized_tensor,
    ("torch._utils", "_rebuild_sparse_tensor"): _make_sparse_tensor,
    ("torch._utils", "_rebuild_parameter"): _make_parameter,
    ("torch.serialization", "_get_layout"): _make_layout,
}
