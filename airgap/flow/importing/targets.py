"""Where the chunks of a manifest go, and what the files they make up digest to."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from operator import le
from typing import Final

from airgap.codec.buffer import Buffer
from airgap.disk.digests import digest_file
from airgap.errors import CorruptError
from airgap.flow.digesters import Digester, Digesters, run_digesters
from airgap.format.inventory import File, Item
from airgap.format.manifest import Manifest
from airgap.store.staging import StagedItem

__all__ = ["FileDigests", "Target", "Targets", "run_file_digesters"]

Target = tuple[int, File, int, int]
"""Index of the item, file, position of the chunk in the file, offset in bytes."""

_NONE = 0xFFFF_FFFF
_SIDE_BY_SIDE: Final = 4
"""As many large files as an export reads in turn (format §12)."""
_LEAST_WAITING: Final = 12
_WAITING_PER_JOB: Final = 8
_MOST_WAITING: Final = 128


class Targets:
    """Where each chunk goes. Chunks that no chosen item needs are not in it.

    Kept as columns, because a large bundle has millions: ``_first`` leads from a chunk to its
    first occurrence, ``_next`` from an occurrence to the chunk's next one.
    """

    def __init__(self, manifest: Manifest, items: Sequence[Item]) -> None:
        """Find the targets of all chunks of these items."""
        self._files = [(number, file) for number, item in enumerate(items) for file in item.files]
        self._first = array("I", [_NONE]) * len(manifest.chunks)
        self._next = array("I")
        self._file = array("I")
        self._position = array("I")
        self._offset = array("Q")
        last = array("I", [_NONE]) * len(manifest.chunks)
        for number, (_, file) in enumerate(self._files):
            self._add(number, file, manifest.chunks.lengths, last)

    def _add(self, number: int, file: File, lengths: Sequence[int], last: "array[int]") -> None:
        """Append a file's occurrences; ``last`` holds each chunk's last one so far."""
        for at, chunk in enumerate(file.chunks, len(self._next)):
            before = last[chunk]
            if before == _NONE:
                self._first[chunk] = at
            else:
                self._next[before] = at
            last[chunk] = at
            self._next.append(_NONE)
        count = len(file.chunks)
        self._file.extend(array("I", [number]) * count)
        self._position.extend(range(count))
        sizes = map(lengths.__getitem__, file.chunks[:-1])
        self._offset.extend(accumulate(sizes, initial=0) if count else ())

    def __contains__(self, chunk: int) -> bool:
        """Tell whether any chosen item needs the chunk."""
        return self._first[chunk] != _NONE

    def __getitem__(self, chunk: int) -> Iterator[Target]:
        """Yield everywhere a chunk goes, in item and file order."""
        at = self._first[chunk]
        while at != _NONE:
            number, file = self._files[self._file[at]]
            yield number, file, self._position[at], self._offset[at]
            at = self._next[at]


def run_file_digesters(jobs: int) -> AbstractContextManager[Digesters]:
    """Run the threads that digest files, each of which is digested by one.

    A pack mostly has chunks of one large file. So that several threads have work, many of them wait
    for one, while the next packs bring those of others: with 16 processors, all of a pack.
    """
    waiting = min(max(_WAITING_PER_JOB * jobs, _LEAST_WAITING), _MOST_WAITING)
    return run_digesters(min(jobs, _SIDE_BY_SIDE), waiting)


@dataclass(slots=True)
class _OpenFile:
    """A file of which the first chunks came by, and what digests it."""

    digester: Digester
    state: "hashlib._Hash"
    following: int = 0
    """The position of the chunk that is to come next."""


class FileDigests:
    """The digest of each file, from its chunks as they come by in the file's order.

    Chunks come in the order of the chunk table, so that a file of several chunks is digested on the
    way if its own are in that order too, and all of them are carried (format §11, step 5).
    """

    def __init__(self, manifest: Manifest, items: Sequence[Item]) -> None:
        """Begin with nothing digested."""
        self._manifest = manifest
        self._items = items
        self._open: dict[tuple[int, str], _OpenFile] = {}
        self._done: dict[tuple[int, str], bytes] = {}
        self._fed = bytearray(len(manifest.chunks))
        """Which chunks came by: one that is a whole file says all about it."""
        self._is_part = bytearray(len(manifest.chunks))
        """Which chunks are parts of a file of several: most are not, where files are small."""
        self._covered = bytearray(len(manifest.chunks))
        """Of which chunks the digests of files say all."""
        self._find_covered()

    def _find_covered(self) -> None:
        """Find the chunks of which every file is digested on the way."""
        alone: list[File] = []
        for file in (file for item in self._items for file in item.files):
            is_part = len(file.chunks) > 1
            if not (is_part and self._is_in_order(file)):
                alone.append(file)
            for chunk in file.chunks if is_part else ():
                self._is_part[chunk] = self._covered[chunk] = True
        for file in alone:
            for chunk in file.chunks:
                self._covered[chunk] = False

    def _is_in_order(self, file: File) -> bool:
        chunks = file.chunks
        return chunks[-1] < self._manifest.carried and all(map(le, chunks, chunks[1:]))

    def covers(self, chunk: int) -> bool:
        """Tell whether the digests of files say all that the chunk's own would (format §11).

        They do if all these files are digested on the way: ``verify`` does not read the others.
        """
        return bool(self._covered[chunk])

    def feed(
        self, targets: Targets, pieces: Iterable[tuple[int, Buffer]], digesters: Digesters
    ) -> None:
        """Have chunks digested, each for every file whose next chunk it is; one thread a file."""
        for chunk, data in pieces:
            self._fed[chunk] = True
            if self._is_part[chunk]:
                self._feed(targets, chunk, data, digesters)

    def _feed(self, targets: Targets, chunk: int, data: Buffer, digesters: Digesters) -> None:
        for item, file, position, _ in targets[chunk]:
            if len(file.chunks) == 1:
                continue
            key = item, file.path
            if position == 0:
                self._open[key] = _OpenFile(digesters.begin(), hashlib.sha256())
            opened = self._open.get(key)
            if opened is None or position != opened.following:
                continue
            opened.following += 1
            opened.digester.submit(partial(opened.state.update, data))
            if opened.following == len(file.chunks):
                opened.digester.submit(partial(self._close, key, opened))
                opened.digester.end()
                del self._open[key]

    def _close(self, key: tuple[int, str], opened: _OpenFile) -> None:
        """Keep what a file digests to: its thread has come to its end."""
        self._done[key] = opened.state.digest()

    def read_back(self, staged: Sequence[StagedItem]) -> None:
        """Digest the staged files whose chunks did not come in order."""
        for number, staged_item in enumerate(staged):
            for file in staged_item.item.files:
                if self._find_digest(number, file) is None:
                    self._done[number, file.path] = digest_file(staged_item.folder / file.path)

    def refuse_wrong(self) -> None:
        """Compare every digest that is known with the manifest's.

        Raises:
            CorruptError: a file is not what the manifest says, although its chunks are.
        """
        for number, item in enumerate(self._items):
            for file in item.files:
                if self._find_digest(number, file) not in (None, file.digest):
                    raise CorruptError(
                        f"{file.path} of {item} does not have the digest that its own signed"
                        " manifest gives it.",
                        "The bundle was made wrongly: ask the sender to export it again.",
                    )

    def _find_digest(self, number: int, file: File) -> bytes | None:
        """Return what a file digests to, or None if it was not digested on the way."""
        if not file.chunks:
            return _NOTHING
        if len(file.chunks) == 1 and self._fed[file.chunks[0]]:
            return self._manifest.chunks.digest(file.chunks[0])
        return self._done.get((number, file.path))


_NOTHING: Final = hashlib.sha256().digest()
