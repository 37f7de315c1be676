"""Readers of archives for stock BentoML, whole, and put together of the fields of their headers."""

import io
import struct
from typing import Final

from airgap.carrier.stock.port import Member, MemberReader
from airgap.carrier.stock.tar import TarReader
from airgap.carrier.stock.zip import ZipReader
from airgap.errors import CorruptError
from airgap.format.tar import BLOCK, END
from tests.support import forge
from tests.support.reader import Reader, write_scratch

__all__ = ["READERS"]


def _drained(reader: MemberReader) -> list[Member]:
    found = []
    for member, pieces in reader.members():
        assert sum(map(len, pieces)) == member.size
        found.append(member)
    return found


def _read_tar(raw: bytes) -> None:
    try:
        _drained(TarReader(write_scratch(raw), "tar"))
    except CorruptError as error:
        is_gnu = len(raw) >= BLOCK and raw[257:265] == b"ustar  \0"
        if is_gnu and "GNU" not in error.message:
            raise AssertionError("a GNU tar is not called one") from error
        raise


def _read_zip(raw: bytes) -> None:
    _drained(ZipReader(write_scratch(raw)))


def _tar_seeds() -> list[bytes]:
    return [forge.tar([("bento.yaml", b"name: a"), ("src/service.py", b"x" * 600)])]


def _zip_seeds() -> list[bytes]:
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, method in (("bento.yaml", zipfile.ZIP_STORED), ("a", zipfile.ZIP_DEFLATED)):
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, 0o100644 << 16
            info.compress_type = method
            archive.writestr(info, b"name: a" * 40)
    return [file.getvalue()]


# ---- a tar of few bytes


def _read_tar_fields(raw: bytes) -> None:
    """Read a tar whose headers have these fields, in lines; a bar ends a member.

    Checksums are right, and so is what fills the blocks.
    """
    _read_tar(b"".join(map(_put_member, raw.split(_NEXT, 3))) + END)


_NEXT: Final = b"\n|\n"
_HEADER: Final = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")


def _put_member(raw: bytes) -> bytes:
    fields = raw.split(b"\n", 6)
    kind, magic, mode, name, link, prefix, data = fields + [b""] * (7 - len(fields))
    size, zero = b"%011o" % len(data), b"0000000"
    owners = (b"root", b"root", zero, zero)
    before, after = (name, mode, zero, zero, size, b"0"), (kind, link, magic, *owners, prefix)
    checksum = b"%06o" % sum(_HEADER.pack(*before, b" " * 8, *after))
    return _HEADER.pack(*before, checksum, *after) + data + bytes(-len(data) % BLOCK)


_POSIX: Final = b"ustar\0" + b"00"
_FILE: Final = b"0\n" + _POSIX + b"\n0000644\nservice.py\n\nsrc\nimport bentoml"
_LINK: Final = b"2\n" + _POSIX + b"\n0000777\nlink\nbento.yaml\n\n"
_PAX: Final = b"x\n" + _POSIX + b"\n0000644\npax\n\n\n13 path=a/bc\n"
_TAR_WORDS: Final = (
    *(_POSIX, b"ustar  \0", b"ustar", b"\n", _NEXT, b"./", b"../", b"/", b"0\n", b"\0\n", b"1\n"),
    *(b"2\n", b"5\n", b"7\n", b"L\n", b"K\n", b"S\n", b"g\n", b"x\n", b"11 path=ab\n"),
    *(b"10 size=9\n", b"22 GNU.sparse.major=1\n", b"13 linkpath=a\n", b"0000755", b"\x80\0\0\0"),
)


READERS: Final[dict[str, Reader]] = {
    "stock tar": Reader(_read_tar, (CorruptError,), _tar_seeds),
    "headers of a stock tar": Reader(
        _read_tar_fields,
        (CorruptError,),
        lambda: [_FILE, _NEXT.join([_LINK, _PAX, _FILE])],
        _TAR_WORDS,
    ),
    "stock zip": Reader(_read_zip, (CorruptError,), _zip_seeds),
}
