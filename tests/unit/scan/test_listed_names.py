"""Every listed name is refused with arguments, and with a state, that its code was not read for."""

import pytest

from airgap.scan.pickle_calls import _CALLS, WRAPPER, call, find_named, make_empty
from airgap.scan.pickle_operations import Data, Text
from airgap.scan.pickle_states import build
from airgap.scan.pickle_values import (
    Gathering,
    Made,
    Named,
    NumpyType,
    Pair,
    Row,
    Storage,
    Table,
    list_numbers,
    measure_bytes,
)
from airgap.scan.torch_calls import parse_storage
from airgap.scan.verdicts import Unreadable

EMPTY = Row((), is_plain=True)
FUNCTION = Named(("torch._utils", "_rebuild_tensor_v2"))
NDARRAY = Named(("numpy", "ndarray"))
FLOAT = NumpyType("f8", 8, is_object=False)
OBJECT = NumpyType("O8", 8, is_object=True)


def row(*items: object) -> Row:
    return Row(items, is_plain=True)


@pytest.mark.parametrize("pair", sorted(_CALLS), ids=".".join)
def test_a_call_with_other_arguments_is_refused(pair: Pair) -> None:
    named = find_named(pair)
    for arguments in (row(FUNCTION, FUNCTION, FUNCTION, FUNCTION), row(Table(), Table())):
        with pytest.raises(Unreadable, match=pair[1]):
            call(named, arguments)
    with pytest.raises(Unreadable, match="other than a tuple"):
        call(named, Table())


@pytest.mark.parametrize(
    ("pair", "arguments"),
    [
        (("collections", "OrderedDict"), row(Gathering("list", [row("a")]))),
        (("_codecs", "encode"), row(Text(2, is_latin=False), "latin1")),
        (("_codecs", "encode"), row(Data(7), "latin1")),
        (("builtins", "slice"), row(*[None] * 17)),
        (("builtins", "bytearray"), row("a", "latin-1")),
        (("copyreg", "_reconstructor"), row(FUNCTION, FUNCTION, None)),
        (("torch", "device"), row("cuda:0", "x")),
    ],
)
def test_arguments_that_are_nearly_right_are_refused(pair: Pair, arguments: Row) -> None:
    with pytest.raises(Unreadable):
        call(find_named(pair), arguments)


def test_what_is_right_is_made() -> None:
    pairs = Gathering("list", [row("a", 1)])
    made = call(find_named(("collections", "OrderedDict")), row(pairs))
    assert isinstance(made, Made)
    assert made.table is not None
    assert made.table.items == ["a", 1]
    with pytest.raises(Unreadable, match="of its own"):
        call(find_named(("builtins", "set")), row(pairs))
    assert call(find_named(("collections", "defaultdict")), EMPTY)
    assert call(find_named(("builtins", "complex")), row(1.0, 2.0))
    assert call(find_named(("builtins", "bytearray")), row(Data(3)))
    assert call(find_named(("torch", "device")), row("cuda", 0))
    assert call(find_named(("numpy.random._pickle", "__bit_generator_ctor")), row("PCG64"))
    tree = find_named(("sklearn.tree._classes", "DecisionTreeClassifier"))
    base = find_named(("builtins", "object"))
    assert call(find_named(("copyreg", "_reconstructor")), row(tree, base, None))


def test_only_listed_classes_are_made_empty() -> None:
    for made, arguments in ((FUNCTION, EMPTY), (Table(), EMPTY), (FUNCTION, row(1))):
        with pytest.raises(Unreadable):
            make_empty(made, arguments)
    for called in (Table(), Named(("builtins", "object"))):
        with pytest.raises(Unreadable):
            call(called, EMPTY)


def array() -> Made:
    return Made(("numpy", "ndarray"), EMPTY)


def masked() -> Made:
    return Made(("numpy.ma", "MaskedArray"), EMPTY)


