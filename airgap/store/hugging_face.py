"""Hugging Face snapshots: where the cache has them, and which of their files a Bento takes."""

import json
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from airgap.disk.presence import is_folder
from airgap.disk.reading import read_small
from airgap.errors import CommandLine, ConfigurationError, MissingError, UsageError
from airgap.format import limits, names
from airgap.format.inventory import Item
from airgap.format.kinds import HUGGING_FACE
from airgap.printable import quote
from airgap.store.hugging_face_record import (
    complete_record,
    read_record,
    record_path,
    remove_record,
)
from airgap.store.install_paths import InstallPath
from airgap.store.item_kind import ItemKind, Reference, Source
from airgap.store.source_tree import SourceFile, Tree, is_unchanged, scan

__all__ = ["HuggingFaceSnapshots", "cache"]

_BENTOML_VARIABLE: Final = "BENTOML_HF_CACHE_DIR"
_INDEX: Final = ".index.json"
_INDEX_BYTES: Final = 64 * limits.MIB


def cache() -> Path:
    """Return the cache: ``BENTOML_HF_CACHE_DIR``, else where huggingface_hub looks.

    As there, a variable that is set and empty stands for the current folder.

    Raises:
        ConfigurationError: the path begins with ``~`` and a user without a home.
    """
    path = os.environ.get(_BENTOML_VARIABLE)
    try:
        return Path(_hub_cache() if path is None else path).expanduser().absolute()
    except RuntimeError as error:
        raise ConfigurationError(
            "The path of the Hugging Face cache begins with the home of an unknown user.",
            f"Write out the path in {_BENTOML_VARIABLE} or HF_HUB_CACHE.",
        ) from error


def _hub_cache() -> str:
    """Return ``HF_HUB_CACHE`` as huggingface_hub 2 does (its ``constants.py``), step by step."""
    path, environ = os.path, os.environ
    cache_home = environ.get("XDG_CACHE_HOME", path.join(path.expanduser("~"), ".cache"))
    home = environ.get("HF_HOME", path.join(cache_home, "huggingface"))
    home = path.expandvars(path.expanduser(home))
    named = environ.get("HUGGINGFACE_HUB_CACHE", path.join(home, "hub"))
    return path.expandvars(path.expanduser(environ.get("HF_HUB_CACHE", named)))


class HuggingFaceSnapshots(ItemKind):
    """Snapshots of repositories, each at a commit; a Bento may take some of the files only."""

    rules = HUGGING_FACE
    store_title = "Hugging Face cache"
    has_tags = False

    def store(self) -> Path:
        """Return the cache."""
        return cache()

    def install_path(self, name: str, version: str) -> InstallPath:
        """Return where BentoML looks for a snapshot offline: all lower case."""
        final = cache() / f"models--{name}" / "snapshots" / version
        return InstallPath(final, cache(), None, may_hold_more=True)

    def find(self, tag: str) -> tuple[str, str]:
        """Refuse: no one names a snapshot. Raises UsageError."""
        raise UsageError(
            f"The Hugging Face model {quote(tag)} cannot be named on its own.",
            "Name a Bento that uses it: its models travel with it.",
        )

    def scan(self, reference: Reference) -> Source:
        """List the files of a snapshot that the Bento's patterns take.

        The cache may spell the repository in mixed case, or in several; the Bento does not.

        Raises:
            MissingError: the snapshot is not in the cache, or not a file that huggingface_hub has
                recorded as part of it, or that an index in it names beside others that are there;
                or the Bento does not name a commit.
            StorageError: the cache cannot be read, or a link in it leads out of it.
        """
        tree, notes = _scan(reference)
        return Source(reference.kind, reference.name, reference.version, 0, tree, notes=notes)

    def list_installed(self) -> Iterator[tuple[str, str]]:
        """Yield name and commit of every snapshot under the name that BentoML looks for, sorted.

        Those that other programs fetched are among them, complete or not.
        """
        for path in sorted(cache().glob("models--*/snapshots/*")):
            name = path.parents[1].name.removeprefix("models--")
            if self.rules.is_tag(name, path.name) and is_folder(path):
                yield name, path.name

    def record_installed(
        self, item: Item, target: InstallPath, make_part: Callable[[], Path]
    ) -> None:
        """Record the snapshot for huggingface_hub; see ``complete_record``."""
        complete_record(item, target, make_part)

    def forget_installed(self, target: InstallPath) -> Callable[[], object]:
        """Remove the record of a snapshot, if an import wrote it; see ``remove_record``."""
        return remove_record(target)

    def has_changed(self, source: Source) -> bool:
        """Tell whether a file has changed.

        The snapshot may gain files meanwhile: which of them belong to the item was chosen before.
        """
        return not all(map(is_unchanged, source.tree.files))


