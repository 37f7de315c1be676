"""Archives and packed files: what is in them is assessed, member by member."""

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import BufferedReader, BytesIO, RawIOBase
from typing import BinaryIO, Final, cast

from airgap.scan.contents import PIECE, Budget, Content, Unreadable
from airgap.scan.pickles import Pickle, describe, follow_pickle
from airgap.scan.verdicts import Assessment, join, program, refused

__all__ = ["MemberAssessor", "assess_packed", "assess_tar", "assess_zip", "unpack_start"]

MemberAssessor = Callable[[str, Content], Assessment]
"""Assesses a member by its name and content."""
_MOST_MEMBERS: Final = 100_000
_UNPACKED_BYTES: Final = 256 * 1024 * 1024
_ENCRYPTED: Final = 0x1
_TORCH_FILES: Final = frozenset({"version", "byteorder", ".format_version", ".storage_alignment"})


class _Window(RawIOBase):
    """A content as a stream that the library's readers of archives take."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._offset = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._offset = offset + (0, self._offset, self._content.size)[whence]
        if self._offset < 0:
            raise OSError("before the beginning")
        return self._offset

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._content.read(self._offset, min(len(buffer), PIECE))
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)


def _open(content: Content) -> BinaryIO:
    return cast("BinaryIO", BufferedReader(_Window(content)))


def assess_zip(content: Content, assess: MemberAssessor) -> Assessment:
    """Assess a zip: an archive of torch, of Keras, of NumPy, a wheel, or any other one.

    Raises:
        Unreadable: readers of zips would disagree about it, or it is packed in an unknown way.
    """
    try:
        with zipfile.ZipFile(_open(content)) as archive:
            members = _list_members(archive)
            return _assess_members(archive, members, content.budget, assess)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        raise Unreadable(f"the zip is damaged: {error}") from error
    except (NotImplementedError, RuntimeError) as error:
        raise Unreadable(f"a member is packed in a way that is not known: {error}") from error


def _list_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > _MOST_MEMBERS:
        raise Unreadable(f"it has {len(members):,} members")
    if len({member.filename for member in members}) != len(members):
        raise Unreadable("a member stands twice in it")
    if any(member.flag_bits & _ENCRYPTED for member in members):
        raise Unreadable("a member is encrypted")
    if any(archive.infolist()) and min(member.header_offset for member in archive.infolist()):
        raise Unreadable("something precedes the first member")
    return members


def _assess_members(
    archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], budget: Budget, assess: MemberAssessor
) -> Assessment:
    names = [member.filename for member in members]
    roots = {name.partition("/")[0] for name in names}
    root = roots.pop() if len(roots) == 1 else ""
    if f"{root}/data.pkl" in names:
        if any(name.startswith(f"{root}/code/") for name in names):
            return program("TorchScript", "it holds a program of TorchScript")
        return _assess_torch(archive, root, budget, assess)
    return join(
        "zip",
        (
            assess(member.filename, _open_member(archive, member, budget)).within(member.filename)
            for member in members
        ),
    )


def _open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: Budget) -> Content:
    stream = cast("BinaryIO", archive.open(member))
    return Content(stream, 0, member.file_size, budget)


def _assess_torch(
    archive: zipfile.ZipFile, root: str, budget: Budget, assess: MemberAssessor
) -> Assessment:
    """Assess an archive of torch: its pickle, and that each tensor has the size it says."""
    sizes = {member.filename: member.file_size for member in archive.infolist()}
    pickle = follow_pickle(
        _open_member(archive, archive.getinfo(f"{root}/data.pkl"), budget), stored=True
    )
    stored = {f"{root}/data/{storage.key}": storage.size for storage in pickle.storages}
    _compare_sizes(pickle, sizes, stored)
    passed = {*stored, f"{root}/data.pkl", f"{root}/.data/serialization_id"}
    passed |= {f"{root}/{name}" for name in _TORCH_FILES}
    others = [
        assess(name, _open_member(archive, archive.getinfo(name), budget)).within(name)
        for name in sizes
        if name not in passed and not name.endswith("/")
    ]
    return join("torch", [describe(pickle, "torch"), *others])


def _compare_sizes(pickle: Pickle, sizes: dict[str, int], stored: dict[str, int]) -> None:
    for name, size in stored.items():
        if sizes.get(name) != size:
            has = "is missing" if name not in sizes else f"has {sizes[name]:,} bytes"
            pickle.add_fault(f"{name} {has}, and the pickle says {size:,}")


def assess_tar(content: Content, assess: MemberAssessor) -> Assessment:
    """Assess a tar: each of its files; what is neither a file nor a folder is refused."""
    assessments: list[Assessment] = []
    try:
        with tarfile.open(fileobj=_open(content), mode="r:") as archive:
            for member in archive:
                content.budget.spend_step()
                assessments += _assess_tar_member(member, content, assess)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise Unreadable(f"the tar is damaged: {error}") from error
    return join("tar", assessments)


def _assess_tar_member(
    member: tarfile.TarInfo, content: Content, assess: MemberAssessor
) -> Iterator[Assessment]:
    if member.isreg() and not member.sparse:
        part = content.part(member.offset_data, member.size)
        yield assess(member.name, part).within(member.name)
    elif not member.isdir():
        yield refused("tar", f"{member.name} is neither a file nor a folder")


_UNPACKERS: Final[dict[bytes, tuple[str, Callable[[BinaryIO], object]]]] = {
    b"\x1f\x8b": ("gzip", lambda stream: gzip.GzipFile(fileobj=stream)),
    b"BZh": ("bzip2", bz2.BZ2File),
    b"\xfd7zXZ\0": ("xz", lzma.LZMAFile),
    b"\x5d\x00\x00": ("lzma", lzma.LZMAFile),
}


def unpack_start(content: Content) -> str:
    """Return the packer whose mark a content begins with; empty: none."""
    start = content.read(0, 6)
    for mark, (name, _) in _UNPACKERS.items():
        if start.startswith(mark):
            return name
    return "zlib" if _is_zlib(content) else ""


def _is_zlib(content: Content) -> bool:
    """Tell whether the beginning can be unpacked: zlib's mark is two bytes that texts have, too."""
    start = content.read(0, 1024)
    if start[:1] != b"\x78" or int.from_bytes(start[:2], "big") % 31:
        return False
    try:
        zlib.decompressobj().decompress(start, 1)
    except zlib.error:
        return False
    return True


