"""The Hugging Face cache: where a snapshot lies, and which of its files a Bento takes."""

import os
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from airgap.errors import MissingError
from airgap.format import names
from airgap.store.bentoml_home import ModelReference
from airgap.store.tree import Tree, scan

__all__ = ["cache", "folder_of", "scan_snapshot"]


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

    The cache may spell the repository in mixed case; the Bento does not.

    Raises:
        MissingError: the snapshot is not in the cache, or the Bento does not name a commit.
        StorageError: the cache cannot be read, or a file in it leads elsewhere.
    """
    repository, commit = reference.name.replace("--", "/", 1), reference.version
    if not names.is_commit(commit):
        raise MissingError(
            f"The Bento names revision {commit!r} of {repository}, which is not a commit.",
            "Build the Bento again while Hugging Face can be reached, so that it names one.",
        )
    for folder in _spellings(reference.name):
        snapshot = folder / "snapshots" / commit
        if snapshot.is_dir():
            tree = scan(snapshot, links_into=folder)
            chosen = _chosen(tree, reference.include, reference.exclude)
            if chosen.files:
                return chosen
    raise MissingError(
        f"The Hugging Face model {repository} at {commit} is not in {cache()}, or not the files"
        " that the Bento takes of it.",
        f"Fetch it on this side: hf download {repository} --revision {commit}",
    )


def _spellings(name: str) -> list[Path]:
    """Return the repository's folders, the lower-case one first."""
    wanted = f"models--{name}"
    try:
        there = [path for path in cache().iterdir() if path.name.lower() == wanted]
    except OSError:
        return []
    return sorted(there, key=lambda path: (path.name != wanted, path.name))


def _chosen(tree: Tree, include: Sequence[str] | None, exclude: Sequence[str] | None) -> Tree:
    """Keep what huggingface_hub's ``allow_patterns`` and ``ignore_patterns`` would keep."""
    kept = tuple(
        file
        for file in tree.files
        if (include is None or _matches(file.path, include))
        and not (exclude is not None and _matches(file.path, exclude))
    )
    return replace(tree, files=kept, empty_folders=())


def _matches(path: str, patterns: Sequence[str]) -> bool:
    """Match as huggingface_hub does: a pattern that ends in a slash stands for the folder."""
    return any(
        fnmatchcase(path, pattern + "*" if pattern.endswith("/") else pattern)
        for pattern in patterns
    )
