"""Follows a pickle without loading it: what it asks for, what it calls, where it ends.

The machine below keeps the stack and the memo of a real reader (`pickletools` has its operations),
with descriptions in the place of values. It does what writers write and refuses the rest, even
where readers would accept it: readers differ there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from airgap.scan.contents import Content
from airgap.scan.joblib_arrays import parse_wrapper
from airgap.scan.pickle_calls import (
    WRAPPER,
    call,
    find_named,
    make_empty,
)
from airgap.scan.pickle_operations import Data, Operation, Text, read_operation
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
    demand,
    is_plain,
)
from airgap.scan.torch_calls import parse_storage
from airgap.scan.verdicts import Judgment, Unreadable, inert, refused

__all__ = ["Pickle", "follow_pickle", "has_pickle_mark", "judge_pickle"]

_OLD_TORCH: Final = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_PROTOCOLS: Final = tuple(bytes([0x80, number]) for number in range(2, 6))
_MOST_NAMES: Final = 10_000
_DEEPEST: Final = 200


_NO_ROW: Final = Row((), is_plain=True)
_FOREIGN: Final = object()
"""What another pickle made."""


class _StopError(Unreadable):
    """No reader goes on here, however lenient it is."""


@dataclass(slots=True)
class Pickle:
    """What a pickle does: the names it asks for, stored tensors, and where it ends."""

    names: set[Pair] = field(default_factory=set)
    storages: list[Storage] = field(default_factory=list)
    end: int = 0


def has_pickle_mark(content: Content) -> bool:
    """Tell whether a content begins as pickles from protocol 2 on do."""
    return content.read(0, 2) in _PROTOCOLS


def judge_pickle(content: Content, form: str = "pickle") -> Judgment:
    """Judge a content that is one pickle, from its first byte to its last one."""
    if content.read(0, len(_OLD_TORCH)) == _OLD_TORCH:
        return refused("old torch", "it is of torch before 1.6: load it there and save it again")
    try:
        pickle = follow_pickle(content)
    except Unreadable as error:
        return refused(form, str(error))
    if pickle.end != content.size:
        return refused(form, f"{content.size - pickle.end:,} bytes follow the end of the pickle")
    return inert(form)


def follow_pickle(
    content: Content, offset: int = 0, *, may_store: bool = False, is_nested: bool = False
) -> Pickle:
    """Follow a pickle from an offset to its STOP.

    Args:
        content: what holds it.
        offset: where it begins.
        may_store: whether tensors may lie beside it, as in an archive of torch.
        is_nested: whether it lies within another pickle, as objects in an array of joblib do.

    Raises:
        Unreadable: it asks for what is not listed, or cannot be followed.
    """
    machine = _Machine(content, may_store=may_store, is_nested=is_nested)
    machine.follow(offset)
    return machine.pickle


class _Machine:
    """The stack, the marked stacks below it, and the memo."""

    def __init__(self, content: Content, *, may_store: bool, is_nested: bool) -> None:
        self.pickle = Pickle()
        self._content = content
        self._may_store = may_store
        self._is_nested = is_nested
        self._stack: list[object] = []
        self._marked: list[list[object]] = []
        self._memo: list[object] = []
        self._has_numbered_memo = False
        self._frame_end: int | None = None
        self._end = 0
        """Where the operation ends that is being run."""

    def follow(self, offset: int) -> None:
        """Run operations from an offset on, to STOP."""
        begin = offset
        while True:
            operation = read_operation(self._content, offset)
            offset = self._end = operation.end
            if self._frame_end is not None or operation.name == "FRAME":
                self._keep_to_frame(operation)
            if operation.name == "STOP":
                break
            if operation.name == "PROTO":
                self._check_protocol(operation, begin)
            else:
                self._run(operation)
            offset = self._end
        demand(self._frame_end is None, "it ends within a frame")
        value = self._pop_value()
        demand(is_plain(value), "its value is a function or a class")
        demand(
            self._is_nested or not (self._stack or self._marked), "it leaves values on the stack"
        )
        self.pickle.end = offset

    def _check_protocol(self, operation: Operation, begin: int) -> None:
        demand(operation.end == begin + 2, "a protocol is not at its beginning")
        demand(operation.argument in range(2, 6), "its protocol is not known")

    def _keep_to_frame(self, operation: Operation) -> None:
        """Demand that frames hold whole operations: all readers see the same then."""
        if operation.name == "FRAME":
            demand(self._frame_end is None, "a frame is within a frame")
            assert isinstance(operation.argument, int)  # noqa: S101 -- for the type checker
            self._frame_end = operation.end + operation.argument
            self._content.demand(operation.end, operation.argument)
        elif self._frame_end is not None:
            demand(operation.end <= self._frame_end, "an operation crosses the end of a frame")
        if self._frame_end == operation.end:
            self._frame_end = None

    def _run(self, operation: Operation) -> None:
        if operation.name in _CONSTANTS:
            self._stack.append(operation.argument)
            return
        run = self._operations.get(operation.name)
        if run is None:
            raise Unreadable(f"it has the operation {operation.name}, which models do not need")
        run(self, operation.argument)

    def _pop_value(self) -> object:
        demand(self._stack, "it takes a value from an empty stack")
        return self._stack.pop()

    def _top(self) -> object:
        demand(self._stack, "it uses a value of an empty stack")
        return self._stack[-1]

    def _pop_marked(self) -> list[object]:
        demand(self._marked, "it goes back to a mark that is not there")
        values = self._stack
        self._stack = self._marked.pop()
        return values

    # What each operation does, by its name.

    def _mark(self, _: object) -> None:
        self._marked.append(self._stack)
        self._stack = []

    def _pop(self, _: object) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._pop_marked()

    def _push(self, value: object) -> None:
        self._stack.append(value)

    def _push_row(self, *items: object) -> None:
        depth = 1 + max((item.depth for item in items if isinstance(item, Row)), default=0)
        demand(depth <= _DEEPEST, "its tuples are nested too deeply")
        self._stack.append(Row(items, all(map(is_plain, items)), depth))

    def _push_row_1(self, _: object) -> None:
        self._push_row(self._pop_value())

    def _push_row_2(self, _: object) -> None:
        second, first = self._pop_value(), self._pop_value()
        self._push_row(first, second)

    def _push_row_3(self, _: object) -> None:
        third, second, first = self._pop_value(), self._pop_value(), self._pop_value()
        self._push_row(first, second, third)

    def _push_collection(self, kind: str) -> None:
        values = self._pop_marked()
        _demand_plain(values)
        self._stack.append(Gathering(kind, values))

    def _push_table(self, _: object) -> None:
        items = self._pop_marked()  # which replaces the stack
        _demand_pairs(items)
        self._stack.append(Table(items))

    def _add(self, values: list[object], kind: str) -> None:
        target = self._top()
        if not isinstance(target, Gathering) or target.kind != kind:
            raise Unreadable(f"it adds to something other than a {kind}")
        demand(not target.frozen, f"it adds to a {kind} that is in use")
        _demand_plain(values)
        target.items.extend(values)

    def _append(self, _: object) -> None:
        self._add([self._pop_value()], "list")

    def _append_marked(self, _: object) -> None:
        self._add(self._pop_marked(), "list")

    def _add_marked(self, _: object) -> None:
        self._add(self._pop_marked(), "set")

    def _set_item(self, _: object) -> None:
        value, key = self._pop_value(), self._pop_value()
        self._set([key, value])

    def _set_marked(self, _: object) -> None:
        self._set(self._pop_marked())

    def _set(self, values: list[object]) -> None:
        target = self._top()
        table = target.table if isinstance(target, Made) else target
        if not isinstance(table, Table):
            raise Unreadable("it sets an item of something other than a dictionary")
        demand(not table.frozen, "it changes a dictionary that is in use")
        _demand_pairs(values)
        table.items += values

    def _memoize(self, _: object) -> None:
        demand(not self._has_numbered_memo, "it mixes two kinds of memo")
        self._memo.append(self._top())

    def _put(self, key: object) -> None:
        self._has_numbered_memo = True
        demand(key == len(self._memo), "it reuses its memo, or leaves gaps in it")
        self._memo.append(self._top())

    def _get(self, key: object) -> None:
        if not isinstance(key, int) or not 0 <= key < len(self._memo):
            raise _StopError("it recalls what it did not put into its memo")
        self._stack.append(self._memo[key])

    def _ask(self, argument: object) -> None:
        assert isinstance(argument, tuple)  # noqa: S101 -- for the type checker
        module, name = argument
        self._ask_for(str(module), str(name))

    def _ask_of_stack(self, _: object) -> None:
        name, module = self._pop_value(), self._pop_value()
        demand(not isinstance(name, Text) and not isinstance(module, Text), "a name is too long")
        if not (isinstance(name, str) and isinstance(module, str)):
            raise _StopError("it asks for a name that it computes")
        self._ask_for(module, name)

    def _ask_for(self, module: str, name: str) -> None:
        self.pickle.names.add((module, name))
        demand(len(self.pickle.names) <= _MOST_NAMES, "it asks for too many names")
        self._stack.append(find_named((module, name)))

    def _load_stored(self, _: object) -> None:
        demand(self._may_store, "it asks its reader for an object")
        stored = parse_storage(self._pop_value())
        self.pickle.storages.append(stored)
        self._stack.append(stored)

    def _call(self, _: object) -> None:
        arguments, called = self._pop_value(), self._pop_value()
        self._stack.append(call(called, arguments))

    def _new(self, _: object) -> None:
        arguments, made = self._pop_value(), self._pop_value()
        self._stack.append(make_empty(made, arguments))

    def _build(self, _: object) -> None:
        state = self._pop_value()
        target = self._top()
        if isinstance(target, Made) and target.pair == WRAPPER:
            demand(isinstance(state, Table) and not target.is_built, "an array of joblib is odd")
            assert isinstance(state, Table)  # noqa: S101 -- for the type checker
            target.is_built = True
            self._stack[-1] = self._read_wrapped(state)
            return
        build(target, state)

    def _read_wrapped(self, state: Table) -> object:
        """Go behind an array that follows in the file, or follow the pickle of its objects."""
        demand(self._frame_end is None, "an array lies within a frame")
        demand(not self._is_nested, "an array is within an array")
        array = parse_wrapper(state.as_state())
        if array.is_object:
            self._follow_plain()
            nested = follow_pickle(self._content, self._end, is_nested=True)
            self.pickle.names |= nested.names
            self._end = nested.end
        else:
            self._end = array.find_end(self._content, self._end)
        return Made(("numpy", "ndarray"), Row((), is_plain=True), is_built=True)

    def _follow_plain(self) -> None:
        """Follow the same bytes as a reader does that takes both pickles for one.

        Its memo is the outer one. It may end where every reader fails: at a name that is not made
        of two texts, and at what the memo lacks. What it gets from the outer pickle is not looked
        into: what uses it is refused.
        """
        count = len(self._memo) + len(self._stack) + len(self._marked)
        self._content.budget.spend(count + sum(map(len, self._marked)))
        machine = _Machine(self._content, may_store=False, is_nested=True)
        machine._stack = _blur(self._stack)
        machine._marked = [_blur(values) for values in self._marked]
        machine._memo = _blur(self._memo)
        try:
            machine.follow(self._end)
        except _StopError:
            return
        except Unreadable as error:
            raise Unreadable(f"without joblib, {error}") from error

    _operations: ClassVar[Mapping[str, Callable[["_Machine", object], None]]] = {
        "FRAME": lambda *_: None,
        "MARK": _mark,
        "POP": _pop,
        "POP_MARK": lambda self, _: _drop(self._pop_marked()),
        "NONE": lambda self, _: self._push(None),
        "NEWTRUE": lambda self, _: self._push(True),  # noqa: FBT003
        "NEWFALSE": lambda self, _: self._push(False),  # noqa: FBT003
        "EMPTY_LIST": lambda self, _: self._push(Gathering("list")),
        "EMPTY_SET": lambda self, _: self._push(Gathering("set")),
        "EMPTY_DICT": lambda self, _: self._push(Table()),
        "EMPTY_TUPLE": lambda self, _: self._push(_NO_ROW),
        "TUPLE1": _push_row_1,
        "TUPLE2": _push_row_2,
        "TUPLE3": _push_row_3,
        "TUPLE": lambda self, _: self._push_row(*self._pop_marked()),
        "LIST": lambda self, _: self._push_collection("list"),
        "FROZENSET": lambda self, _: self._push_collection("frozenset"),
        "DICT": _push_table,
        "APPEND": _append,
        "APPENDS": _append_marked,
        "ADDITEMS": _add_marked,
        "SETITEM": _set_item,
        "SETITEMS": _set_marked,
        "MEMOIZE": _memoize,
        "PUT": _put,
        "BINPUT": _put,
        "LONG_BINPUT": _put,
        "GET": _get,
        "BINGET": _get,
        "LONG_BINGET": _get,
        "GLOBAL": _ask,
        "STACK_GLOBAL": _ask_of_stack,
        "NEWOBJ": _new,
        "REDUCE": _call,
        "BUILD": _build,
        "BINPERSID": _load_stored,
    }


_CONSTANTS: Final = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "BINUNICODE8"),
        *("SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    }
)


def _drop(_: object) -> None:
    pass


def _demand_plain(values: list[object]) -> None:
    """Demand values that may be kept: no function or class, no unfinished array or type."""
    demand(all(map(is_plain, values)), "it keeps a function or a class as a value")


def _blur(values: list[object]) -> list[object]:
    """Return the values as another pickle sees them: names and texts, and what is not looked at."""
    return [value if isinstance(value, str | Text | Named) else _FOREIGN for value in values]


def _demand_pairs(values: list[object]) -> None:
    """Demand keys and values of a dictionary, by turns."""
    demand(len(values) % 2 == 0, "a key of a dictionary has no value")
    for index in range(0, len(values), 2):
        key, value = values[index], values[index + 1]
        demand(_may_be_key(key), "a key of a dictionary is neither a text nor a number")
        is_array = isinstance(value, Named) and value.pair == ("numpy", "ndarray")
        demand(is_plain(value) or (key == "subclass" and is_array), "it keeps a class as a value")


def _may_be_key(key: object) -> bool:
    """Tell whether a key is one that no other value is equal to."""
    if isinstance(key, Row):
        return key.is_plain
    return key is None or isinstance(key, str | int | float | Data | Text | Made | NumpyType)