@pytest.mark.parametrize(
    ("target", "state"),
    [
        (Table(), Table()),
        (array(), row(1, 2)),
        (array(), row(1, row(2), FLOAT, 0, Data(8))),
        (array(), row(1, row(2), OBJECT, 0, Data(16))),
        (array(), row(1, row(2), OBJECT, 0, Gathering("list", [1]))),
        (masked(), row(1)),
        (masked(), row(1, row(1), FLOAT, 0, Data(8), Data(2), None)),
        (masked(), row(1, row(1), OBJECT, 0, Gathering("list", [1]), Data(2), None)),
        (masked(), row(1, row(1), FLOAT, 0, Data(8), Data(1), FUNCTION)),
        (Made(("numpy.random._pickle", "bits"), EMPTY), Table()),
        (Made(("builtins", "set"), EMPTY), Table()),
        (Made(("sklearn.tree._tree", "Tree"), EMPTY), row(1)),
        (Made(WRAPPER, EMPTY), row(1)),
        (NumpyType("f8", 8, is_object=False), row(1)),
        (NumpyType("M8", 8, is_object=False), row(4, "<", None, None, None, -1, -1, 0, 1)),
        (NumpyType("V8", 8, is_object=False), row(3, "|", None, row("a"), Table(), 9, 1, 0)),
        (NumpyType("V8", 8, is_object=False), row(3, "|", None, row("a"), Table(), 8, 1, 0)),
        (
            NumpyType("V8", 8, is_object=False),
            row(3, "|", None, row("a"), Table(["a", row(OBJECT, 0)]), 8, 1, 0),
        ),
        (
            NumpyType("V8", 8, is_object=False),
            row(3, "|", None, row("a"), Table(["a", row(FLOAT, 1)]), 8, 1, 0),
        ),
    ],
)
def test_another_state_is_refused(target: object, state: object) -> None:
    with pytest.raises(Unreadable):
        build(target, state)


def test_a_masked_array_of_objects_is_filled() -> None:
    build(masked(), row(1, row(1), OBJECT, 0, Gathering("list", [1]), Data(1), None))
    build(
        Made(("collections", "OrderedDict"), EMPTY),
        Made(("collections", "OrderedDict"), EMPTY, Table()),
    )


@pytest.mark.parametrize(
    "identity",
    [
        "x",
        row("module", NDARRAY, "0", "cpu", 4),
        row("storage", NDARRAY, "0", "cpu", 4),
        row("storage", Named(("torch", "FloatStorage")), "../0", "cpu", 4),
        row("storage", Named(("torch", "FloatStorage")), "0", "file:x", 4),
    ],
)
def test_only_storages_are_stored_beside_a_pickle(identity: object) -> None:
    with pytest.raises(Unreadable):
        parse_storage(identity)


def test_values_are_checked_for_what_they_are() -> None:
    numbers = Gathering("list", [1, 2])
    assert list_numbers(numbers) == [1, 2]
    assert numbers.frozen
    assert measure_bytes(Made(("builtins", "bytearray"), EMPTY)) == 0
    for shape in (row(-1), row("a"), 5, row(*[1] * 65)):
        with pytest.raises(Unreadable):
            list_numbers(shape)
    with pytest.raises(Unreadable):
        measure_bytes("text")


def test_tensors_lie_within_their_storage() -> None:
    hooks = Made(("collections", "OrderedDict"), EMPTY, Table())
    storage = Storage("0", 4, 4)
    rebuild = find_named(("torch._utils", "_rebuild_tensor_v2"))
    good = (storage, 0, row(2, 2), row(2, 1), False, hooks)
    assert call(rebuild, row(*good))
    full = Made(("collections", "OrderedDict"), EMPTY, Table(["a", 1]))
    for bad in (
        (storage, 1, *good[2:]),
        (storage, -1, *good[2:]),
        (*good[:3], row(2), *good[4:]),
        (*good[:5], full),
        (*good, 1),
    ):
        with pytest.raises(Unreadable):
            call(rebuild, row(*bad))
