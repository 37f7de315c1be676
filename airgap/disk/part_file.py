"""Files that have another name until they are complete (format §8)."""

import glob
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from airgap.codec.buffer import Buffer
from airgap.disk import durable, locks
from airgap.disk.descriptors import open_without_waiting
from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_bounded
from airgap.errors import ConflictError

__all__ = [
    "PartFile",
    "drain",
    "remove_abandoned",
    "write_atomically",
    "write_json",
    "write_together",
]

_PART: Final = re.compile(r".+\.[0-9a-f]{16}\.part", re.DOTALL)


class PartFile:
    """A file that has another name until it is complete (format §8).

    It is locked while it is written: so a part that a killed process left is distinguished from one
    that another process is still writing.
    """

    def __init__(self, path: Path) -> None:
        """Make the folder and the part, after removing abandoned parts of this file.

        Raises:
            OSError: the disk refused.
        """
        self._path = path
        durable.make_folder(path.parent)
        remove_abandoned(path.parent.glob(f"{glob.escape(path.name)}.*.part"))
        self._part, self.file = _open_part(path)

    def publish(self, name: str = "") -> None:
        """Sync, rename (to another name in its folder, if given), sync the folder.

        Raises:
            OSError: the disk refused.
        """
        durable.flush(self.file)
        self._part.replace(self._path.with_name(name) if name else self._path)
        self.file.close()
        durable.sync_folder(self._path.parent)

    def discard(self) -> None:
        """Close, and remove the part if it still has its own name."""
        with suppress(OSError):
            self._part.unlink()
        with suppress(OSError):
            self.file.close()


def remove_abandoned(parts: Iterable[Path]) -> None:
    """Remove parts that no process writes any more, and nothing else that resembles them."""
    for part in parts:
        if not _PART.fullmatch(part.name):
            continue
        with suppress(OSError):
            descriptor = open_without_waiting(part, os.O_NOFOLLOW)
            try:
                if not locks.is_held(descriptor):
                    part.unlink()
            finally:
                os.close(descriptor)


def write_atomically(top: Path, name: str, parts: Iterable[Buffer]) -> None:
    """Write a file under another name, sync it, and rename it (format §8).

    Raises:
        StorageError: the disk refused; nothing is left behind.
    """
    path = top / name
    with translate_errors(path):
        part = PartFile(path)
        try:
            part.file.writelines(parts)
            part.publish()
        finally:
            part.discard()


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a report for people and programs. Raises StorageError."""
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path.parent, path.name, [text.encode()])


def write_together(top: Path, files: Sequence[tuple[str, bytes]]) -> None:
    """Write small files that belong together, the last one last, unless all exist.

    Raises:
        ConflictError: all exist, and several with other content. A single file is overwritten.
        StorageError: the disk refused.
    """
    if len(files) > 1 and all((top / name).exists() for name, _ in files):
        if all(read_bounded(top, name, len(data) + 1) == data for name, data in files):
            return
        raise ConflictError(
            f"{top / files[-1][0]} is another signature by this key.",
            "A key signs a bundle once; to withdraw the signature, revoke the bundle in the root.",
        )
    for name, data in files:
        write_atomically(top, name, [data])


def drain(parts: list[Buffer]) -> Iterator[Buffer]:
    """Yield all parts and drop each from the list, so that written ones need no memory any more."""
    parts.reverse()
    while parts:
        yield parts.pop()


def _open_part(path: Path) -> tuple[Path, BinaryIO]:
    """Make a part of a file, and lock it.

    Another process that looks for abandoned parts may come between the two, and remove it.
    """
    while True:
        part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
        file = part.open("xb")
        try:
            with suppress(OSError):  # some file systems have no locks
                locks.lock(file.fileno())
            if part.exists():
                return part, file
        except BaseException:
            part.unlink(missing_ok=True)
            file.close()
            raise
        file.close()
