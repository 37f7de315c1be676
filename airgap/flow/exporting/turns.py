"""Which files are read side by side: it follows from sizes and order alone (format §12)."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar

from airgap.flow.exporting.select import Source
from airgap.format import limits
from airgap.store.source_tree import SourceFile

__all__ = [
    "SIDE_BY_SIDE",
    "count_rows",
    "is_large",
    "is_read_again",
    "split_into_rows",
    "take_turns",
]

SIDE_BY_SIDE: Final = 4
"""How many large files are read at a time. More would have as many more packs in memory."""
_LARGE_BYTES: Final = 64 * limits.MIB
_MANY: Final = 1000
_QUICKLY_READ_BYTES: Final = 32 * limits.KIB

T = TypeVar("T")


def is_large(file: SourceFile) -> bool:
    """Tell whether a file has packs of its own (format §12)."""
    return file.size >= _LARGE_BYTES


def split_into_rows(files: Sequence[SourceFile]) -> list[list[SourceFile]]:
    """Return the files of an item whose chunks go into the same packs (format §12)."""
    return [
        [file for file in files if not is_large(file)],
        *([file] for file in files if is_large(file)),
    ]


def is_read_again(row: Sequence[SourceFile]) -> bool:
    """Tell whether files are so many and so small that no cache is quicker than to read them."""
    return len(row) >= _MANY and sum(file.size for file in row) < len(row) * _QUICKLY_READ_BYTES


def count_rows(sources: Sequence[Source]) -> int:
    """Return how many rows of packs items have, at most: each row's last pack may not be full."""
    return len(sources) + sum(is_large(file) for source in sources for file in source.tree.files)


def take_turns(sequences: Iterable[Iterator[T]], most: int = SIDE_BY_SIDE) -> Iterator[T]:
    """Yield the next element of each sequence in turn; at most ``most`` are begun and not ended.

    Where one ends, the next one begins in its place, in the same turn.
    """
    waiting = iter(sequences)
    turns = deque(islice(waiting, most))
    while turns:
        for element in turns[0]:
            yield element
            turns.rotate(-1)
            break
        else:
            turns.popleft()
            turns.extendleft(islice(waiting, 1))
