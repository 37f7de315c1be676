"""What a pickle may call, with which arguments.

Each name is here because its code was read: with the arguments that pass here it makes a value, and
runs, opens, imports and changes nothing else. What is not here is refused.
"""

import re
from collections.abc import Callable, Mapping
from math import prod
from typing import Final

from airgap.scan.filled_classes import FILLED_CLASSES
from airgap.scan.pickle_operations import Data, Text
from airgap.scan.pickle_values import (
    Arguments,
    Gathering,
    Made,
    Named,
    NumpyType,
    Pair,
    Row,
    Table,
    demand,
    list_numbers,
    measure_bytes,
)
from airgap.scan.torch_calls import TORCH_CALLS, measure_storage
from airgap.scan.verdicts import Unreadable

__all__ = ["WRAPPER", "call", "find_named", "make_empty"]

_MOST_ARGUMENTS: Final = 16
_OBJECT: Final = ("builtins", "object")
_RECONSTRUCTORS: Final = frozenset({("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor")})
_DICTS: Final = frozenset({("sklearn.utils._bunch", "Bunch")})
_TYPES: Final = ("bool", "bytes", "complex", "float", "int", "str")
_BITS: Final = {
    "MT19937": "numpy.random._mt19937",
    "PCG64": "numpy.random._pcg64",
    "PCG64DXSM": "numpy.random._pcg64",
    "Philox": "numpy.random._philox",
    "SFC64": "numpy.random._sfc64",
}
_NUMPY_NUMBERS: Final = (
    *(
        "bool",
        "bool_",
        "float16",
        "float32",
        "float64",
        "complex64",
        "complex128",
        "str_",
        "bytes_",
    ),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)
_TORCH_TYPES: Final = (
    *("bool", "uint8", "int8", "int16", "int32", "int64", "half", "bfloat16", "float16", "float"),
    *("float32", "float64", "double", "complex64", "complex128", "qint8", "quint8", "qint32"),
    *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
)
_VALUES: Final[frozenset[Pair]] = frozenset(
    {
        *((module, name) for module in ("builtins", "__builtin__") for name in _TYPES),
        *(("numpy", name) for name in _NUMPY_NUMBERS),
        *(("torch", name) for name in _TORCH_TYPES),
        *(("torch.nn.functional", name) for name in ("gelu", "relu", "silu", "tanh")),
        ("torch._C._nn", "gelu"),
    }
)
"""What may be kept as a value: types of numbers, and functions of numbers alone."""
_MADE_OF_TYPES: Final[frozenset[Pair]] = frozenset(
    {
        _OBJECT,
        ("__builtin__", "object"),
        ("numpy", "ndarray"),
        ("numpy.ma", "MaskedArray"),
        ("numpy.ma.core", "MaskedArray"),
        ("numpy.random.bit_generator", "SeedSequence"),
        *((module, name) for name, module in _BITS.items()),
        *(("sklearn.metrics._dist_metrics", name) for name in (
            "EuclideanDistance64", "EuclideanDistance", "ManhattanDistance64", "ManhattanDistance",
            "ChebyshevDistance64", "ChebyshevDistance", "MinkowskiDistance64", "MinkowskiDistance",
        )),
        *(("sklearn.neighbors._kd_tree", f"KDTree{bits}") for bits in ("", "32", "64")),
        *(("sklearn.neighbors._ball_tree", f"BallTree{bits}") for bits in ("", "32", "64")),
        ("torch", "per_tensor_affine"),
    }
)  # fmt: skip
"""What may be an argument of a call, where the call says so, and nothing else."""
WRAPPER: Final = ("joblib.numpy_pickle", "NumpyArrayWrapper")
_CODE: Final = re.compile(r"(?:b1|[iu][1248]|f(?:2|4|8|16)|c(?:8|16|32)|[mM]8|[SUV][0-9]{1,7}|O8)")


def find_named(pair: Pair) -> Named:
    """Return what a pickle asks for; raises Unreadable unless it is listed."""
    if pair in _VALUES:
        return Named(pair, is_value=True)
    if pair in _CALLS or pair in FILLED_CLASSES or pair in _MADE_OF_TYPES or pair == WRAPPER:
        return Named(pair)
    if pair in _RECONSTRUCTORS or measure_storage(pair):
        return Named(pair)
    raise Unreadable(f"it asks for {'.'.join(pair)[:200]}")


def make_empty(made: object, arguments: object) -> Made:
    """Return an object of a class that is made without a call, and is filled later."""
    demand(isinstance(arguments, Row) and not arguments.items, "it makes an object with arguments")
    if not isinstance(made, Named):
        raise Unreadable("it makes an object of what it has computed")
    if made.pair not in FILLED_CLASSES and made.pair != WRAPPER:
        raise Unreadable(f"it makes an object of {'.'.join(made.pair)}")
    return Made(made.pair, Row((), is_plain=True), Table() if made.pair in _DICTS else None)


