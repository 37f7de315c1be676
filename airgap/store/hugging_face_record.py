"""The record that huggingface_hub 2 keeps of a commit's files: ``trees/<commit>.json``.

With it, huggingface_hub asks no server for a snapshot whose files are all there. An import writes
it, so that a Bento loads at once on a network that drops packets. It is not part of an item: it
follows from the files, and huggingface_hub may write it anew. Older versions do not read it.

huggingface_hub records all files of a commit, whatever it fetches. An import knows only those that
came, and marks a record of its own: it proves that no file is missing of what was imported, and not
that the snapshot is complete.
"""

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from airgap.disk import durable
from airgap.disk.digests import digest_file
from airgap.disk.reading import read_bounded
from airgap.errors import AirgapError, CorruptError, MissingError
from airgap.format import limits
from airgap.format.inventory import Item
from airgap.store.install_paths import InstallPath
from airgap.store.modes import make_folder, modes_of
from airgap.store.source_tree import find_files

__all__ = ["Record", "complete_record", "read_record", "record_path", "remove_record"]

_FORMAT: Final = 1
_MARK: Final = {"written_by": "airgap"}
"""huggingface_hub ignores keys that it does not know."""
_RECORD_BYTES: Final = 64 * limits.MIB
_LARGEST_IN_GIT: Final = 10 * limits.MIB
"""The Hub takes larger files by git-lfs only; git then holds a pointer to them."""
_XET_HASH: Final = re.compile(r"[0-9a-f]{64}")

_Entries = dict[str, dict[str, Any]]


class Record(NamedTuple):
    """The files that are recorded for a commit, and whether these are all that the commit has."""

    files: frozenset[str]
    is_complete: bool


def record_path(repository: Path, commit: str) -> Path:
    """Return where the record of a commit lies in a repository's folder of the cache."""
    return repository / "trees" / f"{commit}.json"


def read_record(path: Path) -> Record:
    """Read what is recorded for a commit; no files if there is no record of any form.

    Only a complete one tells a complete snapshot from one that was fetched in part.
    """
    try:
        document = json.loads(_read(path) or b"")
        return Record(frozenset(document["files"].keys()), not _is_marked(document))
    except (AirgapError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Record(frozenset(), is_complete=False)


def complete_record(item: Item, target: InstallPath, make_part: Callable[[], Path]) -> None:
    """Add the files that lie in an installed snapshot to its record, which is made if need be.

    What is recorded already stays. A record in another form is left alone, and so is what is no
    regular file, or lies behind a link, which would be written through. ``make_part`` is
    that of ``ItemKind.record_installed``, as are the errors.
    """
    path = record_path(target.final.parent.parent, item.version)
    try:
        data = _read(path)
    except CorruptError:
        if path.parent.is_file() and not path.parent.is_symlink():
            raise NotADirectoryError(
                errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path.parent)
            ) from None
        return
    recorded = _parse(data)
    if recorded is None and _is_of_another_form(data):
        return
    entries = (recorded or {}) | _describe_files(item, target, recorded or {})
    if recorded is not None and len(entries) == len(recorded):
        return
    mark = _MARK if recorded is None or _is_marked(json.loads(data or b"")) else {}
    document = {"format_version": _FORMAT, **mark, "files": dict(sorted(entries.items()))}
    make_folder(target.store, path.parent)
    text = json.dumps(document, indent=1).encode()
    durable.replace_file(path, text, make_part(), modes_of(target.store).file)


def remove_record(target: InstallPath) -> Callable[[], object]:
    """Remove the record of an installed snapshot if an import wrote it, and its empty folder.

    What huggingface_hub wrote stays: it knows more than what was imported. Returns what writes the
    record again. Raises OSError.
    """
    path = record_path(target.final.parent.parent, target.final.name)
    try:
        raw = _read(path) or b""
        if not _is_marked(json.loads(raw)):
            return lambda: None
        mode = stat.S_IMODE(path.lstat().st_mode)
    except (AirgapError, OSError, ValueError, AttributeError, RecursionError):
        return lambda: None

    def restore() -> None:
        path.parent.mkdir(exist_ok=True)
        durable.replace_file(path, raw, mode=mode)

    path.unlink(missing_ok=True)
    with suppress(OSError):  # records of other commits are there
        path.parent.rmdir()
    return restore


def _is_marked(document: Mapping[str, Any]) -> bool:
    return all(document.get(key) == value for key, value in _MARK.items())


def _read(path: Path) -> bytes | None:
    """Read a record; None if it does not exist. Raises CorruptError, StorageError."""
    try:
        return read_bounded(path.parents[1], f"{path.parent.name}/{path.name}", _RECORD_BYTES)
    except MissingError:
        return None


def _describe_files(item: Item, target: InstallPath, recorded: Mapping[str, object]) -> _Entries:
    """Describe the files of a snapshot that are not recorded, as the Hub would."""
    digests = {file.path: file.digest for file in item.files}
    return {
        file.path: _describe(Path(file.location), file.size, digests.get(file.path))
        for file in find_files(target.final, target.store)
        if file.path not in recorded
    }


def _describe(path: Path, size: int, digest: bytes | None) -> dict[str, Any]:
    """Make the entry of a file: its size, and the id of its object in git."""
    if size <= _LARGEST_IN_GIT:
        return {"size": size, "blob_id": _git_blob_id(path.read_bytes())}
    sha256 = (digest or digest_file(path)).hex()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    return {
        "size": size,
        "blob_id": _git_blob_id(pointer.encode()),
        "lfs_sha256": sha256,
        "lfs_size": size,
    }


def _git_blob_id(content: bytes) -> str:
    data = b"blob %d\0%b" % (len(content), content)
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _parse(data: bytes | None) -> _Entries | None:
    """Return the entries of a record; None if huggingface_hub 2 would not use it."""
    try:
        document = json.loads(data or b"")
        if document["format_version"] != _FORMAT:
            return None
        entries: _Entries = document["files"]
        return entries if all(map(_is_usable, entries.values())) else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _is_usable(entry: Mapping[str, Any]) -> bool:
    xet_hash = entry.get("xet_hash")
    return {"size", "blob_id"} <= entry.keys() and (
        xet_hash is None or _XET_HASH.fullmatch(xet_hash) is not None
    )


def _is_of_another_form(data: bytes | None) -> bool:
    """Tell whether a newer huggingface_hub may have written this."""
    try:
        return bool(json.loads(data or b"")["format_version"] != _FORMAT)
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
