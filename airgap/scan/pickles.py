"""Follows a pickle without loading it: what it asks for, what it calls, where it ends.

The machine below keeps the stack and the memo of the real one (`pickletools` has its operations),
with names in the place of what they stand for. So what is refused is what would have been called,
however it reaches the stack. What the machine cannot follow is refused.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar, Final

from airgap.scan import array_wrappers
from airgap.scan.allowed_globals import is_allowed, may_be_called
from airgap.scan.contents import Content, Unreadable
from airgap.scan.pickle_operations import read_operations
from airgap.scan.pickle_values import DATA, Asked, Made, Stored
from airgap.scan.verdicts import Assessment, inert, refused

__all__ = ["Pickle", "assess_pickle", "describe", "follow_pickle", "looks_like_pickle"]

# What a pickle within a pickle asks for when its memo is taken for the outer one's: the name is an
# array's, the module is any text. Nothing that has such a name in any module does harm.
_OF_ARRAYS: Final = re.compile(r"\.(?:_reconstruct|dtype|ndarray|scalar)$")
_PROTOCOLS: Final = tuple(bytes([0x80, number]) for number in range(6))
_OLD_TORCH: Final = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_MOST_NAMES: Final = 10_000
_RECONSTRUCTORS: Final = frozenset({"copyreg._reconstructor", "copy_reg._reconstructor"})
_BASES: Final = re.compile(
    r"(?:builtins|__builtin__)\.(?:object|dict|list|tuple|int|float|str|set)"
)
_ACTS: Final = frozenset({"GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"})
_FROM_TYPE: Final = "torch._tensor._rebuild_from_type_v2"


@dataclass(slots=True)
class Pickle:
    """What a pickle does: the names it asks for, faults, stored tensors, and where it ends.

    ``end`` is 0 when it was not followed to its STOP.
    """

    names: set[str] = field(default_factory=set)
    faults: dict[str, None] = field(default_factory=dict)
    storages: list[Stored] = field(default_factory=list)
    calls: bool = False
    """Whether anything would have been called, or filled."""
    end: int = 0

    def add_fault(self, text: str) -> None:
        """Record a fault once."""
        self.faults[text] = None


def looks_like_pickle(content: Content) -> bool:
    """Tell whether a reader of pickles would load the content, or run something until it fails.

    Pickles of protocols 0 and 1 have no mark, and can be written as texts.
    """
    if content.read(0, 2) in _PROTOCOLS:
        return True
    machine = _Machine(content, may_store=False)
    with suppress(Unreadable):
        machine.follow(0)
    return machine.pickle.calls or (machine.pickle.end > 0 and bool(machine.pickle.names))


def assess_pickle(content: Content, form: str = "pickle") -> Assessment:
    """Assess a content that is one pickle, from its first byte to its last one."""
    if content.read(0, len(_OLD_TORCH)) == _OLD_TORCH:
        return refused("old torch", "it is of torch before 1.6: load it there and save it again")
    return describe(follow_pickle(content, is_whole=True), form)


def describe(pickle: Pickle, form: str) -> Assessment:
    """Return the assessment about a pickle that was followed."""
    if pickle.faults:
        return Assessment("refused", form, tuple(pickle.faults))
    if not pickle.names:
        return inert(form)
    return Assessment("listed", form)


def follow_pickle(
    content: Content, offset: int = 0, *, is_whole: bool = False, stored: bool = False
) -> Pickle:
    """Follow a pickle from an offset to its STOP, or to where it cannot be followed: a fault.

    Args:
        content: what holds it.
        offset: where it begins.
        is_whole: whether bytes behind its end are a fault.
        stored: whether tensors may lie beside it, as in an archive of torch.
    """
    machine = _Machine(content, may_store=stored)
    pickle = machine.pickle
    try:
        machine.follow(offset)
    except Unreadable as error:
        pickle.add_fault(str(error))
    else:
        if is_whole and pickle.end != content.size:
            pickle.add_fault(f"{content.size - pickle.end:,} bytes follow the end of the pickle")
    return pickle


_CONSTANTS: Final = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "BINUNICODE8"),
        *("SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    }
)


class _Machine:
    """The stack, the marked stacks below it, and the memo."""

    def __init__(self, content: Content, *, may_store: bool) -> None:
        self.pickle = Pickle()
        self._content = content
        self._may_store = may_store
        self._stack: list[object] = []
        self._marked: list[list[object]] = []
        self._memo: dict[int, object] = {}

    def follow(self, offset: int) -> None:
        """Run operations from an offset on, to STOP."""
        operations = read_operations(self._content, offset)
        operation = next(operations)
        while operation.name != "STOP":
            moved = self._run(operation.name, operation.argument, operation.end)
            operation = next(operations) if moved is None else operations.send(moved)
        self._pop_value()
        self.pickle.end = operation.end

    def _run(self, name: str, argument: object, end: int) -> int | None:
        """Run one operation; returns where the next one begins if data lie between."""
        if name == "BUILD":
            return self._build(end)
        if name in _CONSTANTS:
            self._stack.append(argument if isinstance(argument, str | int) else DATA)
        else:
            self._operations[name](self, argument)
        return None

    def _pop_value(self) -> object:
        """Return the topmost value."""
        if not self._stack:
            raise Unreadable("it takes a value from an empty stack")
        return self._stack.pop()

    def _top(self) -> object:
        if not self._stack:
            raise Unreadable("it uses a value of an empty stack")
        return self._stack[-1]

    def _pop_marked(self) -> list[object]:
        if not self._marked:
            raise Unreadable("it goes back to a mark that is not there")
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

    def _drop_marked(self, _: object) -> None:
        self._pop_marked()

    def _duplicate(self, _: object) -> None:
        self._stack.append(self._top())

    def _push_true(self, _: object) -> None:
        self._stack.append(True)

    def _push_false(self, _: object) -> None:
        self._stack.append(False)

    def _push_data(self, _: object) -> None:
        self._stack.append(DATA)

    def _push_dict(self, _: object) -> None:
        self._stack.append({})

    def _push_tuple_0(self, _: object) -> None:
        self._stack.append(())

    def _push_tuple_1(self, _: object) -> None:
        self._stack.append((self._pop_value(),))

    def _push_tuple_2(self, _: object) -> None:
        second, first = self._pop_value(), self._pop_value()
        self._stack.append((first, second))

    def _push_tuple_3(self, _: object) -> None:
        third, second, first = self._pop_value(), self._pop_value(), self._pop_value()
        self._stack.append((first, second, third))

    def _push_marked_tuple(self, _: object) -> None:
        values = self._pop_marked()
        self._stack.append(tuple(values))

    def _push_marked_data(self, _: object) -> None:
        self._pop_marked()
        self._stack.append(DATA)

    def _push_marked_dict(self, _: object) -> None:
        values = self._pop_marked()
        self._stack.append(_pair(values))

    def _append(self, _: object) -> None:
        self._pop_value()
        self._refuse_filling(self._top())

    def _append_marked(self, _: object) -> None:
        self._pop_marked()
        self._refuse_filling(self._top())

    def _set_item(self, _: object) -> None:
        value, key = self._pop_value(), self._pop_value()
        self._set([key, value])

    def _set_marked(self, _: object) -> None:
        self._set(self._pop_marked())

    def _set(self, values: list[object]) -> None:
        target = self._top()
        self._refuse_filling(target)
        if isinstance(target, dict):
            target.update(_pair(values))

    def _refuse_filling(self, target: object) -> None:
        if isinstance(target, Asked):
            self.pickle.add_fault(f"it changes {target.name} itself")

    def _memoize(self, _: object) -> None:
        self._memo[len(self._memo)] = self._top()

    def _put(self, key: object) -> None:
        self._memo[_number(key)] = self._top()

    def _get(self, key: object) -> None:
        if _number(key) not in self._memo:
            raise Unreadable("it recalls what it did not put into its memo")
        self._stack.append(self._memo[_number(key)])

    def _pass(self, _: object) -> None:
        pass

    def _ask(self, argument: object) -> None:
        module, _, name = str(argument).partition(" ")
        self._stack.append(self._ask_for(module, name))

    def _ask_of_stack(self, _: object) -> None:
        name, module = self._pop_value(), self._pop_value()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise Unreadable("it asks for a name that it computes")
        self._stack.append(self._ask_for(module, name))

    def _ask_for(self, module: str, name: str) -> Asked:
        whole = f"{module}.{name}" if "." not in name else f"{name} of {module}"
        if len(self.pickle.names) >= _MOST_NAMES:
            raise Unreadable("it asks for too many names")
        self.pickle.names.add(whole)
        if not is_allowed(whole):
            self.pickle.add_fault(f"it asks for {whole}")
        return Asked(whole)

    def _extend(self, _: object) -> None:
        raise Unreadable("it asks for a name by a number of this machine's registry")

    def _load_persistent(self, _: object) -> None:
        raise Unreadable("it asks its reader for an object by a text")

    def _load_stored(self, _: object) -> None:
        identity = self._pop_value()
        if not self._may_store:
            raise Unreadable("it asks its reader for an object")
        stored = Stored.parse(identity)
        if stored is None:
            raise Unreadable("it asks its reader for something other than a tensor's storage")
        self.pickle.storages.append(stored)
        self._stack.append(DATA)

    def _take_buffer(self, _: object) -> None:
        raise Unreadable("a part of it is in a buffer outside")

    def _call(self, _: object) -> None:
        arguments, called = self._pop_value(), self._pop_value()
        self._stack.append(self._make(called, arguments, is_call=True))

    def _new(self, _: object) -> None:
        arguments, made = self._pop_value(), self._pop_value()
        self._stack.append(self._make(made, arguments, is_call=False))

    def _new_with_names(self, _: object) -> None:
        self._pop_value()
        self._new(None)

    def _make_instance(self, argument: object) -> None:
        arguments = tuple(self._pop_marked())
        module, _, name = str(argument).partition(" ")
        made = self._ask_for(module, name)
        self._stack.append(self._make(made, arguments, is_call=True))

    def _make_object(self, _: object) -> None:
        values = self._pop_marked()
        if not values:
            raise Unreadable("it makes an object of nothing")
        self._stack.append(self._make(values[0], tuple(values[1:]), is_call=True))

    def _make(self, called: object, arguments: object, *, is_call: bool) -> Made:
        if not isinstance(called, Asked):
            raise Unreadable("it calls what it has computed")
        self.pickle.calls = True
        made = called
        if called.name in _RECONSTRUCTORS:
            made = _first_asked(arguments, called)
            _refuse_base(arguments, called)
        elif called.name == _FROM_TYPE:
            self._refuse_call(_first_asked(arguments, called))
        if is_call and made is called:
            self._refuse_call(called)
        return Made(made.name, arguments)

    def _refuse_call(self, called: Asked) -> None:
        if is_allowed(called.name) and not may_be_called(called.name):
            self.pickle.add_fault(f"it calls {called.name}")

    def _build(self, end: int) -> int | None:
        state, target = self._pop_value(), self._top()
        self.pickle.calls = True
        if not isinstance(target, Made):
            self._refuse_filling(target)
            if not isinstance(target, Asked):
                raise Unreadable("it fills what it has not made")
            return None
        if target.name == array_wrappers.NAME:
            array = array_wrappers.parse(state)
            self._follow_plain(end)
            if array.is_object:
                return self._follow_nested(end)
            return array.find_end(self._content, end)
        target.state = state
        return None

    def _follow_plain(self, offset: int) -> None:
        """Follow what a reader would run that is not joblib: to it, an array is operations."""
        if not _would_act(self._content, offset):
            return
        machine = _Machine(self._content, may_store=False)
        machine._stack = [*self._stack]
        machine._marked = [[*values] for values in self._marked]
        machine._memo = {**self._memo}
        with suppress(Unreadable):
            machine.follow(offset)
        for fault in machine.pickle.faults:
            if not _OF_ARRAYS.search(fault):
                self.pickle.add_fault(f"without joblib, {fault}")

    def _follow_nested(self, offset: int) -> int:
        """Follow the pickle of an array of objects, which joblib writes into the outer one."""
        nested = follow_pickle(self._content, offset)
        self.pickle.names |= nested.names
        for fault in nested.faults:
            self.pickle.add_fault(fault)
        if not nested.end:
            raise Unreadable("an array of objects cannot be followed")
        return nested.end

    _operations: ClassVar[Mapping[str, Callable[["_Machine", object], None]]] = {
        "PROTO": _pass,
        "FRAME": _pass,
        "MARK": _mark,
        "POP": _pop,
        "POP_MARK": _drop_marked,
        "DUP": _duplicate,
        "NONE": _push_data,
        "NEWTRUE": _push_true,
        "NEWFALSE": _push_false,
        "EMPTY_LIST": _push_data,
        "EMPTY_SET": _push_data,
        "EMPTY_DICT": _push_dict,
        "EMPTY_TUPLE": _push_tuple_0,
        "TUPLE1": _push_tuple_1,
        "TUPLE2": _push_tuple_2,
        "TUPLE3": _push_tuple_3,
        "TUPLE": _push_marked_tuple,
        "LIST": _push_marked_data,
        "FROZENSET": _push_marked_data,
        "DICT": _push_marked_dict,
        "APPEND": _append,
        "APPENDS": _append_marked,
        "ADDITEMS": _append_marked,
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
        "INST": _make_instance,
        "OBJ": _make_object,
        "NEWOBJ": _new,
        "NEWOBJ_EX": _new_with_names,
        "REDUCE": _call,
        "EXT1": _extend,
        "EXT2": _extend,
        "EXT4": _extend,
        "PERSID": _load_persistent,
        "BINPERSID": _load_stored,
        "NEXT_BUFFER": _take_buffer,
        "READONLY_BUFFER": _take_buffer,
    }


def _would_act(content: Content, offset: int) -> bool:
    """Tell whether the bytes at an offset ask for a name before they are no operation."""
    with suppress(Unreadable):
        for operation in read_operations(content, offset):
            if operation.name in _ACTS:
                return True
            if operation.name == "STOP":
                return False
    return False


def _first_asked(arguments: object, called: Asked) -> Asked:
    if isinstance(arguments, tuple) and arguments and isinstance(arguments[0], Asked):
        return arguments[0]
    raise Unreadable(f"{called.name} gets what it has computed")


def _refuse_base(arguments: object, called: Asked) -> None:
    """Refuse a class to begin with that is called with what the pickle says."""
    match arguments:
        case (_, Asked(name), _) if _BASES.fullmatch(name):
            return
    raise Unreadable(f"{called.name} does not begin with a type of Python")


def _pair(values: list[object]) -> dict[object, object]:
    """Return the items of a dictionary whose keys are texts; others are data."""
    if len(values) % 2:
        raise Unreadable("a key of a dictionary has no value")
    pairs = zip(values[::2], values[1::2], strict=True)
    return {key: value for key, value in pairs if isinstance(key, str)}


def _number(key: object) -> int:
    if not isinstance(key, int):
        raise Unreadable("a place in the memo is not a number")
    return key
