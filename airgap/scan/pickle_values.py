"""What lies on the stack of a pickle that is only followed, never loaded."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from airgap.scan.pickle_operations import Data
from airgap.scan.verdicts import Unreadable

__all__ = [
    "Arguments",
    "Gathering",
    "Made",
    "Named",
    "NumpyType",
    "Pair",
    "Row",
    "Storage",
    "Table",
    "demand",
    "is_plain",
    "list_numbers",
    "measure_bytes",
]

Pair = tuple[str, str]
"""A module and a name in it."""
Arguments = tuple[object, ...]
_MOST_DIMENSIONS: Final = 64
_LARGEST: Final = 2**60


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """What the pickle asked for by module and name; ``is_value``: it may be kept as a value."""

    pair: Pair
    is_value: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A tuple; ``is_plain``: nothing in it, at any depth, is a function or a class to be called."""

    items: tuple[object, ...]
    is_plain: bool
    depth: int = 1


@dataclass(slots=True, eq=False)
class Gathering:
    """A list, a set or a frozen set. Once it is ``frozen``, something relies on what is in it."""

    kind: str
    items: list[object] = field(default_factory=list)
    frozen: bool = False


@dataclass(slots=True, eq=False)
class Table:
    """A dictionary; ``frozen`` as above."""

    items: list[object] = field(default_factory=list)
    """Keys and values by turns."""
    frozen: bool = False
    state: dict[str, object] | None = None

    @property
    def pairs(self) -> Iterator[tuple[object, object]]:
        """Keys with their values."""
        return zip(self.items[::2], self.items[1::2], strict=True)

    def as_state(self) -> dict[str, object]:
        """Return the attributes that it gives to an object, and freeze it.

        Raises:
            Unreadable: a key is not a literal text, stands twice, or is not an attribute's name.
        """
        if self.state is not None:
            return self.state
        self.frozen = True
        state: dict[str, object] = {}
        for key, value in self.pairs:
            if not isinstance(key, str) or key in state:
                raise Unreadable("the name of an attribute is not a text, or stands twice")
            if not key.isidentifier() or key.startswith("__") or key in _METHODS:
                raise Unreadable(f"it sets the attribute {key[:80]!r}")
            state[key] = value
        self.state = state
        return state


_METHODS: Final = frozenset({"append", "extend", "add", "update", "reduce_ex"})
"""What a reader of pickles calls on objects, by a name that an attribute could take."""


@dataclass(slots=True, eq=False)
class Made:
    """An object that a call, or a class without a call, would have made."""

    pair: Pair
    arguments: Row
    table: Table | None = None
    """What it maps, if its class is a dictionary, such as ``OrderedDict``; None for others."""
    is_built: bool = False
    is_whole: bool = True
    """Whether it needs no state any more to be used."""


@dataclass(slots=True, eq=False)
class NumpyType:
    """A type of numbers: the bytes of one, and whether it is references to objects."""

    code: str
    width: int
    is_object: bool
    is_built: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """A tensor's numbers, which lie beside the pickle under ``key``: so many bytes, in elements."""

    key: str
    count: int
    width: int


def is_plain(value: object) -> bool:
    """Tell whether a value may be kept anywhere: nobody can call it by mistake."""
    if isinstance(value, Named):
        return value.is_value
    if isinstance(value, Row):
        return value.is_plain
    return not isinstance(value, Storage)


def demand(condition: object, why: str) -> None:
    """Raise Unreadable unless a condition is met."""
    if not condition:
        raise Unreadable(why)


def list_numbers(value: object) -> list[int]:
    """Return the numbers of a shape, from 0 on; raises Unreadable if it is none."""
    items = value.items if isinstance(value, Row | Gathering) else None
    demand(items is not None and len(items) <= _MOST_DIMENSIONS, "a shape is not one")
    numbers = [item for item in items or () if type(item) is int and 0 <= item < _LARGEST]
    demand(len(numbers) == len(items or ()), "a shape is not one")
    if isinstance(value, Gathering):
        value.frozen = True
    return numbers


def measure_bytes(value: object) -> int:
    """Return how many bytes there are; raises Unreadable if they are none."""
    if isinstance(value, Data):
        return value.size
    if isinstance(value, Made) and value.pair[1] == "bytearray":
        return measure_bytes(value.arguments.items[0]) if value.arguments.items else 0
    raise Unreadable("bytes are expected")
