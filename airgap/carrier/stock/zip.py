"""Zip archives for stock BentoML (format §10).

Python's ``zipfile`` writes them but does not read them: it believes the central directory alone.
Here the entries must fill the file from its first byte to the directory, and both must tell the
same.
"""

import stat
import struct
import zipfile
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from airgap.carrier.stock.port import Member, check_member
from airgap.disk.os_errors import translate_errors
from airgap.disk.part_file import PartFile
from airgap.disk.reading import open_regular
from airgap.errors import CorruptError
from airgap.format import limits
from airgap.printable import quote

__all__ = ["ZipReader", "ZipWriter"]

_PIECE: Final = 256 * limits.KIB
_LOCAL: Final = struct.Struct("<4s5H3I2H")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
_END: Final = struct.Struct("<4s4H2IH")
_END_64: Final = struct.Struct("<4sQ2H2I4Q")
_LOCATOR: Final = struct.Struct("<4sIQI")
_STORED, _DEFLATED = 0, 8
_UTF_8: Final = 0x800
_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000
_FLAGS: Final = _UTF_8 | 0x6  # deflate's level
_FULL_32: Final = 0xFFFF_FFFF
_FULL_16: Final = 0xFFFF
_UNIX: Final = 3
_ZIP_64: Final = 1
_FIRST_DATE: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the central directory says of an entry."""

    name: bytes
    flags: int
    method: int
    crc: int
    stored_size: int
    size: int
    mode: int
    offset: int


class ZipReader:
    """Reads a zip strictly from front to back, after its directory."""

    def __init__(self, path: Path) -> None:
        """Name the archive; it is opened by ``members``."""
        self.location = str(path)
        self._path = path

    def members(self) -> Iterator[tuple[Member, Iterator[bytes]]]:
        """Yield each member with its bytes; see ``MemberReader``."""
        with (
            open_regular(self._path.parent, self._path.name) as descriptor,
            open(descriptor, "rb", closefd=False) as file,
        ):
            self._file: BinaryIO = file
            entries, directory = self._directory()
            file.seek(0)
            position = 0
            for entry in entries:
                if entry.offset != position:
                    raise self._wrong("has gaps or overlaps between its entries")
                position += self._local(entry) + entry.stored_size
                member = self._member(entry)
                pieces = self._content(entry)
                if member is not None:
                    yield member, pieces
                deque(pieces, maxlen=0)
            if position != directory:
                raise self._wrong("has something between its entries and its directory")

    def _directory(self) -> tuple[list[_Entry], int]:
        """Read the central directory; return its entries and where it begins."""
        count, size, start = self._end()
        if size > limits.ZIP_DIRECTORY_BYTES or count > limits.ENTRIES:
            raise self._wrong("has an overlong directory")
        self._file.seek(start)
        data = self._take(size)
        entries: list[_Entry] = []
        offset = 0
        while offset < size and len(entries) < count:
            entry, offset = self._central(data, offset)
            entries.append(entry)
        if offset != size or len(entries) != count:
            raise self._wrong("has a directory of another length than it says")
        return entries, start

    def _end(self) -> tuple[int, int, int]:
        """Return count, size and position of the central directory; nothing may follow its end."""
        length = self._file.seek(0, 2)
        if length < _END.size:
            raise self._wrong("is not a zip, or is cut off")
        self._file.seek(length - _END.size)
        mark, disk, first, here, count, size, start, comment = _END.unpack(self._take(_END.size))
        if mark != b"PK\5\6" or disk or first or here != count or comment:
            raise self._wrong("is not a zip, is cut off, or goes on after its end")
        end = length - _END.size
        if self._has_locator(end):  # Python writes both from 2 GiB on, others from 4
            wide = self._end_64(end)
            full = _FULL_16, _FULL_32, _FULL_32
            if any(
                value not in (limit, other)
                for value, limit, other in zip((count, size, start), full, wide, strict=True)
            ):
                raise self._wrong("has two ends that do not agree")
            (count, size, start), end = wide, end - _LOCATOR.size - _END_64.size
        if start + size != end:
            raise self._wrong("has something between its directory and its end")
        return count, size, start

    def _has_locator(self, end: int) -> bool:
        """Tell whether a 64-bit end is there too."""
        self._file.seek(max(0, end - _LOCATOR.size))
        return self._file.read(4) == b"PK\6\7"

    def _end_64(self, end: int) -> tuple[int, int, int]:
        """Read the 64-bit form of the end, which lies just before the other."""
        at = end - _LOCATOR.size - _END_64.size
        if at < 0:
            raise self._wrong("is not a zip, or is cut off")
        self._file.seek(at)
        mark, length, _, _, disk, first, here, count, size, start = _END_64.unpack(
            self._take(_END_64.size)
        )
        locator, locator_disk, where, disks = _LOCATOR.unpack(self._take(_LOCATOR.size))
        right = mark == b"PK\6\6" and locator == b"PK\6\7" and length == _END_64.size - 12
        if not right or disk or first or locator_disk or disks != 1 or here != count or where != at:
            raise self._wrong("has a damaged 64-bit end")
        return count, size, start

    def _central(self, data: bytes, offset: int) -> tuple[_Entry, int]:
        """Decode one entry of the directory; return it and where the next begins."""
        if len(data) - offset < _CENTRAL.size:
            raise self._wrong("has a damaged directory")
        fields = _CENTRAL.unpack_from(data, offset)
        mark, made_by, _, flags, method, _, _, crc, stored, size = fields[:10]
        name_size, extra_size, comment, disk, _, attributes, position = fields[10:]
        begin = offset + _CENTRAL.size
        end = begin + name_size + extra_size
        if mark != b"PK\1\2" or comment or disk or end > len(data):
            raise self._wrong("has a damaged directory, or comments in it")
        extra = data[begin + name_size : end]
        size, stored, position = self._wide(extra, size, stored, position)
        mode = attributes >> 16 if made_by >> 8 == _UNIX else 0
        name = data[begin : begin + name_size]
        return _Entry(name, flags, method, crc, stored, size, mode, position), end

    def _local(self, entry: _Entry) -> int:
        """Read an entry's own header, which must say what the directory says; return its length."""
        fields = _LOCAL.unpack(self._take(_LOCAL.size))
        mark, _, flags, method, _, _, crc, stored, size, name_size, extra_size = fields
        name = self._take(name_size)
        size, stored = self._wide(self._take(extra_size), size, stored)
        if mark != b"PK\3\4" or (name, flags, method, crc, stored, size) != (
            entry.name,
            entry.flags,
            entry.method,
            entry.crc,
            entry.stored_size,
            entry.size,
        ):
            raise self._wrong("has an entry that its directory tells otherwise")
        return _LOCAL.size + int(name_size) + int(extra_size)

    def _wide(self, extra: bytes, *values: int) -> list[int]:
        """Replace the values that do not fit into 32 bits by those in the extra field."""
        wide: list[int] = []
        while extra:
            kind, length = struct.unpack_from("<2H", extra.ljust(4, b"\0"))
            body, extra = extra[4 : 4 + length], extra[4 + length :]
            if len(body) != length or (kind == _ZIP_64 and (wide or length % 8 or length > 24)):  # noqa: PLR2004
                raise self._wrong("has a damaged extra field")
            if kind == _ZIP_64:
                wide = [number[0] for number in struct.iter_unpack("<Q", body)]
        left = iter(wide)
        replaced = [next(left, -1) if value == _FULL_32 else value for value in values]
        if -1 in replaced:
            raise self._wrong("lacks a 64-bit size")
        return replaced

    def _member(self, entry: _Entry) -> Member | None:
        """Make the member, unless it is the archive's own top."""
        if entry.flags & _ENCRYPTED:
            raise self._wrong("has encrypted entries")
        if entry.flags & ~_FLAGS or entry.method not in (_STORED, _DEFLATED):
            raise self._wrong("has an entry in a form that is not read (streamed, or other method)")
        try:
            name = entry.name.decode("utf-8" if entry.flags & _UTF_8 else "ascii")
        except UnicodeDecodeError as error:
            raise self._wrong("has a name that is not UTF-8") from error
        return self._made(name, entry)

    def _made(self, name: str, entry: _Entry) -> Member | None:
        kind = stat.S_IFMT(entry.mode)
        path = name.removeprefix("./").removesuffix("/")
        if name.endswith("/"):
            if entry.size or kind not in (0, stat.S_IFDIR):
                raise self._wrong(f"has the folder {quote(name)}, which is something else too")
            if path in ("", "."):
                return None
            return check_member(Member(path, "folder"), self.location)
        if kind not in (0, stat.S_IFREG):
            raise self._wrong(f"has {quote(name)}, which is neither a file nor a folder")
        executable = bool(entry.mode & stat.S_IXUSR)
        return check_member(Member(path, "file", entry.size, executable), self.location)

    def _content(self, entry: _Entry) -> Iterator[bytes]:
        """Yield an entry's bytes: never more than its size; then compare size and CRC-32."""
        crc = size = 0
        for piece in self._plain(entry):
            size += len(piece)
            crc = zlib.crc32(piece, crc)
            if size > entry.size:
                break
            yield piece
        if size != entry.size or crc != entry.crc:
            raise self._wrong(f"has {quote(entry.name)} with another size or CRC than it says")

    def _plain(self, entry: _Entry) -> Iterator[bytes]:
        decoder = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == _DEFLATED else None
        left = entry.stored_size
        while left:
            piece = self._take(min(left, _PIECE))
            left -= len(piece)
            if decoder is None:
                yield piece
            while decoder is not None and piece:
                try:
                    plain = decoder.decompress(piece, _PIECE)
                except zlib.error as error:
                    raise self._wrong(f"is damaged ({error})") from error
                if plain:
                    yield plain
                piece = decoder.unconsumed_tail
            if decoder is not None and decoder.eof and (left or decoder.unused_data):
                raise self._wrong("has bytes after an entry's end")
        if decoder is not None and not decoder.eof:
            raise self._wrong("has an entry that ends too early")

    def _take(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise self._wrong("ends too early")
        return data

    def _wrong(self, why: str) -> CorruptError:
        return CorruptError(f"{self.location} {why}.", "Copy the archive from its source again.")


class ZipWriter:
    """Writes a zip that depends on paths, bytes and exec bits alone."""

    def __init__(self, path: Path) -> None:
        """Begin a part file.

        Raises:
            StorageError: it cannot be made.
        """
        self._path = path
        with translate_errors(path):
            self._part = PartFile(path)
        self._zip = zipfile.ZipFile(self._part.file, "w")

    def add(self, member: Member, pieces: Iterable[bytes] = ()) -> None:
        """Append a file or a folder."""
        folder = member.kind == "folder"
        info = zipfile.ZipInfo(member.path + "/" * folder, _FIRST_DATE)
        info.create_system = _UNIX
        kind = stat.S_IFDIR if folder else stat.S_IFREG
        info.external_attr = (kind | (0o755 if folder or member.executable else 0o644)) << 16
        info.compress_type = zipfile.ZIP_STORED if folder else zipfile.ZIP_DEFLATED
        info.file_size = member.size  # zipfile decides by it whether 64 bits are needed
        with translate_errors(self._path), self._zip.open(info, "w") as out:
            for piece in pieces:
                out.write(piece)

    def publish(self) -> None:
        """Write the directory, sync, rename."""
        with translate_errors(self._path):
            self._zip.close()
            self._part.publish()

    def abort(self) -> None:
        """Remove the incomplete file."""
        with suppress(OSError, ValueError):  # so that it does not write when it is collected
            self._zip.close()
        self._part.discard()