def call(called: object, arguments: object) -> object:
    """Return what a call would make; raises Unreadable unless the call is listed as it is."""
    if not isinstance(called, Named):
        raise Unreadable("it calls what it has computed")
    if not isinstance(arguments, Row):
        raise Unreadable("it calls with something other than a tuple")
    if called.pair in _RECONSTRUCTORS:
        return _reconstruct(arguments)
    check = _CALLS.get(called.pair)
    name = ".".join(called.pair)
    if check is None:
        raise Unreadable(f"it calls {name}")
    demand(len(arguments.items) <= _MOST_ARGUMENTS, f"it calls {name} with too many arguments")
    try:
        made = check(arguments.items)
    except Unreadable as error:
        raise Unreadable(f"it calls {name}: {error}") from error
    return Made(called.pair, arguments) if made is None else made


def _reconstruct(arguments: Row) -> Made:
    match arguments.items:
        case (Named() as made, Named(("builtins" | "__builtin__", "object")), None):
            return make_empty(made, Row((), is_plain=True))
        case _:
            pass
    raise Unreadable("copyreg._reconstructor does not begin with an object")


# The calls, one by one: each takes the arguments, and returns what is made if more is known of it.


def _make_dictionary(arguments: Arguments) -> Made:
    match arguments:
        case () | (Gathering("list"),):
            pairs: list[object] = []
            first = _take_list(arguments[0]) if arguments else []
            for item in first:
                items = item.items if isinstance(item, Row | Gathering) else ()
                demand(len(items) == 2, "a pair is not one")  # noqa: PLR2004
                pairs += items
            return Made(("collections", "OrderedDict"), Row((), is_plain=True), Table(pairs))
        case _:
            pass
    raise Unreadable("its arguments are not pairs")


def _take_list(items: object) -> list[object]:
    """Return the items of a list that no other call takes: else a few bytes copy it often."""
    if not isinstance(items, Gathering) or items.frozen:
        raise Unreadable("its argument is not a list of its own")
    items.frozen = True
    return items.items


def _make_default_dictionary(arguments: Arguments) -> Made:
    match arguments:
        case () | (Named(_, is_value=True) | None,):
            return Made(("collections", "defaultdict"), Row((), is_plain=True), Table())
        case _:
            pass
    raise Unreadable("its factory is not a type of numbers")


def _make_set(arguments: Arguments) -> Gathering:
    match arguments:
        case (Gathering("list") as items,):
            return Gathering("set", list(_take_list(items)))
        case _:
            pass
    raise Unreadable("its argument is not a list")


def _encode(arguments: Arguments) -> Data:
    match arguments:
        case (str(text), "latin1" | "latin-1"):
            return Data(len(text), text.encode("ascii") if len(text) == 1 else None)
        case (Text(characters, is_latin), "latin1" | "latin-1"):
            demand(is_latin, "its text has other characters")
            return Data(characters)
        case _:
            pass
    raise Unreadable("it encodes by another codec than latin-1")


def _make_bytes(arguments: Arguments) -> None:
    match arguments:
        case () | (Data(),):
            return
        case (str(), "latin-1" | "latin1"):
            raise Unreadable("it is of protocol 2: save it with protocol 4")
        case _:
            pass
    raise Unreadable("its argument is not bytes")


def _make_slice(arguments: Arguments) -> None:
    demand(len(arguments) <= 3, "it has too many arguments")  # noqa: PLR2004
    demand(all(item is None or isinstance(item, int | str) for item in arguments), "no bounds")


def _make_number(arguments: Arguments) -> None:
    demand(all(isinstance(item, int | float) for item in arguments), "its arguments are no numbers")


def _make_date(arguments: Arguments) -> None:
    match arguments:
        case (Data(4 | 10),):
            return
        case _:
            pass
    raise Unreadable("its argument is not a date")


def _make_array(arguments: Arguments) -> Made:
    match arguments:
        case (Named(("numpy", "ndarray")), Row((0,)), Data(1, b"b") | "b"):
            return Made(("numpy", "ndarray"), Row((), is_plain=True), is_whole=False)
        case _:
            pass
    raise Unreadable("it does not begin with an empty array")


def _make_masked_array(arguments: Arguments) -> Made:
    match arguments:
        case (
            Named(("numpy.ma" | "numpy.ma.core", "MaskedArray")),
            Named(("numpy", "ndarray")),
            Row((0,)),
            Data(1, b"b") | "b",
        ):
            return Made(("numpy.ma", "MaskedArray"), Row((), is_plain=True), is_whole=False)
        case _:
            pass
    raise Unreadable("it does not begin with an empty array")


