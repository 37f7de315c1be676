"""Scans a folder without reading its files, then reads them and detects changes."""

import os
import stat
from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, Self

from airgap.chunking.sizes import PIECE
from airgap.chunking.zeros import zeros
from airgap.disk.descriptors import open_without_waiting
from airgap.errors import StorageError
from airgap.format import limits

__all__ = [
    "SourceFile",
    "StableFile",
    "Tree",
    "find_files",
    "is_old",
    "is_tree_unchanged",
    "is_unchanged",
    "read_stable",
    "read_whole",
    "scan",
    "scan_file",
]

READ_BYTES: Final = 1024 * 1024
_YOUNG: Final = 60_000_000_000
"""In ns. Linux writes changed pages after 30 seconds, and looks for them every 5."""


class SourceFile(NamedTuple):
    """A regular file: its path within the item, where it is, and how it looked when scanned."""

    path: str
    location: str
    size: int
    executable: bool
    times: tuple[int, int]
    """Of the last change of its content, and of anything about it; in ns since 1970.

    Not its inode: some network and FUSE file systems give a file another one at each look.
    """
    within: tuple[int, int] | None = None
    """Offset in the file at ``location``, and that file's size; None: it is the whole file."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What a folder holds, sorted by path; ``links`` maps path to target."""

    files: tuple[SourceFile, ...]
    links: dict[str, str]
    empty_folders: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def scan(
    top: Path,
    *,
    links_into: Sequence[Path] = (),
    ignored_folders: Container[str] = frozenset(),
    ignored_top: Container[str] = frozenset(),
) -> Tree:
    """List everything below a folder.

    Args:
        top: the folder.
        ignored_folders: names of folders that are skipped, at any depth.
        ignored_top: names at the top of the folder that are skipped.
        links_into: if given, links are followed instead of kept, and must lead to regular files
            below one of these folders (as in a Hugging Face cache).

    Raises:
        StorageError: a device, socket or FIFO, a link that leads out of the folder, or an
            unreadable folder.
    """
    files: list[SourceFile] = []
    links: dict[str, str] = {}
    empty: list[str] = []
    allowed = tuple(Path(os.path.realpath(folder)) for folder in links_into)
    for entry in _list_entries(top, allowed, ignored_folders, ignored_top):
        if isinstance(entry, SourceFile):
            files.append(entry)
        elif isinstance(entry, str):
            empty.append(entry)
        else:
            links |= [entry]
    files.sort(key=lambda file: os.fsencode(file.path))
    return Tree(tuple(files), dict(sorted(links.items())), tuple(sorted(empty)))


def scan_file(location: Path, path: str) -> SourceFile:
    """Look at one file, which is ``path`` in its item. Raises OSError."""
    return _make_source_file(path, str(location), location.lstat())


def find_files(top: Path, links_into: Path) -> Iterator[SourceFile]:
    """Yield the regular files below a folder, and those below ``links_into`` that links lead to.

    Everything else, and what cannot be read, is passed over.
    """
    allowed = links_into.resolve()
    for folder, _, names in os.walk(top):
        for path in sorted(Path(folder, name) for name in names):
            with suppress(OSError):
                location = Path(os.path.realpath(path)) if path.is_symlink() else path
                status = location.lstat()
                inside = location is path or location.is_relative_to(allowed)
                if inside and stat.S_ISREG(status.st_mode):
                    relative = path.relative_to(top).as_posix()
                    yield _make_source_file(relative, str(location), status)


def is_tree_unchanged(
    tree: Tree,
    top: Path,
    *,
    ignored_folders: Container[str] = frozenset(),
    ignored_top: Container[str] = frozenset(),
) -> bool:
    """Tell whether a folder is still as it was scanned, without listing it in memory again.

    Raises:
        StorageError: as ``scan``.
    """
    files = {file.path: file for file in tree.files}
    empty = frozenset(tree.empty_folders)
    left = len(files) + len(tree.links) + len(empty)
    for entry in _list_entries(top, (), ignored_folders, ignored_top):
        if isinstance(entry, SourceFile):
            same = files.get(entry.path) == entry
        elif isinstance(entry, str):
            same = entry in empty
        else:
            same = tree.links.get(entry[0]) == entry[1]
        if not same:
            return False
        left -= 1
    return left == 0


