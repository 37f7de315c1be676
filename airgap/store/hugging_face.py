"""The Hugging Face cache: where a snapshot lies, and which of its files a Bento takes."""

import json
import os
import shlex
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from airgap.errors import MissingError
from airgap.format import names
from airgap.store.bentoml_home import ModelReference
from airgap.store.source_tree import SourceFile, Tree, scan

__all__ = ["cache", "folder_of", "scan_snapshot"]

_NOTE_BYTES: Final = 64 * 1024 * 1024


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


def folder_of(name: str, commit: str) -> Path:
    """Return where a snapshot lies when BentoML looks for it offline: all lower case."""
    return cache() / f"models--{name}" / "snapshots" / commit


def scan_snapshot(reference: ModelReference) -> Tree:
    """List the files of a snapshot that the Bento's patterns take.

    The cache may spell the repository in mixed case, or in several; the Bento does not.

    Raises:
        MissingError: the snapshot, or a file that huggingface_hub has noted to belong to it, is
            not in the cache; or the Bento does not name a commit.
        StorageError: the cache cannot be read, or a file in it leads elsewhere.
    """
    repository, commit = reference.name.replace("--", "/", 1), reference.version
    if not names.is_commit(commit):
        raise MissingError(
            f"The Bento names revision {commit!r} of {repository}, which is not a commit.",
            "Build the Bento again while Hugging Face can be reached, so that it names one.",
        )
    files: dict[str, SourceFile] = {}
    noted: set[str] = set()
    for folder in _spellings(reference.name):
        snapshot = folder / "snapshots" / commit
        noted |= _noted(folder / "trees" / f"{commit}.json")
        if snapshot.is_dir():
            found = scan(snapshot, links_into=folder).files
            files = {file.path: file for file in found} | files
    taken = {path for path in files.keys() | noted if _takes(reference, path)}
    lacking = sorted(taken - files.keys())
    if lacking or not taken:
        raise MissingError(
            f"The Hugging Face model {repository} at {commit} is not in {cache()}, or not all"
            f" that the Bento takes of it{': ' if lacking else ''}{', '.join(lacking[:3])}.",
            f"Fetch it on this side: {_fetch_command(repository, reference)}",
        )
    return Tree(tuple(files[path] for path in sorted(taken, key=os.fsencode)), {}, ())


def _noted(path: Path) -> set[str]:
    """Return the files that huggingface_hub 2 has noted for a commit; empty if it has not.

    Only with its note can a snapshot be told from one of which a part was fetched.
    """
    try:
        with path.open("rb") as file:
            return set(json.loads(file.read(_NOTE_BYTES))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _fetch_command(repository: str, reference: ModelReference) -> str:
    """Write the command that puts the snapshot where it is looked for."""
    words = ["hf", "download", repository, "--revision", reference.version]
    for pattern in reference.include or ():
        words += ["--include", pattern]
    for pattern in reference.exclude or ():
        words += ["--exclude", pattern]
    if os.environ.get("BENTOML_HF_CACHE_DIR"):  # of which huggingface_hub knows nothing
        words += ["--cache-dir", str(cache())]
    return shlex.join(words)


def _spellings(name: str) -> list[Path]:
    """Return the repository's folders, the lower-case one first."""
    wanted = f"models--{name}"
    try:
        there = [path for path in cache().iterdir() if path.name.lower() == wanted]
    except OSError:
        return []
    return sorted(there, key=lambda path: (path.name != wanted, path.name))


def _takes(reference: ModelReference, path: str) -> bool:
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