def assess_packed(name: str, content: Content, assess: MemberAssessor) -> Assessment:
    """Assess what is packed in a file; it is unpacked into memory, up to a limit."""
    packer = unpack_start(content)
    try:
        data = _unpack(content, packer)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise Unreadable(f"it is not packed by {packer}: {error}") from error
    found = assess(name.rpartition(".")[0] or name, Content.of_bytes(data, content.budget))
    return Assessment(found.verdict, f"{packer}, {found.form}", found.reasons)


def _unpack(content: Content, packer: str) -> bytes:
    if packer == "zlib":
        return _unpack_zlib(content)
    open_unpacker = next(opened for name, opened in _UNPACKERS.values() if name == packer)
    with cast("BinaryIO", open_unpacker(_open(content))) as stream:
        data = stream.read(_UNPACKED_BYTES + 1)
    return _within_limit(data)


def _unpack_zlib(content: Content) -> bytes:
    unpacker = zlib.decompressobj()
    unpacked = BytesIO()
    for offset in range(0, content.size, PIECE):
        data = content.read(offset, PIECE)
        unpacked.write(unpacker.decompress(data, _UNPACKED_BYTES + 1 - unpacked.tell()))
        if unpacked.tell() > _UNPACKED_BYTES:
            break
    if unpacked.tell() <= _UNPACKED_BYTES and (not unpacker.eof or unpacker.unused_data):
        raise Unreadable("its packed data end at another place than the file")
    return _within_limit(unpacked.getvalue())


def _within_limit(data: bytes) -> bytes:
    if len(data) > _UNPACKED_BYTES:
        raise Unreadable(f"it unpacks to more than {_UNPACKED_BYTES:,} bytes")
    return data
