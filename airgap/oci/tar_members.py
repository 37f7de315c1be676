"""Where the members of an uncompressed tar lie. Nothing is unpacked; names are only compared.

It reads what docker, podman, skopeo, umoci and GNU tar write: POSIX headers, pax headers, and GNU's
long names and large numbers.
"""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk.descriptors import open_without_waiting
from airgap.disk.os_errors import translate_errors
from airgap.errors import CorruptError, StorageError
from airgap.format import limits
from airgap.format.tar import BLOCK, round_to_block
from airgap.oci.blobs import BlobFile
from airgap.printable import quote

__all__ = ["TarMembers", "list_members"]

_MEMBERS: Final = 2_000_000
_NUMBER: Final = re.compile(rb" *([0-7]*)[ \0]*")
_RECORD: Final = re.compile(rb"([1-9][0-9]{0,5}) ([!-<>-~]+)=")
_LINKS: Final = 8
_COMPRESSED: Final = {b"\x1f\x8b": "gzip -d", b"\x28\xb5\x2f\xfd": "zstd -d", b"BZh": "bzip2 -d"}


@dataclass(frozen=True, slots=True)
class TarMembers:
    """The members of one tar, by path; ``links`` maps the path of a link to a path."""

    files: dict[str, BlobFile]
    links: dict[str, str]

    def find(self, path: str) -> BlobFile | None:
        """Return a member, also through links within the tar."""
        for _ in range(_LINKS):
            if path in self.files:
                return self.files[path]
            if path not in self.links:
                break
            path = self.links[path]
        return None


def list_members(path: Path) -> TarMembers:
    """Read the headers of a tar.

    Raises:
        StorageError: it cannot be read, or is compressed.
        CorruptError: it is damaged, cut short, or has two members of one name.
    """
    with translate_errors(path):
        descriptor = open_without_waiting(path)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise StorageError(f"{path} is not a regular file.", "Give a folder or a file.")
            return _MemberIndexer(path, descriptor, status.st_size).read()
        finally:
            os.close(descriptor)


class _MemberIndexer:
    """Goes from header to header."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._size = size
        self._members = TarMembers({}, {})

    def read(self) -> TarMembers:
        offset = 0
        extra: dict[str, str] = {}
        for _ in range(_MEMBERS):
            block = self._take(offset, BLOCK)
            if block == bytes(BLOCK):
                return self._members
            self._check(block)
            size = int(extra["size"]) if "size" in extra else self._number(block[124:136])
            begin, kind = offset + BLOCK, block[156:157]
            offset = begin + round_to_block(size)
            if begin + size > self._size:
                raise self._wrong("is cut short")
            if kind == b"x":
                extra |= self._parse_pax(self._take(begin, self._bound(size)))
            elif kind in (b"L", b"K"):
                text = self._take(begin, self._bound(size)).rstrip(b"\0")
                extra["path" if kind == b"L" else "linkpath"] = self._decode(text)
            elif kind != b"g":
                self._add(block, extra, begin, size)
                extra = {}
        raise self._wrong(f"has more than {_MEMBERS:,} members")

    def _add(self, block: bytes, extra: dict[str, str], begin: int, size: int) -> None:
        kind = block[156:157]
        name = _normalize(extra.get("path") or self._read_name(block))
        if name in self._members.files or name in self._members.links:
            raise self._wrong(f"has two members called {quote(name)}")
        if kind in (b"0", b"\0", b"7"):
            self._members.files[name] = BlobFile(self._path, size, begin)
        elif kind in (b"1", b"2"):
            target = extra.get("linkpath") or self._text(block[157:257])
            folder = "" if kind == b"1" else name.rpartition("/")[0]
            self._members.links[name] = _normalize(target, folder)

    def _check(self, block: bytes) -> None:
        """Compare the checksum of a header."""
        for start, program in _COMPRESSED.items():
            if block.startswith(start):
                raise StorageError(
                    f"{self._path} is compressed.",
                    f"Decompress it first, with `{program}`.",
                )
        if self._number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * 0x20:
            raise self._wrong("is not a tar, or is damaged")

    def _parse_pax(self, data: bytes) -> dict[str, str]:
        records: dict[str, str] = {}
        while data:
            record = _RECORD.match(data)
            length = int(record[1]) if record else 0
            if record is None or not record.end() < length <= len(data):
                raise self._wrong("has a damaged pax header")
            if record[2] in (b"path", b"linkpath", b"size"):
                records[record[2].decode()] = self._decode(data[record.end() : length - 1])
            data = data[length:]
        if not re.fullmatch(r"[0-9]{1,15}", records.get("size", "0")):
            raise self._wrong("has a size that is not a number")
        return records

    def _read_name(self, block: bytes) -> str:
        name, prefix = self._text(block[:100]), self._text(block[345:500])
        is_posix = block[257:263] == b"ustar\0"
        return f"{prefix}/{name}" if prefix and is_posix else name

    def _number(self, field: bytes) -> int:
        if field[0] == 0x80:  # noqa: PLR2004  (GNU: base 256)
            value = int.from_bytes(field[1:])
            if value <= limits.FILE_BYTES:
                return value
        match = _NUMBER.fullmatch(field)
        if match is None:
            raise self._wrong("is not a tar, or is damaged")
        return int(match[1] or b"0", 8)

    def _bound(self, size: int) -> int:
        if size > limits.PAX_BYTES:
            raise self._wrong("has an overlong header")
        return size

    def _text(self, field: bytes) -> str:
        return self._decode(field.partition(b"\0")[0])

    def _decode(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise self._wrong("has a name that is not UTF-8") from error

    def _take(self, offset: int, size: int) -> bytes:
        data = os.pread(self._descriptor, size, offset)
        if len(data) != size:
            raise self._wrong("is cut short")
        return data

    def _wrong(self, why: str) -> CorruptError:
        return CorruptError(f"{self._path} {why}.", "Copy the archive from its source again.")


def _normalize(path: str, folder: str = "") -> str:
    """Resolve ``.`` and ``..``; what leads out of the archive becomes ``..``."""
    parts: list[str] = []
    for part in [*folder.split("/"), *path.split("/")]:
        if part == ".." and not parts:
            return ".."
        if part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