def _list_entries(
    top: Path,
    links_into: Sequence[Path],
    ignored_folders: Container[str],
    ignored_top: Container[str],
) -> Iterator[SourceFile | tuple[str, str] | str]:
    """Yield files, links (path and target) and empty folders (path)."""
    try:
        for path, entry in _walk(top, "", ignored_folders, ignored_top):
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                yield _make_source_file(path, entry.path, status)
            elif stat.S_ISLNK(status.st_mode) and not links_into:
                yield path, os.readlink(entry.path)  # noqa: PTH115  (exact text)
            elif stat.S_ISLNK(status.st_mode):
                yield _follow_link(path, Path(entry.path), links_into)
            elif stat.S_ISDIR(status.st_mode):
                yield path
            else:
                _refuse(entry.path, "is neither a file nor a folder nor a link")
    except OSError as error:
        raise _make_read_error(error) from error


class StableFile:
    """A scanned file, for ``with``: it must not have changed, nor change until the block ends.

    Raises, when the block begins and ends:
        StorageError: it changed since it was scanned, or cannot be read.
    """

    def __init__(self, source: SourceFile) -> None:
        """Remember the file; it is opened when the block begins."""
        self.size = source.size
        self.path = source.path
        self._source = source
        self._start = source.within[0] if source.within else 0
        self._offset = 0
        self._descriptor = -1
        self._hole = (source.size, source.size)
        """Where the next hole begins and ends; both the end of the file if there is none."""

    def __enter__(self) -> Self:
        """Open the file, and demand that it is the one that was scanned."""
        try:
            # Non-blocking: a FIFO that has taken the file's place is refused, not waited for.
            self._descriptor = open_without_waiting(self._source.location)
            try:
                status = os.fstat(self._descriptor)
                _expect_unchanged(self._source, status)
                if not self._source.within and _is_sparse(self._descriptor, status):
                    self._hole = _find_hole(self._descriptor, 0, self.size)
            except BaseException:
                os.close(self._descriptor)
                raise
        except OSError as error:
            raise _make_read_error(error) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the file; if there was no error, demand that it has not changed."""
        try:
            if kind is None:
                _expect_unchanged(self._source, os.fstat(self._descriptor))
        finally:
            os.close(self._descriptor)

    def read(self, count: int) -> bytes:
        """Return the next ``count`` bytes; fewer only at the end.

        Raises:
            StorageError: the file is shorter than it was, or cannot be read.
        """
        count = min(count, self.size - self._offset)
        try:
            if self._is_hole(count):
                data = zeros(count)
            else:
                data = os.pread(self._descriptor, count, self._start + self._offset)
            while len(data) < count:
                at = self._start + self._offset + len(data)
                more = os.pread(self._descriptor, count - len(data), at)
                if not more:
                    _raise_changed(self._source)
                data += more
        except OSError as error:
            raise _make_read_error(error) from error
        self._offset += count
        return data

    def skip(self, count: int) -> None:
        """Pass over the next ``count`` bytes."""
        self._offset += count

    def settle(self, now: int) -> bool:
        """Make sure that each change from now on (in ns since 1970) shows in the file's times.

        A program that maps a file may change a page that waits to be written once more, and that
        does not show. A page waits for half a minute at most; what of a large file may wait is
        written now. Of a small file that is so young, the answer is no.
        """
        if is_old(self._source, now):
            return True
        if self.size < READ_BYTES:
            return False
        try:
            os.fsync(self._descriptor)
        except OSError:
            return False
        return True

    def list_data(self) -> Iterator[tuple[int, int]]:
        """Yield where data begins and ends: all but the holes that are worth looking for.

        Raises:
            StorageError: the file cannot be read.
        """
        at, hole = 0, self._hole
        try:
            while at < self.size:
                if at < hole[0]:
                    yield at, hole[0]
                at = hole[1]
                hole = _find_hole(self._descriptor, at, self.size)
        except OSError as error:
            raise _make_read_error(error) from error

    def _is_hole(self, count: int) -> bool:
        """Tell whether the next bytes lie in a hole. Raises OSError."""
        if self._hole[1] <= self._offset < self.size:
            self._hole = _find_hole(self._descriptor, self._offset, self.size)
        return self._hole[0] <= self._offset and self._offset + count <= self._hole[1]

    def peek(self, offset: int, count: int) -> bytes:
        """Return bytes at an offset, without moving on; fewer only at the end.

        Raises:
            StorageError: the file cannot be read.
        """
        count = min(count, self.size - offset)
        if count <= 0:  # a file may name any offset, and the system takes none of 2^63 or more
            return b""
        try:
            return os.pread(self._descriptor, count, self._start + offset)
        except OSError as error:
            raise _make_read_error(error) from error


def _is_sparse(descriptor: int, status: os.stat_result) -> bool:
    """Tell whether a file has holes that are worth looking for."""
    if status.st_size - 512 * status.st_blocks < PIECE or not hasattr(os, "SEEK_HOLE"):
        return False
    try:
        os.fsync(descriptor)  # ZFS calls a hole what was written and not synced (OpenZFS #15526)
    except OSError:
        return False
    return True


def _find_hole(descriptor: int, offset: int, size: int) -> tuple[int, int]:
    """Return where the next hole of a file begins and ends; its end twice if there is none."""
    try:
        begin = os.lseek(descriptor, offset, os.SEEK_HOLE)
    except OSError:  # a file system that does not tell
        return size, size
    try:
        return begin, os.lseek(descriptor, begin, os.SEEK_DATA)
    except OSError:  # no data follows
        return begin, size


def read_whole(source: SourceFile) -> bytes:
    """Return a small file's content at once; raises as ``StableFile``.

    It is looked at once, after it was read: if it is then as it was scanned, it was so before.
    """
    start = source.within[0] if source.within else 0
    try:
        descriptor = open_without_waiting(source.location)
        try:
            try:
                data = os.pread(descriptor, source.size, start)
            finally:  # what has taken its place, such as a FIFO, may not be readable
                _expect_unchanged(source, os.fstat(descriptor))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _make_read_error(error) from error
    if len(data) != source.size:
        _raise_changed(source)
    return data


def read_stable(source: SourceFile) -> Iterator[bytes]:
    """Yield a file's content; the file must not have changed, nor change until its end.

    Raises:
        StorageError: it changed since it was scanned, or cannot be read.
    """
    with StableFile(source) as file:
        for _ in range(0, source.size, READ_BYTES):
            yield file.read(READ_BYTES)


def is_old(source: SourceFile, now: int) -> bool:
    """Tell whether each change from now on (in ns since 1970) shows in a file's times.

    ``StableFile.settle`` has the reason.
    """
    return source.times[1] + _YOUNG < now


def is_unchanged(source: SourceFile) -> bool:
    """Tell whether a file is still the one that was scanned, by its size and times."""
    try:
        status = os.stat(source.location)  # noqa: PTH116  (quick, for many files)
    except OSError:
        return False
    return _is_same_file(source, status)


def _walk(
    folder: Path | str,
    prefix: str,
    ignored_folders: Container[str],
    ignored_here: Container[str] = frozenset(),
) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    """Yield path and entry of everything except folders that are not empty."""
    with os.scandir(folder) as listing:
        for entry in listing:
            path = prefix + entry.name
            if entry.name in ignored_here:
                continue
            if entry.is_dir(follow_symlinks=False):
                if entry.name in ignored_folders:
                    continue
                if path.count("/") >= limits.PATH_PARTS:
                    _refuse(entry.path, f"is more than {limits.PATH_PARTS} folders deep")
                below = _walk(entry.path, path + "/", ignored_folders)
                first = next(below, None)
                if first is None:
                    yield path, entry
                else:
                    yield first
                    yield from below
            else:
                yield path, entry


def _follow_link(path: str, location: Path, allowed: Sequence[Path]) -> SourceFile:
    target = Path(os.path.realpath(location))  # unlike resolve(), raises nothing for a loop
    if not (any(map(target.is_relative_to, allowed)) and target.is_file()):
        raise StorageError(
            f"{location} is a link that is broken or leads out of the cache (to {target}).",
            "Fetch the repository again. To keep it on another disk, move its whole folder"
            f" {allowed[0]} there, and make that a link.",
        )
    return _make_source_file(path, str(target), target.stat())


def _make_source_file(path: str, location: str, status: os.stat_result) -> SourceFile:
    times = status.st_mtime_ns, status.st_ctime_ns
    return SourceFile(path, location, status.st_size, bool(status.st_mode & stat.S_IXUSR), times)


def _is_same_file(source: SourceFile, status: os.stat_result) -> bool:
    times = status.st_mtime_ns, status.st_ctime_ns
    size = source.within[1] if source.within else source.size
    return times == source.times and status.st_size == size and stat.S_ISREG(status.st_mode)


def _expect_unchanged(source: SourceFile, status: os.stat_result) -> None:
    if not _is_same_file(source, status):
        _raise_changed(source)


def _raise_changed(source: SourceFile) -> NoReturn:
    raise StorageError(
        f"{source.location} changed while it was being read.",
        "Wait until no program writes to it, and run the same command again.",
    )


def _refuse(location: Path | str, why: str) -> NoReturn:
    raise StorageError(f"{location} {why}.", "Remove it, or replace it with a regular file.")


def _make_read_error(error: OSError) -> StorageError:
    return StorageError(
        f"{error.filename or 'A file'} cannot be read: {error.strerror}.",
        "Check that it exists and that you may read it.",
    )
