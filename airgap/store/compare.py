"""Compares what is installed with an item: file by file, by content."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Literal

from airgap.disk.digests import digest_file
from airgap.disk.permissions import are_kept
from airgap.disk.readback import digest_on_medium
from airgap.errors import AirgapError
from airgap.format.inventory import Entry, File, Item, Link
from airgap.store.install_paths import InstallPath
from airgap.store.kinds import find_kind
from airgap.store.source_tree import scan

__all__ = ["Difference", "find_differences", "has_missing_files", "is_whole", "list_differences"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A path of an installed item that is not as the item has it; ``problem`` is a phrase.

    ``expected`` and ``actual`` are the SHA-256 of a file, where there is one. ``path`` is empty if
    the item's own folder is a link, or cannot be listed.
    """

    path: str
    state: Literal["missing", "changed", "additional", "unreadable"]
    problem: str
    expected: bytes | None = None
    actual: bytes | None = None

    def __str__(self) -> str:
        """Write it as a line."""
        return f"{self.path}: {self.problem}" if self.path else self.problem


def list_differences(
    item: Item, target: InstallPath, advance: Callable[[int], None]
) -> Iterator[Difference]:
    """Yield each way in which an installed item differs from the item, with digests.

    Files are read from the disk, past the system's cache where possible; ``advance`` gets the
    number of bytes that were read. Where other files may lie beside the item's own, those are
    not differences.
    """

    def digest(path: Path) -> bytes:
        real = Path(os.path.realpath(path)) if target.may_hold_more else path
        return digest_on_medium(real.parent, real.name, advance)

    yield from _compare_item(item, target, digest)
    if not target.may_hold_more:
        yield from _find_extra_paths(item, target.final, digest)


def find_differences(
    item: Item, target: InstallPath, digest: Callable[[Path], bytes] = digest_file
) -> Iterator[str]:
    """Yield one line for each way in which what is installed differs from the item.

    A missing entry is not a difference where other files may lie beside the item's own: see
    ``has_missing_files``.
    """
    for difference in _compare_item(item, target, digest):
        if difference.state != "missing" or not target.may_hold_more:
            yield str(difference)
    if not target.may_hold_more:
        yield from map(str, _find_extra_paths(item, target.final, None))


def has_missing_files(item: Item, target: InstallPath) -> bool:
    """Tell whether any entry of the item is not installed."""
    return any(not os.path.lexists(target.final / entry.path) for entry in item.entries)


def is_whole(item: Item, target: InstallPath) -> bool:
    """Tell whether each entry of an item is installed, and each file has its size; none is read."""
    try:
        return all(
            (target.final / entry.path).lstat() is not None
            if not isinstance(entry, File)
            else (target.final / entry.path).stat().st_size == entry.size
            for entry in item.entries
        )
    except OSError:
        return False


def _compare_item(
    item: Item, target: InstallPath, digest: Callable[[Path], bytes]
) -> Iterator[Difference]:
    linked = [*_find_linked_folders(item, target.final)]
    for folder in linked:
        problem = "is a link here, and not a folder"
        problem = problem if folder else f"{target.final} is a link, and not a folder"
        yield Difference(folder, "changed", problem)
    keeps_modes = cache(partial(are_kept, target.store))
    compare = partial(
        _compare_file, keeps_modes=keeps_modes, may_be_link=target.may_hold_more, digest=digest
    )
    for entry in item.entries:
        if any(_is_below(entry.path, folder) for folder in linked):
            continue  # it is not in the item's folder, whatever is there
        path = target.final / entry.path
        expected = entry.digest if isinstance(entry, File) else None
        if not os.path.lexists(path):
            yield Difference(entry.path, "missing", "missing here", expected)
            continue
        try:
            difference = _compare_entry(entry, path, compare)
        except OSError as error:
            problem = f"cannot be read here ({error.strerror})"
            difference = Difference(entry.path, "unreadable", problem, expected)
        except AirgapError as error:
            difference = Difference(entry.path, "unreadable", error.message, expected)
        if difference:
            yield difference


def _find_linked_folders(item: Item, final: Path) -> Iterator[str]:
    """Yield the folders of an item that are links where it is installed; empty: its own.

    What is behind such a link is not yielded.
    """
    if final.is_symlink():
        yield ""
        return
    linked: list[str] = []
    for folder in sorted(_list_folders(item)):
        if any(_is_below(folder, link) for link in linked):
            continue
        if (final / folder).is_symlink():
            linked.append(folder)
            yield folder


def _list_folders(item: Item) -> set[str]:
    """Return the folders that lead to the entries of an item."""
    return {
        entry.path[:at]
        for entry in item.entries
        for at, mark in enumerate(entry.path)
        if mark == "/"
    }


def _is_below(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")


def _compare_entry(
    entry: Entry, path: Path, compare_file: Callable[[File, Path], Difference | None]
) -> Difference | None:
    """Return how a path differs from its entry; None if it does not. Raises OSError."""
    if isinstance(entry, File):
        return compare_file(entry, path)
    if isinstance(entry, Link):
        same = path.is_symlink() and os.readlink(path) == entry.target  # noqa: PTH115  (exact text)
        return None if same else Difference(entry.path, "changed", "is not the same link here")
    empty = path.is_dir() and not path.is_symlink() and not any(path.iterdir())
    return None if empty else Difference(entry.path, "changed", "is not an empty folder here")


def _compare_file(
    entry: File,
    path: Path,
    *,
    keeps_modes: Callable[[], bool],
    may_be_link: bool,
    digest: Callable[[Path], bytes],
) -> Difference | None:
    # The files of a snapshot may be links to blobs of the cache; a Bento has no such links.
    status = path.stat(follow_symlinks=may_be_link)
    changed = partial(Difference, entry.path, "changed", expected=entry.digest)
    if not stat.S_ISREG(status.st_mode):
        return changed("is not a file here")
    if status.st_size != entry.size:
        return changed(f"has {status.st_size:,} bytes here, {entry.size:,} in the bundle")
    other_mode = bool(status.st_mode & stat.S_IXUSR) != entry.executable
    if other_mode and not path.is_symlink() and keeps_modes():
        return changed(f"is {'not ' if entry.executable else ''}executable here")
    actual = digest(path)
    return None if actual == entry.digest else changed("has different content here", actual=actual)


def _find_extra_paths(
    item: Item, final: Path, digest: Callable[[Path], bytes] | None
) -> Iterator[Difference]:
    """Yield what is only installed; files with their digest, if a function for it is given."""
    if final.is_symlink():
        return  # which is a difference
    try:
        tree = scan(final, ignored_folders=find_kind(item.kind).ignored_folders)
    except AirgapError as error:
        yield Difference("", "unreadable", error.message)
        return
    expected = {entry.path for entry in item.entries} | _list_folders(item)
    files = {file.path for file in tree.files}
    for path in sorted({*files, *tree.links, *tree.empty_folders} - expected):
        actual = None
        if digest is not None and path in files:
            try:
                actual = digest(final / path)
            except (AirgapError, OSError):  # it is reported in any case
                actual = None
        yield Difference(path, "additional", "only here", actual=actual)
