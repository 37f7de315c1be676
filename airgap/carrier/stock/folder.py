"""A folder that ``bentoml.import_bento(path, "folder")`` reads (format §10)."""

import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from airgap.carrier.stock.port import Member, check_member
from airgap.disk.durable import sync_file_system, sync_folder
from airgap.disk.os_errors import translate_errors
from airgap.disk.permissions import set_mode
from airgap.disk.reading import open_regular
from airgap.errors import ConflictError, CorruptError
from airgap.format import limits

__all__ = ["FolderReader", "FolderWriter"]

_PIECE: Final = limits.MIB


class FolderReader:
    """Reads a folder, in path order, without following a link."""

    def __init__(self, path: Path) -> None:
        """Name the folder."""
        self.location = str(path)
        self._path = path

    def members(self) -> Iterator[tuple[Member, Iterator[bytes]]]:
        """Yield each member with its bytes; see ``MemberReader``."""
        with translate_errors(self._path):
            yield from self._walk("")

    def _walk(self, folder: str) -> Iterator[tuple[Member, Iterator[bytes]]]:
        for name in sorted(os.listdir(self._path / folder)):  # noqa: PTH208  (names, not paths)
            path = f"{folder}/{name}" if folder else name
            # The path is checked before anything is done with it, and bounds the depth.
            status = (self._path / check_member(Member(path), self.location).path).lstat()
            if stat.S_ISDIR(status.st_mode):
                yield Member(path, "folder"), iter(())
                yield from self._walk(path)
            elif stat.S_ISLNK(status.st_mode):
                target = os.readlink(self._path / path)  # noqa: PTH115  (exact text)
                yield Member(path, "link", target=target), iter(())
            elif stat.S_ISREG(status.st_mode):
                member = Member(path, "file", status.st_size, bool(status.st_mode & stat.S_IXUSR))
                yield member, self._content(member)
            else:
                raise CorruptError(
                    f"{self._path / path} is neither a file nor a folder nor a link.",
                    "Copy the folder from its source again.",
                )

    def _content(self, member: Member) -> Iterator[bytes]:
        """Yield a file's bytes; it must have as many as when it was listed."""
        left = check_member(member, self.location).size
        with (
            open_regular(self._path, member.path) as descriptor,
            open(descriptor, "rb", buffering=0, closefd=False) as file,
        ):
            while piece := file.read(min(_PIECE, left + 1)):
                left -= len(piece)
                if left < 0:
                    break
                yield piece
        if left:
            raise CorruptError(
                f"{self._path / member.path} changed while it was read.",
                "Copy the folder from its source again.",
            )


class FolderWriter:
    """Puts a folder together under another name."""

    def __init__(self, path: Path) -> None:
        """Make the folder under its other name.

        Raises:
            ConflictError: something other than an empty folder is there.
            StorageError: it cannot be made.
        """
        self._path = path
        with translate_errors(path):
            if os.path.lexists(path) and (not path.is_dir() or any(path.iterdir())):
                raise ConflictError(
                    f"{path} is already there.", "Give the name of a folder that is not there."
                )
            self._part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
            self._part.mkdir(parents=True)

    def add(self, member: Member, pieces: Iterable[bytes] = ()) -> None:
        """Add a file, a link or an empty folder."""
        path = self._part / member.path
        with translate_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if member.kind == "folder":
                path.mkdir()
            elif member.kind == "link":
                path.symlink_to(member.target)
            else:
                with path.open("xb") as file:
                    file.writelines(pieces)
                set_mode(path, 0o755 if member.executable else 0o644)

    def publish(self) -> None:
        """Sync, rename."""
        with translate_errors(self._path):
            sync_file_system(self._part)
            self._part.rename(self._path)
            sync_folder(self._path.parent)

    def abort(self) -> None:
        """Remove the incomplete folder."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self._part)
