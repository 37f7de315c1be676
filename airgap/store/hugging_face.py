"""Hugging Face snapshots: where the cache has them, and which of their files a Bento takes."""

import json
import os
import shlex
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from airgap.disk.reading import read_open
from airgap.errors import MissingError, UsageError
from airgap.format import names
from airgap.format.kinds import HUGGING_FACE
from airgap.store.install_paths import InstallPath
from airgap.store.item_kind import ItemKind, Reference, Source
from airgap.store.source_tree import SourceFile, Tree, is_unchanged, scan

__all__ = ["HuggingFaceSnapshots", "cache"]

_RECORD_BYTES: Final = 64 * 1024 * 1024


def cache() -> Path:
    """Return the cache: ``BENTOML_HF_CACHE_DIR``, else where huggingface_hub looks."""
    named = ("BENTOML_HF_CACHE_DIR", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
    for variable in named:
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser().absolute()
    top = os.environ.get("HF_HOME")
    if not top:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        top = str(Path(base) / "huggingface")
    return (Path(top).expanduser() / "hub").absolute()


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
            f"The Hugging Face model {tag!r:.200} cannot be named on its own.",
            "Name a Bento that uses it: its models travel with it.",
        )

    def scan(self, reference: Reference) -> Source:
        """List the files of a snapshot that the Bento's patterns take.

        The cache may spell the repository in mixed case, or in several; the Bento does not.

        Raises:
            MissingError: the snapshot, or a file that huggingface_hub has recorded as part of it,
                is not in the cache; or the Bento does not name a commit.
            StorageError: the cache cannot be read, or a link in it leads out of it.
        """
        return Source(reference.kind, reference.name, reference.version, 0, _scan(reference))

    def has_changed(self, source: Source) -> bool:
        """Tell whether a file has changed.

        The snapshot may gain files meanwhile: which of them belong to the item was chosen before.
        """
        return not all(map(is_unchanged, source.tree.files))


def _scan(reference: Reference) -> Tree:
    repository, commit = reference.name.replace("--", "/", 1), reference.version
    if not names.is_commit(commit):
        raise MissingError(
            f"The Bento names revision {commit!r} of {repository}, which is not a commit.",
            "Build the Bento again while Hugging Face can be reached, so that it names one.",
        )
    files: dict[str, SourceFile] = {}
    recorded: set[str] = set()
    for folder in _list_spellings(reference.name):
        snapshot = folder / "snapshots" / commit
        recorded |= _read_record(folder / "trees" / f"{commit}.json")
        if snapshot.is_dir():
            cached = scan(snapshot, links_into=folder).files
            files = {file.path: file for file in cached} | files
    paths = {path for path in files.keys() | recorded if _is_selected(reference, path)}
    missing = sorted(paths - files.keys())
    if missing or not paths:
        raise MissingError(
            f"The Hugging Face model {repository} at {commit} is not in {cache()}, or not all"
            f" that the Bento takes of it{': ' if missing else ''}{', '.join(missing[:3])}.",
            f"Fetch it on this side: {_format_fetch_command(repository, reference)}",
        )
    return Tree(tuple(files[path] for path in sorted(paths, key=os.fsencode)), {}, ())


def _read_record(path: Path) -> set[str]:
    """Return the files that huggingface_hub 2 has recorded for a commit; empty if it has not.

    Only the record tells a complete snapshot from one that was fetched in part.
    """
    try:
        with path.open("rb") as file:
            return set(json.loads(read_open(file, _RECORD_BYTES))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _format_fetch_command(repository: str, reference: Reference) -> str:
    """Write the command that puts the snapshot where BentoML looks for it."""
    words = ["hf", "download", repository, "--revision", reference.version]
    for pattern in reference.include or ():
        words += ["--include", pattern]
    for pattern in reference.exclude or ():
        words += ["--exclude", pattern]
    if os.environ.get("BENTOML_HF_CACHE_DIR"):  # huggingface_hub does not read it
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
