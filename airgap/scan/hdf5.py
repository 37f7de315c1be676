"""HDF5 as Keras saves weights in it: groups, numbers and a few attributes, all within the file.

Only the oldest form of a file is read, which h5py writes by default. In it, links to other files
and data in other files are messages of their own, which are not listed here.
"""

import struct
from collections.abc import Iterator
from typing import Final

from airgap.scan.contents import Content
from airgap.scan.pickle_values import demand
from airgap.scan.verdicts import Judgment, Unreadable, inert

__all__ = ["HDF5_MARK", "has_second_hdf5", "judge_hdf5"]

HDF5_MARK: Final = b"\x89HDF\r\n\x1a\n"
_SUPERBLOCK: Final = struct.Struct("<8s8B2HI4Q2Q2I16s")
_UNDEFINED: Final = 2**64 - 1
_PLAIN_MESSAGES: Final = frozenset({0x0, 0x1, 0x4, 0x5, 0x12})
"""Nothing, dimensions, values for what is not written, and the time of the last change."""
_TYPE, _LAYOUT, _FILTERS, _ATTRIBUTE, _CONTINUATION, _SYMBOLS = 0x3, 0x8, 0xB, 0xC, 0x10, 0x11
_SHARED: Final = 0x2
_INTEGER, _FLOAT, _STRING, _ENUM, _VARIABLE = 0, 1, 3, 8, 9
_DATA_TYPES: Final = frozenset({_INTEGER, _FLOAT, _STRING, _ENUM})
_KNOWN_FILTERS: Final = frozenset({1, 2, 3})
"""deflate, shuffle, fletcher32; others may be libraries that a reader loads."""
_ATTRIBUTES: Final = frozenset(
    {b"name", b"keras_version", b"backend", b"layer_names", b"weight_names", b"weights"}
)
_DEEPEST: Final = 64


def has_second_hdf5(content: Content) -> bool:
    """Tell whether a reader that looks for HDF5 later in a file finds it."""
    offset = 512
    while offset + len(HDF5_MARK) <= content.size:
        if content.read(offset, len(HDF5_MARK)) == HDF5_MARK:
            return True
        offset *= 2
    return False


def judge_hdf5(content: Content) -> Judgment:
    """Judge an HDF5 file: every object that can be reached from its root."""
    values = _SUPERBLOCK.unpack(content.read_exactly(0, _SUPERBLOCK.size))
    demand(
        values[1:9] == (0, 0, 0, 0, 0, 8, 8, 0), "it is of a newer form of HDF5: libver earliest"
    )
    base, free, end, driver = values[12:16]
    demand(base == 0 and free == driver == _UNDEFINED, "it is of several files")
    demand(end == content.size, "it has another size than it says")
    walk = _ObjectWalk(content)
    walk.follow_object(values[17], 0, _read_cached(values[18], values[20]))
    return inert("HDF5")


def _read_cached(kind: int, scratch: bytes) -> tuple[int, ...]:
    """Return the tree and the names of a group that an entry repeats, if it does."""
    return struct.unpack_from("<QQ", scratch) if kind == 1 else ()


