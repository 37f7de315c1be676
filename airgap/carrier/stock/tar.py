"""Tar archives for stock BentoML, plain or compressed (format §10).

Python's own ``tarfile`` writes the headers but does not read them: it is made to read whatever any
tar ever wrote, and an archive that came across is read as hostile.
"""

import re
import tarfile
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol

from airgap.carrier.stock.compression import Compressed, Compression, Decompressed
from airgap.carrier.stock.port import Member, MemberKind, check_member
from airgap.disk.os_errors import translate_errors
from airgap.disk.part_file import PartFile
from airgap.disk.reading import open_regular
from airgap.errors import CorruptError
from airgap.format import limits
from airgap.format.tar import BLOCK, END, round_to_block
from airgap.printable import quote

__all__ = ["ByteStream", "TarReader", "TarStream", "TarWriter"]

_PIECE: Final = limits.MIB
_TEXT = re.compile(rb"([^\0]*)\0*")
_NUMBER = re.compile(rb" *([0-7]+)[ \0]*")
_RECORD = re.compile(rb"([1-9][0-9]{0,5}) ([!-<>-~]+)=")
_PAX_KEYS: Final = frozenset(
    {"path", "linkpath", "size", "mtime", "atime", "ctime", "uid", "gid", "uname", "gname"}
)
_KINDS: Final[dict[bytes, MemberKind]] = {b"0": "file", b"\0": "file", b"5": "folder", b"2": "link"}
_SPECIAL: Final = {
    b"1": "a hard link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a FIFO",
    b"7": "a contiguous file",
    b"g": "a global pax header",
    b"L": "a GNU long name",
    b"K": "a GNU long link",
    b"S": "a GNU sparse file",
}
_EXECUTABLE: Final = 0o100


class TarReader:
    """Reads a tar file strictly: a member that no archive of a Bento needs is refused."""

    def __init__(self, path: Path, compression: Compression) -> None:
        """Name the archive; it is opened by ``members``."""
        self.location = str(path)
        self._path = path
        self._compression = compression

    def members(self) -> Iterator[tuple[Member, Iterator[bytes]]]:
        """Yield each member with its bytes; see ``MemberReader``."""
        with (
            open_regular(self._path.parent, self._path.name) as descriptor,
            open(descriptor, "rb", buffering=0, closefd=False) as file,
        ):
            stream = Decompressed(file, self._compression, self.location)
            yield from TarStream(stream, self.location).members()


class ByteStream(Protocol):
    """Bytes that are read once, from the first to the last."""

    def read(self, size: int, /) -> bytes:
        """Return exactly ``size`` bytes, or fewer at the end."""
        ...


