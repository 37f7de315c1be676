"""What may be uploaded under which name, and how much: no network, no sessions."""

import errno
import os
import re
import stat
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final, Literal

from airgap.format import layout, names
from airgap.server.intake.discovery import UNFINISHED

__all__ = [
    "PART",
    "RESERVED",
    "Delivered",
    "Name",
    "OpenUploads",
    "Quota",
    "Receiving",
    "parse",
    "usage",
]

PART: Final = ".part"
RESERVED: Final = (layout.ARCHIVE_SUFFIX, UNFINISHED, PART)
"""What names of folders do not end in."""
MOST_DEPTH: Final = 8
MOST_REMEMBERED: Final = 10_000
_TEXTS: Final = frozenset({layout.README_NAME, "verify.py", "checksums.txt"})

Kind = Literal["archive", "named by content", "signature", "text"]
_PACK: Final = re.compile(r"packs/([0-9a-f]{2})/\1[0-9a-f]{62}\.pack")
_PART: Final = re.compile(r"(.+?)(\.[0-9a-f]{1,64})?\.part", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Name:
    """A name that may be uploaded. ``final`` is what it shall be called when it is whole."""

    path: str
    final: str
    kind: Kind

    @property
    def is_part(self) -> bool:
        """Whether whoever uploads it will rename it when it is whole."""
        return self.path != self.final

    @property
    def is_small(self) -> bool:
        """Whether it gets its name as soon as it has arrived: nothing tells whether it is whole."""
        return self.kind in ("signature", "text")

    @property
    def stored(self) -> str:
        """Under which name it lies until then."""
        if self.is_part:
            return self.path
        return self.path + UNFINISHED


def parse(path: str) -> Name | None:
    """Read a path below a home; None if nothing may be called so.

    Only what a bundle is made of (format §8, §9) has a place here, and ``<name>.part``.
    """
    found = _PART.fullmatch(path)
    final = found[1] if found else path
    kind = _kind(final)
    if kind is None or folder_problem(path):
        return None
    return Name(path, final, kind)


def folder_problem(path: str) -> str | None:
    """Say why a folder, or a file in one, may not be called so; None if it may."""
    if path.count("/") >= MOST_DEPTH:
        return "is too deep"
    problem = names.path_problem(path)
    if problem is None and any(part.startswith(".") for part in path.split("/")):
        problem = "has a hidden part"
    return problem


def _kind(path: str) -> Kind | None:
    parts = path.split("/")
    last, tail = parts[-1], "/".join(parts[-3:])
    if _PACK.fullmatch(tail) or layout.parse_manifest_name(tail):
        return "named by content"
    if last.endswith(layout.ARCHIVE_SUFFIX) and last != layout.ARCHIVE_SUFFIX:
        return "archive"
    in_bundle = len(parts) > 2 and parts[-3] == layout.BUNDLES and names.is_bundle_id(parts[-2])  # noqa: PLR2004
    signature = layout.parse_envelope_file(last) or layout.parse_attestation_file(last)
    in_roots = len(parts) > 1 and parts[-2] == layout.ROOTS and layout.parse_root_file(last)
    if (in_bundle and signature) or in_roots:
        return "signature"
    return "text" if last in _TEXTS else None


def usage(folders: Iterable[Path]) -> tuple[int, int]:
    """Return bytes and names below folders. A file with several names counts once in bytes."""
    size = count = 0
    inodes: set[tuple[int, int]] = set()
    for top in folders:
        for here, below, files in os.walk(top):
            count += len(below) + len(files)
            for name in files:
                try:
                    found = os.lstat(Path(here, name))
                except OSError:  # it has been taken meanwhile
                    continue
                identity = (found.st_dev, found.st_ino)
                if stat.S_ISREG(found.st_mode) and identity not in inodes:
                    inodes.add(identity)
                    size += found.st_size
    return size, count


class Quota:
    """What one user has stored. Exact as far as uploads go, whatever is measured meanwhile."""

    def __init__(self, most_bytes: int, most_files: int) -> None:
        """Begin with nothing; measure before the first upload."""
        self._most = (most_bytes, most_files)
        self._base = (0, 0)
        self._grown = [0, 0]
        self._shrunk = 0
        self._lock = Lock()

    @property
    def used(self) -> tuple[int, int]:
        """Bytes and names that count."""
        return self._base[0] + self._grown[0], self._base[1] + self._grown[1]

    def has_room(self) -> bool:
        """Tell whether another file may be begun."""
        size, count = self.used
        return size < self._most[0] and count < self._most[1]

    def grow(self, size: int, count: int = 0) -> None:
        """Count bytes and names before they are written; negative ones after they are gone.

        Raises:
            OSError: the quota would be exceeded (EDQUOT). Nothing is counted.
        """
        with self._lock:
            used = self.used
            if (size > 0 and used[0] + size > self._most[0]) or (
                count > 0 and used[1] + count > self._most[1]
            ):
                raise OSError(errno.EDQUOT, "Quota exceeded")
            self._grown[0] += size
            self._grown[1] += count
            self._shrunk += size < 0 or count < 0

    def measure(self, folders: Iterable[Path]) -> None:
        """Look at the disk, which others take from; in another thread than uploads run in.

        What grows meanwhile counts twice until the next time. If something shrinks meanwhile the
        measurement is no good: it could have been seen before or after.
        """
        with self._lock:
            grown, shrunk = tuple(self._grown), self._shrunk
        size, count = usage(folders)
        with self._lock:
            if self._shrunk == shrunk:
                self._base = (size - grown[0], count - grown[1])


class Delivered:
    """Sizes of files that were delivered and taken away since: clients ask for them afterwards."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._sizes: OrderedDict[str, int] = OrderedDict()

    def add(self, path: str, size: int) -> None:
        """Remember a file by its path; the oldest is forgotten when there are too many."""
        self._sizes[path] = size
        self._sizes.move_to_end(path)
        while len(self._sizes) > MOST_REMEMBERED:
            self._sizes.popitem(last=False)

    def forget(self, path: str) -> None:
        """Forget a file: it was refused, and may be sent again."""
        self._sizes.pop(path, None)

    def size(self, path: str) -> int | None:
        """Return a file's size in bytes."""
        return self._sizes.get(path)


class OpenUploads:
    """Which files are being written: what keeps sessions and the attendant out of each other's way.

    Whoever renames or opens an upload holds ``lock``, which is never held for long.
    """

    def __init__(self) -> None:
        """Begin with no file open."""
        self.lock = Lock()
        self.delivered = Delivered()
        self._open: set[str] = set()

    def begin(self, path: str) -> bool:
        """Claim a file for writing; False if another upload has it."""
        if path in self._open:
            return False
        self._open.add(path)
        return True

    def end(self, path: str) -> None:
        """Give it back."""
        self._open.discard(path)

    def is_open(self, path: Path | str) -> bool:
        """Tell whether somebody is writing a file."""
        return str(path) in self._open


class Receiving:
    """A file being uploaded. It counts what it grows by, before it grows."""

    def __init__(self, path: str, file: BinaryIO, meter: Quota, desk: OpenUploads) -> None:
        """Take an open file that ``desk`` knows to be open."""
        self.name = path
        self._file = file
        self._meter = meter
        self._desk = desk
        self._size = os.fstat(file.fileno()).st_size
        self._at = file.tell()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._file.closed

    def write(self, data: bytes) -> int:
        """Write, if the quota allows it.

        Raises:
            OSError: it does not (EDQUOT), or the disk is full (ENOSPC), or broken.
        """
        growth = self._at + len(data) - self._size
        if growth > 0:
            self._meter.grow(growth)
            self._size += growth
        written = self._file.write(data)
        self._at += written
        if written < len(data):  # unbuffered: the disk took a part of it
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written

    def seek(self, offset: int) -> int:
        """Go on from an offset."""
        self._at = self._file.seek(offset)
        return self._at

    def close(self) -> None:
        """Close it and give it back; twice is fine."""
        self._file.close()
        self._desk.end(self.name)