class _ObjectWalk:
    """Goes through groups and data sets, each once."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._seen: set[int] = set()

    def _read(self, form: str, offset: int) -> tuple[int, ...]:
        self._content.budget.spend()
        return struct.unpack(form, self._content.read_exactly(offset, struct.calcsize(form)))

    def follow_object(self, offset: int, depth: int, cached: tuple[int, ...]) -> None:
        """Read the header of a group or a data set, and what it leads to.

        ``cached`` is what an entry says that leads to it: readers may believe either.
        """
        demand(depth <= _DEEPEST, "its groups are nested too deeply")
        messages = list(self._list_messages(offset))
        symbols = [self._read("<QQ", at) for kind, at, _ in messages if kind == _SYMBOLS]
        demand(len(symbols) <= 1, "a group has two lists of names")
        demand(not cached or symbols == [cached], "a name leads to two groups")
        if offset not in self._seen:
            self._seen.add(offset)
            for kind, at, width in messages:
                self._follow_message(kind, at, width, depth)

    def _list_messages(self, offset: int) -> Iterator[tuple[int, int, int]]:
        """Yield the messages of a header: the type, where the content is, and its bytes."""
        version, _, count, _, size, _ = self._read("<BBHIII", offset)
        demand(version == 1, "a header is of a newer form of HDF5")
        blocks = [(offset + 16, size)]
        while blocks:
            place, length = blocks.pop()
            self._content.demand(place, length)
            end = place + length
            while place + 8 <= end:
                kind, width, flags = self._read("<HHB", place)
                demand(place + 8 + width <= end, "a message crosses the end of its header")
                demand(not flags & _SHARED, "a message lies in another object")
                count -= 1
                if kind == _CONTINUATION:
                    where, more = self._read("<QQ", place + 8)
                    blocks.append((where, more))
                else:
                    yield kind, place + 8, width
                place += 8 + width
        demand(count == 0, "a header has another number of messages")

    def _follow_message(self, kind: int, offset: int, width: int, depth: int) -> None:
        if kind == _SYMBOLS:
            tree, heap = self._read("<QQ", offset)
            del heap  # names alone
            self._follow_tree(tree, depth)
        elif kind == _TYPE:
            (first,) = self._read("<B", offset)
            demand(first & 0xF in _DATA_TYPES, "data are neither numbers nor texts")
        elif kind == _LAYOUT:
            self._check_layout(offset)
        elif kind == _FILTERS:
            self._check_filters(offset, width)
        elif kind == _ATTRIBUTE:
            self._check_attribute(offset, width)
        else:
            demand(kind in _PLAIN_MESSAGES, f"a message has the type {kind}")

    def _follow_tree(self, offset: int, depth: int) -> None:
        """Follow the names of a group: a tree of nodes, whose leaves lead to objects."""
        demand(depth <= _DEEPEST and offset not in self._seen, "its groups are nested in a circle")
        self._seen.add(offset)
        demand(self._content.read(offset, 4) == b"TREE", "a group has no tree")
        kind, level, count = self._read("<BBH", offset + 4)
        demand(kind == 0, "the tree of a group is one of data")
        for index in range(count):
            (child,) = self._read("<Q", offset + 24 + 16 * index + 8)
            if level:
                self._follow_tree(child, depth + 1)
            else:
                self._follow_leaf(child, depth)

    def _follow_leaf(self, offset: int, depth: int) -> None:
        demand(self._content.read(offset, 4) == b"SNOD", "a group has no names")
        version, _, count = self._read("<BBH", offset + 4)
        demand(version == 1, "a group is of a newer form of HDF5")
        for index in range(count):
            _, header, kind, _, tree, heap = self._read("<QQIIQQ", offset + 8 + 40 * index)
            demand(kind in {0, 1}, "a name is a link")
            self.follow_object(header, depth + 1, (tree, heap) if kind == 1 else ())

    def _check_layout(self, offset: int) -> None:
        version, kind = self._read("<BB", offset)
        demand(version == 3 and kind in {0, 1, 2}, "data lie in a way that is not known")  # noqa: PLR2004
        if kind == 1:
            where, size = self._read("<QQ", offset + 2)
            if where != _UNDEFINED:
                self._content.demand(where, size)

    def _check_filters(self, offset: int, width: int) -> None:
        version, count = self._read("<BB", offset)
        demand(version == 1, "filters are of a newer form of HDF5")
        place = offset + 8
        for _ in range(count):
            number, name, _, values = self._read("<HHHH", place)
            demand(number in _KNOWN_FILTERS, f"data need the filter {number}, which is a library")
            place += 8 + -(-name // 8) * 8 + 4 * (values + values % 2)
        demand(place <= offset + width, "filters cross the end of their message")

    def _check_attribute(self, offset: int, width: int) -> None:
        version, flags, size, *_ = self._read("<BBHHH", offset)
        demand(version in {1, 3} and not flags, "an attribute is of another form")
        begin = offset + (9 if version == 3 else 8)  # noqa: PLR2004
        demand(size + begin - offset <= width, "an attribute crosses the end of its message")
        name = self._content.read_exactly(begin, size).rstrip(b"\0")
        if name not in _ATTRIBUTES:
            raise Unreadable(f"it has the attribute {name[:80].decode('ascii', 'replace')!r}")
