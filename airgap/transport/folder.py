"""A local folder as a transport: for ``file://``, and the reference for the contract tests."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from airgap.disk.descriptors import open_folder, open_part, publish_part, remove_file
from airgap.disk.os_errors import raise_translated, translate_errors
from airgap.disk.reading import list_names, open_regular
from airgap.errors import CorruptError, MissingError, StorageError
from airgap.transport import names
from airgap.transport.port import Capabilities, Pace, Sink, Stored

__all__ = ["FolderTransport"]

_PIECE_BYTES: Final = 1024 * 1024


class FolderTransport:
    """Files below one folder; no part of a path may be a link."""

    object_lock: None = None
    capabilities = Capabilities(
        resumes_uploads=True, replaces_atomically=True, creates_exclusively=True
    )

    def __init__(self, top: Path) -> None:
        """Take the folder; it is made with the first file."""
        self.location = str(top)
        self._top = top

    def size(self, name: str) -> int | None:
        """Return a file's size, or None; see ``Transport``."""
        try:
            with open_regular(self._top, names.check_name(name)) as descriptor:
                return os.fstat(descriptor).st_size
        except MissingError:
            return None

    def list(self, folder: str, limit: int) -> list[str]:
        """Return the names in a folder; see ``Transport``."""
        try:
            return list_names(self._top, names.check_folder_name(folder) or ".", limit)
        except MissingError:
            return []

    def get(self, name: str, sink: Sink, offset: int = 0, length: int | None = None) -> int:
        """Send a file's bytes to the sink; see ``Transport``."""
        sent = 0
        with open_regular(self._top, names.check_name(name)) as original:
            size = os.fstat(original).st_size
            descriptor = os.dup(original)  # an OSError of the sink is not ours: do not translate it
        # Most files of a depot are small; to clear a whole piece takes longer than to read them.
        buffer = memoryview(bytearray(min(_PIECE_BYTES, max(size - offset, 1))))
        try:
            while length is None or sent < length:
                want = len(buffer) if length is None else min(len(buffer), length - sent)
                with self._translate_errors(name):
                    got = os.preadv(descriptor, [buffer[:want]], offset + sent)
                if not got:
                    break
                sink(buffer[:got])
                sent += got
        finally:
            os.close(descriptor)
        return sent

    def put(
        self,
        name: str,
        source: Path,
        size: int,
        part: str | None = None,
        pace: Pace | None = None,
    ) -> Stored:
        """Copy a file into the folder; see ``Transport``."""
        part = names.check_name(part or names.name_part(name))
        if self.size(name) == size:
            return "exists"
        with self._open_parent(part) as (folder, last), self._translate_errors(name):
            descriptor = open_part(folder, last)
            try:
                offset = self._resume_at(descriptor, name, size)
                _append(descriptor, source, offset, pace or _no_pace)
                _check_size(descriptor, source, size)
                publish_part(folder, descriptor, last, name.rpartition("/")[2])
            finally:
                os.close(descriptor)
        return "resumed" if offset else "stored"

    def publish(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """Write a small file, whole or not at all; see ``Transport``."""
        part = f"{names.check_name(name)}.{secrets.token_hex(8)}.part"
        with self._open_parent(part) as (folder, last), self._translate_errors(name):
            descriptor = open_part(folder, last, new=True)
            try:
                _write_all(descriptor, data)
                return publish_part(
                    folder, descriptor, last, name.rpartition("/")[2], replace=replace
                )
            finally:
                os.close(descriptor)
                remove_file(folder, last)

    def delete(self, name: str) -> None:
        """Remove a file; see ``Transport``."""
        path = Path(names.check_name(name))
        try:
            with self._open_folder(path.parent.parts) as folder, self._translate_errors(name):
                remove_file(folder, path.name)
        except MissingError:
            return

    def clone(self) -> "FolderTransport":
        """Return another of the same folder."""
        return FolderTransport(self._top)

    def close(self) -> None:
        """Nothing is kept open."""

    @contextmanager
    def _translate_errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise_translated(error, self._top, name)

    @contextmanager
    def _open_parent(self, name: str) -> Iterator[tuple[int, str]]:
        """Make and open the parent folder of a file; yield it, and the file's name in it."""
        *folders, last = name.split("/")
        with translate_errors(self._top):
            self._top.mkdir(parents=True, exist_ok=True)
        with self._open_folder(tuple(folders), make=True) as folder:
            yield folder, last

    @contextmanager
    def _open_folder(self, folders: tuple[str, ...], *, make: bool = False) -> Iterator[int]:
        """Open a folder below the top without following links."""
        with (
            self._translate_errors("/".join(folders)),
            open_folder(self._top, folders, make=make) as descriptor,
        ):
            yield descriptor

    def _resume_at(self, descriptor: int, name: str, size: int) -> int:
        """Return the length of an existing part, after emptying one that is too long."""
        part = os.fstat(descriptor)
        if not stat.S_ISREG(part.st_mode):
            raise CorruptError(f"{self._top / name}.part is not a regular file.", "Remove it.")
        if part.st_size <= size:
            return part.st_size
        os.ftruncate(descriptor, 0)
        return 0


def _append(descriptor: int, source: Path, offset: int, pace: Pace) -> None:
    """Copy a file's bytes from an offset on."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    with source.open("rb", buffering=0) as file:
        file.seek(offset)
        while piece := file.read(_PIECE_BYTES):
            pace(len(piece))
            _write_all(descriptor, piece)


def _check_size(descriptor: int, source: Path, size: int) -> None:
    if os.fstat(descriptor).st_size != size:
        raise StorageError(f"{source} changed while it was copied.", "Run the same command again.")


def _no_pace(_: int) -> None:
    """Send without waiting."""


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
