"""Progress of a use case. The command line, servers and tests implement it."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from airgap.format.manifest import Manifest  # it is slow, and `airgap --help` needs no manifest

__all__ = ["PackItems", "Progress", "Silent"]


class Progress(Protocol):
    """Receives progress and notes, from the thread that runs the use case."""

    def begin(self, what: str, total: int) -> None:
        """A stage of ``total`` bytes begins."""
        ...

    def name_item(self, name: str) -> None:
        """The bytes that follow are of this item, until the stage ends or another one is named."""
        ...

    def advance(self, count: int) -> None:
        """``count`` more bytes of the stage are done."""
        ...

    def end(self) -> None:
        """The stage has ended."""
        ...

    def note(self, text: str) -> None:
        """Report something that people should know."""
        ...


class Silent:
    """Reports nothing."""

    def begin(self, what: str, total: int) -> None:
        """Ignore it."""

    def name_item(self, name: str) -> None:
        """Ignore it."""

    def advance(self, count: int) -> None:
        """Ignore it."""

    def end(self) -> None:
        """Ignore it."""

    def note(self, text: str) -> None:
        """Ignore it."""


class PackItems:
    """Names the item of a pack, for people: that of the first chunk in it.

    Chunks are numbered in the order in which items are read (format §4.2).
    """

    def __init__(self, manifest: "Manifest", progress: Progress) -> None:
        """Find where the chunks of each item begin."""
        self._packs = manifest.packs
        self._progress = progress
        self._starts: list[int] = []
        self._names: list[str] = []
        carried, end = manifest.carried, 0
        for item in manifest.items:
            last = max((_last_chunk(file.chunks, carried) for file in item.files), default=-1)
            if last >= end:
                self._starts.append(end)
                self._names.append(str(item))
                end = last + 1

    def name(self, index: int) -> None:
        """Name the item of a pack, by the pack's index in the manifest."""
        found = bisect_right(self._starts, self._packs[index].chunk_range.start) - 1
        if found >= 0:
            self._progress.name_item(self._names[found])


def _last_chunk(chunks: Sequence[int], carried: int) -> int:
    """Return the last carried chunk of a file; -1 if it has none."""
    last = max(chunks, default=-1)
    if last < carried:
        return last
    return max((index for index in chunks if index < carried), default=-1)
