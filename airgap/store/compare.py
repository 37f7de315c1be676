"""Compares what is installed with an item: file by file, by content."""

import os
import stat
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

from airgap.disk.digests import digest_file
from airgap.disk.permissions import are_kept
from airgap.errors import AirgapError
from airgap.format.inventory import Entry, File, Folder, Item, Link
from airgap.store.install_paths import InstallPath
from airgap.store.kinds import find_kind
from airgap.store.source_tree import scan

__all__ = ["find_differences", "has_missing_files"]


def find_differences(item: Item, target: InstallPath) -> Iterator[str]:
    """Yield one line for each way in which what is installed differs from the item.

    A missing entry is not a difference where other files may lie beside the item's own: see
    ``has_missing_files``.
    """
    keeps_modes = cache(partial(are_kept, target.store))
    for entry in item.entries:
        path = target.final / entry.path
        if not os.path.lexists(path):
            if not target.may_hold_more:
                yield f"{entry.path}: missing here"
            continue
        problem = _compare_entry(entry, path, keeps_modes, may_be_link=target.may_hold_more)
        if problem:
            yield f"{entry.path}: {problem}"
    if not target.may_hold_more:
        yield from _find_extra_paths(item, target.final)


def has_missing_files(item: Item, target: InstallPath) -> bool:
    """Tell whether any entry of the item is not installed."""
    return any(not os.path.lexists(target.final / entry.path) for entry in item.entries)


def _compare_entry(
    entry: Entry, path: Path, keeps_modes: Callable[[], bool], *, may_be_link: bool
) -> str:
    """Say how a path differs from its entry; empty if it does not."""
    try:
        match entry:
            case Link():
                same = path.is_symlink() and os.readlink(path) == entry.target  # noqa: PTH115  (exact text)
                return "" if same else "is not the same link here"
            case Folder():
                empty = path.is_dir() and not path.is_symlink() and not any(path.iterdir())
                return "" if empty else "is not an empty folder here"
            case File():
                return _compare_file(entry, path, keeps_modes, may_be_link=may_be_link)
    except OSError as error:
        return f"cannot be read here ({error.strerror})"


def _compare_file(
    entry: File, path: Path, keeps_modes: Callable[[], bool], *, may_be_link: bool
) -> str:
    # The files of a snapshot may be links to blobs of the cache; a Bento has no such links.
    status = path.stat(follow_symlinks=may_be_link)
    if not stat.S_ISREG(status.st_mode):
        return "is not a file here"
    if status.st_size != entry.size:
        return f"has {status.st_size:,} bytes here, {entry.size:,} in the bundle"
    other_mode = bool(status.st_mode & stat.S_IXUSR) != entry.executable
    if other_mode and not path.is_symlink() and keeps_modes():
        return f"is {'not ' if entry.executable else ''}executable here"
    return "" if digest_file(path) == entry.digest else "has different content here"


def _find_extra_paths(item: Item, final: Path) -> Iterator[str]:
    try:
        tree = scan(final, ignored_folders=find_kind(item.kind).ignored_folders)
    except AirgapError as error:
        yield error.message
        return
    expected = {entry.path for entry in item.entries}
    paths = [file.path for file in tree.files] + [*tree.links, *tree.empty_folders]
    yield from (f"{path}: only here" for path in sorted(paths) if path not in expected)