def _scan(reference: Reference) -> tuple[Tree, tuple[str, ...]]:
    """Return the files, and notes about them."""
    repository, commit = reference.name.replace("--", "/", 1), reference.version
    if not names.is_commit(commit):
        raise MissingError(
            f"The Bento names revision {commit!r} of {repository}, which is not a commit.",
            "Build the Bento again while Hugging Face can be reached, so that it names one.",
        )
    files: dict[str, SourceFile] = {}
    recorded: set[str] = set()
    is_complete = False
    spellings = _list_spellings(reference.name)
    for folder in spellings:
        snapshot = folder / "snapshots" / commit
        record = read_record(record_path(folder, commit))
        recorded |= record.files
        is_complete |= record.is_complete
        if is_folder(snapshot):
            cached = scan(snapshot, links_into=_blob_folders(folder)).files
            files = {file.path: file for file in cached} | files
    paths = {path for path in files.keys() | recorded if _is_selected(reference, path)}
    if not is_complete:  # a complete record says more than an index does
        paths |= _list_shards(reference, [files[path] for path in sorted(paths & files.keys())])
    missing = sorted(paths - files.keys())
    fetch = CommandLine(_format_fetch_command(repository, reference))
    if missing or not paths:
        raise MissingError(
            f"The Hugging Face model {repository} at {commit} is not in {cache()}, or not all"
            f" that the Bento takes of it{': ' if missing else ''}{', '.join(missing[:3])}.",
            "Fetch what is missing on this side, with `hf download` as above.",
            [fetch],
        )
    tree = Tree(tuple(files[path] for path in sorted(paths, key=os.fsencode)), {}, ())
    return tree, () if is_complete else tuple(_note_unfinished(spellings, fetch))


def _blob_folders(repository: Path) -> list[Path]:
    """Return the folders that the links of a snapshot may lead into.

    A repository's ``blobs`` may be a link to another disk, and huggingface_hub 2 shares blobs of
    all repositories in the ``blobs`` of the cache.
    """
    return [repository, repository / "blobs", cache() / "blobs"]


def _list_shards(reference: Reference, files: Sequence[SourceFile]) -> set[str]:
    """Return the files that an index among these names, if any of them is there.

    If none is, the index is a leftover in its repository. What the Bento does not take is not
    returned.
    """
    paths = {file.path for file in files}
    shards: set[str] = set()
    for file in files:
        if file.path.endswith(_INDEX):
            folder = file.path.rpartition("/")[0]
            named = {f"{folder}/{name}".lstrip("/") for name in _read_index(file)}
            taken = {path for path in named if _is_selected(reference, path)}
            shards |= taken if taken & paths else set()
    return shards


def _read_index(file: SourceFile) -> set[str]:
    """Return the names of files in an index of weights; none if it is not one."""
    try:
        document = json.loads(read_small(Path(file.location), _INDEX_BYTES))
        return {name for name in document["weight_map"].values() if isinstance(name, str)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()


def _note_unfinished(repositories: Sequence[Path], fetch: str) -> Iterator[str]:
    for folder in repositories:
        unfinished = sum(1 for _ in folder.glob("blobs/*.incomplete"))
        if unfinished:
            yield (
                f"{folder / 'blobs'} has {unfinished:,} unfinished downloads (*.incomplete). If one"
                f" is a file of this snapshot, the snapshot is not complete. Fetch it on"
                f" this side: {fetch}"
            )


def _format_fetch_command(repository: str, reference: Reference) -> str:
    """Write the command that puts the snapshot where BentoML looks for it."""
    words = ["hf", "download", repository, "--revision", reference.version]
    for pattern in reference.include or ():
        words += ["--include", pattern]
    for pattern in reference.exclude or ():
        words += ["--exclude", pattern]
    if _BENTOML_VARIABLE in os.environ:  # huggingface_hub does not read it
        words += ["--cache-dir", str(cache())]
    return shlex.join(words)


def _list_spellings(name: str) -> list[Path]:
    """Return the repository's folders, the lower-case one first."""
    wanted = f"models--{name}"
    try:
        folders = [path for path in cache().iterdir() if path.name.lower() == wanted]
    except OSError:
        return []
    return sorted(folders, key=lambda path: (path.name != wanted, path.name))


def _is_selected(reference: Reference, path: str) -> bool:
    """Tell what huggingface_hub's ``allow_patterns`` and ``ignore_patterns`` would keep."""
    include, exclude = reference.include, reference.exclude
    return (include is None or _matches(path, include)) and not (
        exclude is not None and _matches(path, exclude)
    )


def _matches(path: str, patterns: Sequence[str]) -> bool:
    """Match as huggingface_hub does: a pattern that ends in a slash stands for the folder."""
    return any(
        fnmatchcase(path, pattern + "*" if pattern.endswith("/") else pattern)
        for pattern in patterns
    )
