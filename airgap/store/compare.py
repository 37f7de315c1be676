"""Whether a folder is an item: file by file, by content."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from airgap.disk.digests import digest_file
from airgap.errors import AirgapError
from airgap.format.inventory import Entry, File, Folder, Item, Link
from airgap.store.install_paths import InstallPath
from airgap.store.kinds import find_kind
from airgap.store.source_tree import scan

__all__ = ["find_differences", "has_missing_files"]


def find_differences(item: Item, place: InstallPath) -> Iterator[str]:
    """Yield one line for each way in which what is installed is not the item.

    What is missing where more may lie beside it is no difference: see ``missing_files``.
    """
    for entry in item.entries:
        path = place.final / entry.path
        if not os.path.lexists(path):
            if not place.may_hold_more:
                yield f"{entry.path}: missing here"
            continue
        problem = _compare_entry(entry, path, may_be_link=place.may_hold_more)
        if problem:
            yield f"{entry.path}: {problem}"
    if not place.may_hold_more:
        yield from _find_extra_paths(item, place.final)


def has_missing_files(item: Item, place: InstallPath) -> bool:
    """Tell whether any entry of the item is not installed."""
    return any(not os.path.lexists(place.final / entry.path) for entry in item.entries)


def _compare_entry(entry: Entry, path: Path, *, may_be_link: bool) -> str:
    try:
        match entry:
            case Link():
                same = path.is_symlink() and os.readlink(path) == entry.target  # noqa: PTH115  (exact text)
                return "" if same else "is not that link here"
            case Folder():
                empty = path.is_dir() and not path.is_symlink() and not any(path.iterdir())
                return "" if empty else "is not an empty folder here"
            case File():
                return _compare_file(entry, path, may_be_link=may_be_link)
    except OSError as error:
        return f"cannot be read here ({error.strerror})"


def _compare_file(entry: File, path: Path, *, may_be_link: bool) -> str:
    # A snapshot's files may be links into the cache's blobs; a Bento's lie where they are.
    found = path.stat(follow_symlinks=may_be_link)
    if not stat.S_ISREG(found.st_mode):
        return "is not a file here"
    if found.st_size != entry.size:
        return f"has {found.st_size:,} bytes here, {entry.size:,} in the bundle"
    if bool(found.st_mode & stat.S_IXUSR) != entry.executable and not path.is_symlink():
        return f"is {'not ' if entry.executable else ''}executable here"
    return "" if digest_file(path) == entry.digest else "has other content here"


def _find_extra_paths(item: Item, final: Path) -> Iterator[str]:
    try:
        tree = scan(final, without=find_kind(item.kind).ignored_folders)
    except AirgapError as error:
        yield error.message
        return
    known = {entry.path for entry in item.entries}
    there = [file.path for file in tree.files] + [*tree.links, *tree.empty_folders]
    yield from (f"{path}: only here" for path in sorted(there) if path not in known)