def _make_type(arguments: Arguments) -> NumpyType:
    match arguments:
        case (str(code), (False | 0), (True | 1)) if _CODE.fullmatch(code):
            digits = int(code[1:])
            return NumpyType(code, digits * (4 if code[0] == "U" else 1), code[0] == "O")
        case _:
            pass
    raise Unreadable("its type is not one of numbers, texts or objects")


def _make_scalar(arguments: Arguments) -> None:
    match arguments:
        case (NumpyType(is_object=False, width=width), Data(size)) if width == size and width:
            return
        case _:
            pass
    raise Unreadable("its bytes are not one number of the type")


def _make_from_buffer(arguments: Arguments) -> Made:
    match arguments:
        case (buffer, NumpyType(is_object=False) as kind, Row() as shape, "C" | "F", *rest):
            demand(measure_bytes(buffer) == kind.width * prod(list_numbers(shape)), "another size")
            demand(all(item is None for item in rest), "it has more arguments")
            return Made(("numpy", "ndarray"), Row((), is_plain=True), is_built=True)
        case _:
            pass
    raise Unreadable("its buffer is not an array")


def _make_bits(arguments: Arguments) -> Made:
    match arguments:
        case (str(name),) if name in _BITS:
            return Made(("numpy.random._pickle", "bits"), Row((), is_plain=True))
        case (Named((module, name)),) if _BITS.get(name) == module:
            return Made(("numpy.random._pickle", "bits"), Row((), is_plain=True))
        case _:
            pass
    raise Unreadable("it does not name a generator of NumPy")


def _make_generator(arguments: Arguments) -> None:
    match arguments:
        case (Made(("numpy.random._pickle", "bits")),):
            return
        case _:
            pass
    raise Unreadable("its argument was not made as a generator of NumPy")


def _make_seed(arguments: Arguments) -> None:
    match arguments:
        case (Named(("numpy.random.bit_generator", "SeedSequence")), int(), None):
            return
        case _:
            pass
    raise Unreadable("it makes something other than a SeedSequence")


def _make_tree(arguments: Arguments) -> None:
    match arguments:
        case (int(), Made(("numpy", "ndarray")), int()):
            return
        case _:
            pass
    raise Unreadable("its arguments are not those of a tree")


def _make_object(module: str) -> Callable[[Arguments], None]:
    """Return the check of Cython's newObj, which makes an empty object of a class."""

    def check(arguments: Arguments) -> None:
        match arguments:
            case (Named((asked, _) as pair),) if asked == module and pair in _MADE_OF_TYPES:
                return
            case _:
                pass
        raise Unreadable("it makes an object of another class")

    return check


_CALLS: Final[Mapping[Pair, Callable[[Arguments], object]]] = {
    ("collections", "OrderedDict"): _make_dictionary,
    ("collections", "defaultdict"): _make_default_dictionary,
    ("builtins", "set"): _make_set,
    ("__builtin__", "set"): _make_set,
    ("builtins", "frozenset"): _make_set,
    ("__builtin__", "frozenset"): _make_set,
    ("builtins", "bytearray"): _make_bytes,
    ("builtins", "slice"): _make_slice,
    ("builtins", "complex"): _make_number,
    ("__builtin__", "complex"): _make_number,
    ("_codecs", "encode"): _encode,
    ("datetime", "date"): _make_date,
    ("datetime", "datetime"): _make_date,
    ("numpy", "dtype"): _make_type,
    ("numpy.ma.core", "_mareconstruct"): _make_masked_array,
    ("numpy.random._pickle", "__bit_generator_ctor"): _make_bits,
    ("numpy.random._pickle", "__generator_ctor"): _make_generator,
    ("numpy.random._pickle", "__randomstate_ctor"): _make_generator,
    ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"): _make_seed,
    ("sklearn.tree._tree", "Tree"): _make_tree,
    **{
        (f"sklearn.{module}", "newObj"): _make_object(f"sklearn.{module}")
        for module in ("metrics._dist_metrics", "neighbors._kd_tree", "neighbors._ball_tree")
    },
    **{
        ("sklearn._loss._loss", f"Cy{name}"): _make_number
        for name in (
            *("AbsoluteError", "ExponentialLoss", "HalfBinomialLoss", "HalfGammaLoss", "HuberLoss"),
            *("HalfMultinomialLoss", "HalfPoissonLoss", "HalfSquaredError", "HalfTweedieLoss"),
            *("HalfTweedieLossIdentity", "PinballLoss"),
        )
    },
    **{
        ("sklearn.linear_model._sgd_fast", name): _make_number
        for name in ("Hinge", "SquaredHinge", "EpsilonInsensitive", "SquaredEpsilonInsensitive")
    },
    **TORCH_CALLS,
    **{
        (f"numpy.{core}.{module}", name): check
        for core in ("core", "_core")
        for module, name, check in (
            ("multiarray", "_reconstruct", _make_array),
            ("multiarray", "scalar", _make_scalar),
            ("numeric", "_frombuffer", _make_from_buffer),
        )
    },
}
