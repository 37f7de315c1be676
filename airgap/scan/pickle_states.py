"""Which state a pickle may give to what it has made.

As with calls, a state is listed after the code that takes it was read (`pickle_calls`).
"""

from math import prod
from typing import Final

from airgap.scan.filled_classes import FILLED_CLASSES
from airgap.scan.pickle_calls import WRAPPER
from airgap.scan.pickle_values import (
    Gathering,
    Made,
    NumpyType,
    Row,
    Table,
    demand,
    is_plain,
    list_numbers,
    measure_bytes,
)
from airgap.scan.verdicts import Unreadable

__all__ = ["build"]

_MOST_FIELDS: Final = 256


def build(target: object, state: object) -> None:
    """Give a state to what was made; raises Unreadable unless that is listed as it is."""
    if isinstance(target, NumpyType):
        _build_type(target, state)
        return
    if not isinstance(target, Made):
        raise Unreadable("it fills what it has not made")
    name = ".".join(target.pair)
    demand(not target.is_built, f"it fills {name} twice")
    target.is_built = target.is_whole = True
    if target.pair == ("numpy", "ndarray"):
        _build_array(state)
    elif target.pair == ("numpy.ma", "MaskedArray"):
        _build_masked_array(state)
    elif target.pair in _BUILT_OF_ROWS:
        demand(is_plain(state) and not isinstance(state, Table), f"{name} has another state")
    elif target.pair in _BUILT_OF_TABLES or target.pair in FILLED_CLASSES or target.pair == WRAPPER:
        _build_attributes(target, state)
    else:
        raise Unreadable(f"it fills {name}")


_BUILT_OF_ROWS: Final = frozenset(
    {
        ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"),
        *(
            (f"sklearn.{module}", "newObj")
            for module in ("metrics._dist_metrics", "neighbors._kd_tree", "neighbors._ball_tree")
        ),
        ("numpy.random._pickle", "bits"),
    }
)
_BUILT_OF_TABLES: Final = frozenset(
    {
        ("collections", "OrderedDict"),
        ("sklearn.tree._tree", "Tree"),
        ("numpy.random._pickle", "__generator_ctor"),
        ("numpy.random._pickle", "__randomstate_ctor"),
    }
)


def _build_attributes(target: Made, state: object) -> None:
    if isinstance(state, Made) and state.pair == ("collections", "OrderedDict"):
        state = state.table
    demand(isinstance(state, Table), f"{'.'.join(target.pair)} gets something else than attributes")
    assert isinstance(state, Table)  # noqa: S101 -- for the type checker
    attributes = state.as_state()
    target.arguments = Row((attributes,), is_plain=True)


def _build_type(target: NumpyType, state: object) -> None:
    demand(not target.is_built, "it fills numpy.dtype twice")
    target.is_built = True
    match state:
        case Row((3, "<" | ">" | "|" | "=", None, None, None, -1, -1, flags)):
            demand(flags == (63 if target.is_object else 0), "a type of NumPy has other flags")
        case Row((4, "<" | ">", None, None, None, -1, -1, 0, Row() as unit)):
            demand(target.code[0] in "mM" and unit.is_plain, "a type of NumPy has other metadata")
        case Row((3, "|", None, Row(names), Table() as fields, int(width), int(), (0 | 16))):
            fields.frozen = True
            demand(target.code == f"V{width}", "a type of NumPy has another width")
            _check_fields(names, fields, width)
        case _:
            raise Unreadable("a type of NumPy has another state")


def _check_fields(names: tuple[object, ...], fields: Table, width: int) -> None:
    demand(len(names) <= _MOST_FIELDS, "a type of NumPy has too many fields")
    demand(fields.items[::2] == [*names], "a type of NumPy has other fields")
    demand(len(set(names)) == len(names), "a type of NumPy has a field twice")
    for name, value in fields.pairs:
        match name, value:
            case str(), Row((NumpyType(is_object=False) as kind, int(offset))):
                demand(0 <= offset <= width - kind.width, "a field lies outside of its type")
            case _:
                raise Unreadable("a field of a type of NumPy is not one")


def _build_array(state: object) -> None:
    match state:
        case Row((1, shape, NumpyType() as kind, bool() | int(), data)):
            count = prod(list_numbers(shape))
            if kind.is_object:
                demand(isinstance(data, Gathering) and data.kind == "list", "no list of objects")
                assert isinstance(data, Gathering)  # noqa: S101 -- for the type checker
                data.frozen = True
                demand(len(data.items) == count, "an array has another size than its shape")
            else:
                demand(measure_bytes(data) == count * kind.width, "an array has another size")
            return
        case _:
            pass
    raise Unreadable("an array of NumPy has another state")


def _build_masked_array(state: object) -> None:
    match state:
        case Row((1, shape, NumpyType(is_object=False), bool() | int(), data, mask, fill)):
            _build_array(Row((1, shape, state.items[2], False, data), is_plain=True))
            demand(measure_bytes(mask) == prod(list_numbers(shape)), "a mask has another size")
            demand(is_plain(fill), "a masked array is filled with something else than a value")
            return
        case Row((1, shape, NumpyType(is_object=True) as kind, bool() | int(), data, mask, fill)):
            _build_array(Row((1, shape, kind, False, data), is_plain=True))
            demand(measure_bytes(mask) == prod(list_numbers(shape)), "a mask has another size")
            demand(is_plain(fill), "a masked array is filled with something else than a value")
            return
        case _:
            pass
    raise Unreadable("a masked array of NumPy has another state")
