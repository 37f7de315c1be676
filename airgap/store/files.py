"""Folders that Bentos read at run time, in ``files/`` of BentoML's home (format §25)."""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_if_exists
from airgap.errors import CorruptError, StorageError
from airgap.format import files as documents
from airgap.format import limits, names
from airgap.format.files import check_files
from airgap.format.inventory import Entry, File, Folder, Item, Link
from airgap.format.kinds import FILES
from airgap.store.content_kind import ContentKind
from airgap.store.item_kind import Source
from airgap.store.source_tree import SourceFile, Tree, read_stable, scan, scan_file

__all__ = ["Files", "FilesFolder", "check_installed", "make_source"]


class Files(ContentKind):
    """Folders: encodings of tokenizers, data of NLTK, checkpoints of a hub."""

    rules = FILES
    folder = "files"

    @staticmethod
    def check_content(item: Item, description: bytes) -> None:
        """Compare the folder with ``files.json``; see ``check_files``."""
        check_files(item, description)


@dataclass(frozen=True, slots=True)
class FilesFolder:
    """A folder on this machine that is to travel as an item.

    ``variable`` is the environment variable that names the folder to a Bento; empty if none does.
    """

    name: str
    path: Path
    variable: str = ""


def make_source(folder: FilesFolder, private: Path) -> Source:
    """Make an item of a folder; it is read once, for the version is the digest of its content.

    ``private`` is a folder of the caller's own, which gets ``files.json``.

    Raises:
        StorageError: the folder is empty, a link leads out of it, or it cannot be read; as
            ``source_tree.scan``.
        OSError: ``files.json`` cannot be written.
    """
    tree = scan(folder.path)
    if not (tree.files or tree.links or tree.empty_folders):
        raise StorageError(
            f"{folder.path} is empty.", f"Name the folder that holds the files of {folder.name}."
        )
    for path, target in tree.links.items():
        if names.target_problem(path, target, frozenset()):
            raise StorageError(
                f"{folder.path / path} is a link that leads out of {folder.path} (to {target}).",
                "Put the file there in place of the link.",
            )
    tree = _move_below(documents.CONTENT, tree)
    raw = documents.encode(documents.describe(folder.name, _list_entries(tree), folder.variable))
    description = private / documents.DESCRIPTION
    description.write_bytes(raw)
    changed = max((file.times[0] for file in tree.files), default=0)
    os.utime(description, ns=(changed, changed))  # the same folder gives the same bundle
    files = (*tree.files, scan_file(description, documents.DESCRIPTION))
    version = documents.version_of(raw)
    return Source(FILES.name, folder.name, version, 0, replace(tree, files=files))


def check_installed(name: str, version: str) -> None:
    """Compare every file of an installed item with its ``files.json``, and that with its version.

    Raises:
        CorruptError: something was changed, added or removed.
        StorageError: something cannot be read.
    """
    folder = Files().install_path(name, version).final
    with translate_errors(folder):
        raw = read_if_exists(folder / documents.DESCRIPTION, limits.FILES_DESCRIPTION_BYTES) or b""
    hint = "Import the bundle that brought it again, with --replace."
    if documents.version_of(raw) != version:
        raise CorruptError(
            f"{folder / documents.DESCRIPTION} is damaged (SHA-256 begins with"
            f" {documents.version_of(raw)}, expected {version}).",
            hint,
        )
    expected = documents.decode(raw)
    tree = _move_below(documents.CONTENT, scan(folder / documents.CONTENT.rstrip("/")))
    actual = documents.describe(expected.name, _list_entries(tree), expected.variable)
    if actual != expected:
        raise CorruptError(
            f"{folder} is not what its {documents.DESCRIPTION} says: a file was changed, added or"
            " removed.",
            hint,
        )


def _move_below(prefix: str, tree: Tree) -> Tree:
    """Return the tree with each path below a folder; targets of links are relative, and stay."""
    return Tree(
        tuple(file._replace(path=prefix + file.path) for file in tree.files),
        {prefix + path: target for path, target in tree.links.items()},
        tuple(prefix + path for path in tree.empty_folders),
    )


def _list_entries(tree: Tree) -> list[Entry]:
    """Describe all of a tree. Raises StorageError as ``read_stable``."""
    return [
        *(File(file.path, file.executable, file.size, _digest(file), ()) for file in tree.files),
        *(Link(path, target) for path, target in tree.links.items()),
        *map(Folder, tree.empty_folders),
    ]


def _digest(file: SourceFile) -> bytes:
    digest = hashlib.sha256()
    for data in read_stable(file):
        digest.update(data)
    return digest.digest()