class TarStream:
    """Reads the members of a tar as strictly, from bytes that may still be arriving."""

    def __init__(self, stream: ByteStream, location: str) -> None:
        """Take the bytes, and where they come from, for messages."""
        self.location = location
        self._stream = stream

    def members(self) -> Iterator[tuple[Member, Iterator[bytes]]]:
        """Yield each member with its bytes; see ``MemberReader``."""
        while (block := self._take(BLOCK)) != bytes(BLOCK):
            member = self._member(block)
            if member is None:  # the archive's own top, "./"
                continue
            pieces = self._content(member.size)
            yield member, pieces
            deque(pieces, maxlen=0)
        self._demand_end()

    def _member(self, block: bytes) -> Member | None:
        """Read one member's headers."""
        kind, fields = self._header(block)
        extra: dict[str, str] = {}
        if kind == b"x":
            extra = self._pax(self._number(fields["size"]))
            kind, fields = self._header(self._take(BLOCK))
        if kind not in _KINDS:
            raise self._wrong(f"has {_SPECIAL.get(kind, f'a member of the unknown type {kind!r}')}")
        name = extra.get("path") or self._name(fields)
        size = self._size(extra.get("size"), fields["size"])
        return self._make(_KINDS[kind], name, size, extra.get("linkpath"), fields)

    def _make(
        self,
        kind: MemberKind,
        name: str,
        size: int,
        linkpath: str | None,
        fields: dict[str, bytes],
    ) -> Member | None:
        if kind != "file" and size:
            raise self._wrong(f"has {quote(name)}, which is not a file but has bytes")
        path = name.removeprefix("./")
        if kind == "folder":
            path = path.removesuffix("/")
            if path in ("", "."):
                return None
        target = "" if kind != "link" else linkpath or self._text(fields["link"])
        executable = kind == "file" and bool(self._number(fields["mode"]) & _EXECUTABLE)
        return check_member(Member(path, kind, size, executable, target), self.location)

    def _header(self, block: bytes) -> tuple[bytes, dict[str, bytes]]:
        """Split a header and compare its checksum."""
        fields = {
            "name": block[:100],
            "mode": block[100:108],
            "size": block[124:136],
            "sum": block[148:156],
            "link": block[157:257],
            "prefix": block[345:500],
        }
        if block[257:265] == b"ustar  \0":
            raise CorruptError(
                f"{self.location} is a GNU tar, and only POSIX tars are read.",
                "Unpack it, and pack it again with: tar --format=posix",
            )
        if block[257:265] != b"ustar\x0000":
            raise self._wrong("is not a POSIX tar, or is damaged")
        if self._number(fields["sum"]) != sum(block) - sum(fields["sum"]) + 8 * 0x20:
            raise self._wrong("is damaged")
        return block[156:157], fields

    def _pax(self, size: int) -> dict[str, str]:
        """Read a pax header: known keys only, so that no sparse map or charset slips in."""
        if not 0 < size <= limits.PAX_BYTES:
            raise self._wrong("has an empty or overlong pax header")
        data = b"".join(self._content(size))
        records: dict[str, str] = {}
        while data:
            key, value, length = self._pax_record(data)
            if key not in _PAX_KEYS or key in records:
                raise self._wrong(f"has a pax header with {quote(key)} in it, or has it twice")
            records[key] = value
            data = data[length:]
        return records

    def _pax_record(self, data: bytes) -> tuple[str, str, int]:
        """Decode the first record: key, value, and its length in bytes."""
        record = _RECORD.match(data)
        if record:
            length = int(record[1])
            if record.end() < length <= len(data) and data[length - 1] == ord("\n"):
                return record[2].decode(), self._decoded(data[record.end() : length - 1]), length
        raise self._wrong("has a damaged pax header")

    def _content(self, size: int) -> Iterator[bytes]:
        """Yield a member's bytes, then pass over the zeros that fill its last block."""
        left = size
        while left:
            piece = self._take(min(left, _PIECE))
            left -= len(piece)
            yield piece
        if self._take(round_to_block(size) - size).strip(b"\0"):
            raise self._wrong("has other bytes than zeros between its members")

    def _demand_end(self) -> None:
        """Demand the second block of zeros, few more of them, and the end."""
        rest = self._take(BLOCK) + self._stream.read(limits.TAR_END_BYTES)
        if rest.strip(b"\0") or self._stream.read(1):
            raise self._wrong("goes on after its end")

    def _take(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            raise self._wrong("ends too early")
        return data

    def _name(self, fields: dict[str, bytes]) -> str:
        name, prefix = self._text(fields["name"]), self._text(fields["prefix"])
        return f"{prefix}/{name}" if prefix else name

    def _size(self, pax_size: str | None, field: bytes) -> int:
        if pax_size is None:
            return self._number(field)
        if not re.fullmatch(r"[0-9]{1,15}", pax_size):
            raise self._wrong("has a size that is not a number")
        return int(pax_size)

    def _text(self, field: bytes) -> str:
        match = _TEXT.fullmatch(field)
        if match is None:
            raise self._wrong("has a name with bytes after its end")
        return self._decoded(match[1])

    def _decoded(self, raw: bytes) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise self._wrong("has a name that is not UTF-8") from error

    def _number(self, field: bytes) -> int:
        match = _NUMBER.fullmatch(field)
        if match is None:
            raise self._wrong("has a number that is not octal")
        return int(match[1], 8)

    def _wrong(self, why: str) -> CorruptError:
        return CorruptError(f"{self.location} {why}.", "Copy the archive from its source again.")


class TarWriter:
    """Writes a tar whose headers depend on paths, sizes and exec bits alone."""

    def __init__(self, path: Path, compression: Compression) -> None:
        """Begin a part file.

        Raises:
            StorageError: it cannot be made.
        """
        self._path = path
        with translate_errors(path):
            self._part = PartFile(path)
        self._stream = Compressed(self._part.file, compression)

    def add(self, member: Member, pieces: Iterable[bytes] = ()) -> None:
        """Append a file or a folder."""
        with translate_errors(self._path):
            self._stream.write(_header(member))
            for piece in pieces:
                self._stream.write(piece)
            self._stream.write(bytes(round_to_block(member.size) - member.size))

    def publish(self) -> None:
        """End the archive, sync, rename."""
        with translate_errors(self._path):
            self._stream.write(END)
            self._stream.finish()
            self._part.publish()

    def abort(self) -> None:
        """Remove the incomplete file."""
        self._part.discard()


def _header(member: Member) -> bytes:
    info = tarfile.TarInfo(member.path)
    info.size = member.size
    info.mode = 0o755 if member.executable or member.kind == "folder" else 0o644
    if member.kind == "folder":
        info.type = tarfile.DIRTYPE
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
