"""Archives for stock BentoML that somebody changed, or made to do harm (format §10)."""

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from airgap.errors import CorruptError
from airgap.format import limits
from tests.support import forge, refusals, stores
from tests.support.sides import Side, Site

FLAG: Final = "--insecure-allow-unsigned"
ZEROS: Final = 64 * 1024 * 1024
PACKERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "tar": bytes,
    "tar.gz": gzip.compress,
    "tar.xz": lzma.compress,
    "tar.bz2": bz2.compress,
}

TarMembers = list[tuple[tarfile.TarInfo, bytes]]


@pytest.fixture
def ready(isolated: Side) -> Side:
    """The isolated side, with its stores."""
    isolated.bentoml.mkdir()
    isolated.hugging_face.mkdir()
    return isolated


@pytest.fixture
def stranger(connected: Side) -> Side:
    """A side that trusts nobody and takes what is unsigned."""
    connected.bentoml.mkdir(exist_ok=True)
    return connected


@pytest.fixture
def tar(stock_archive: Callable[[str], Path]) -> Path:
    return stock_archive("tar")


@pytest.fixture
def zipped(stock_archive: Callable[[str], Path]) -> Path:
    return stock_archive("zip")


def members_of(path: Path) -> TarMembers:
    with tarfile.open(path) as archive:
        return [(one, _read(archive, one)) for one in archive]


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member) if member.isreg() else None
    return file.read() if file else b""


def packed(members: TarMembers, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for member, data in members:
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b""
) -> TarMembers:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, len(data)
    return [(made, data)]


def pax(records: dict[str, str]) -> TarMembers:
    made = tarfile.TarInfo("README.md")
    made.pax_headers = records
    return [(made, b"")]


STRANGE: Final[dict[str, TarMembers]] = {
    "parent": member("../evil", data=b"x"),
    "inner parent": member("src/../../evil", data=b"x"),
    "absolute": member("/etc/evil", data=b"x"),
    "dot": member("src/./evil", data=b"x"),
    "backslash": member("src\\evil", data=b"x"),
    "device name": member("NUL", data=b"x"),
    "hard link": member("hard", tarfile.LNKTYPE, "README.md"),
    "character device": member("device", tarfile.CHRTYPE),
    "block device": member("device", tarfile.BLKTYPE),
    "fifo": member("fifo", tarfile.FIFOTYPE),
    "contiguous": member("contiguous", tarfile.CONTTYPE),
    "sparse": member("sparse", tarfile.GNUTYPE_SPARSE),
    "unknown type": member("unknown", b"Z"),
    "link out": member("out", tarfile.SYMTYPE, "../../evil"),
    "absolute link": member("out", tarfile.SYMTYPE, "/etc/passwd"),
    "link and file below it": [
        *member("below", tarfile.SYMTYPE, "/tmp"),  # noqa: S108  (only named)
        *member("below/evil", data=b"x"),
    ],
    "file below a file": member("README.md/evil", data=b"x"),
    "file twice": member("README.md", data=b"other"),
    "case collision": member("readme.MD", data=b"other"),
    "pax sparse": pax({"path": "more", "GNU.sparse.major": "1"}),
    "pax charset": pax({"path": "more", "hdrcharset": "BINARY"}),
    "pax parent": pax({"path": "../evil"}),
    "pax NUL": pax({"path": "evil\0.txt"}),
}


@pytest.mark.parametrize("what", STRANGE)
def test_a_strange_member_is_refused_in_a_signed_archive(what: str, tar: Path, ready: Side) -> None:
    tar.write_bytes(packed(members_of(tar) + STRANGE[what]))

    refusals.expect_refusal(ready, "import", tar, error=CorruptError)


@pytest.mark.parametrize("what", STRANGE)
def test_a_strange_member_is_refused_in_an_unsigned_archive(
    what: str, tar: Path, stranger: Side, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.tar"
    bad.write_bytes(packed(members_of(tar) + STRANGE[what]))

    refusals.expect_refusal(stranger, "import", bad, FLAG, error=CorruptError)


def test_invented_envelopes_do_not_displace_a_signature(tar: Path, ready: Side) -> None:
    for number in range(limits.ENVELOPES):
        key_id = f"{number:064x}"
        envelope = forge.envelope(key_id, bytes(64))
        tar.with_name(f"{tar.name}.airgap-manifest.builder.{key_id}.dsse").write_bytes(envelope)

    refusals.expect_refusal(ready, "import", tar, error=CorruptError)

    tar.with_name(f"{tar.name}.airgap-manifest.builder.{0:064x}.dsse").unlink()
    assert ready.run("verify", tar).code == 0


def drop_one(members: TarMembers) -> TarMembers:
    return members[1:]


def add_one(members: TarMembers) -> TarMembers:
    return members + member("extra.txt", data=b"x")


def add_folder(members: TarMembers) -> TarMembers:
    return members + member("extra", tarfile.DIRTYPE)


def change_a_byte(members: TarMembers) -> TarMembers:
    return [(one, data.replace(b"hello", b"jello")) for one, data in members]


def grow(members: TarMembers) -> TarMembers:
    grown = [(one, data + b"\0" * (one.name == "README.md")) for one, data in members]
    for one, data in grown:
        one.size = len(data)
    return grown


def swap(members: TarMembers) -> TarMembers:
    same = {one.name: (one, data) for one, data in members}
    same["run.sh"][0].name, same["README.md"][0].name = "README.md", "run.sh"
    return list(same.values())


def link_instead(members: TarMembers) -> TarMembers:
    return [one for one in members if one[0].name != "README.md"] + member(
        "README.md", tarfile.SYMTYPE, "run.sh"
    )


def empty_folder_becomes_a_file(members: TarMembers) -> TarMembers:
    return [one for one in members if one[0].name != "data"] + member("data")


CHANGES: Final = (
    drop_one,
    add_one,
    add_folder,
    change_a_byte,
    grow,
    swap,
    link_instead,
    empty_folder_becomes_a_file,
)


@pytest.mark.parametrize("form", PACKERS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_archive_is_refused(
    form: str,
    change: Callable[[TarMembers], TarMembers],
    tar: Path,
    stock_archive: Callable[[str], Path],
    ready: Side,
) -> None:
    target = stock_archive(form)
    target.write_bytes(PACKERS[form](packed(change(members_of(tar)))))

    refusals.expect_refusal(ready, "import", target, error=CorruptError)


@pytest.mark.parametrize("form", PACKERS)
def test_an_archive_that_another_tool_packed_again_is_accepted(
    form: str, tar: Path, stock_archive: Callable[[str], Path], ready: Side
) -> None:
    target = stock_archive(form)
    renamed = members_of(tar)
    for one, _ in renamed:
        one.name, one.mtime, one.uname, one.mode = f"./{one.name}", 12345.5, "somebody", 0o600
    top = member("./", tarfile.DIRTYPE) + member("./src", tarfile.DIRTYPE)
    target.write_bytes(PACKERS[form](packed(top + renamed[::-1])))

    assert ready.run("import", target).code == 0


@pytest.mark.parametrize("form", PACKERS)
def test_nothing_may_follow_the_end(
    form: str, stock_archive: Callable[[str], Path], ready: Side
) -> None:
    target = stock_archive(form)
    target.write_bytes(target.read_bytes() + PACKERS[form](b"more"))

    refusals.expect_refusal(ready, "verify", target, error=CorruptError)


@pytest.mark.parametrize("form", PACKERS)
def test_a_second_archive_after_the_end_is_refused(
    form: str, tar: Path, stock_archive: Callable[[str], Path], ready: Side
) -> None:
    target = stock_archive(form)
    target.write_bytes(PACKERS[form](tar.read_bytes() + tar.read_bytes()))

    refusals.expect_refusal(ready, "verify", target, error=CorruptError)


@pytest.mark.parametrize("form", ["tar.gz", "tar.xz", "tar.bz2"])
def test_a_bomb_after_the_end_is_not_unpacked(
    form: str, tar: Path, stock_archive: Callable[[str], Path], ready: Side
) -> None:
    target = stock_archive(form)
    target.write_bytes(PACKERS[form](tar.read_bytes() + bytes(ZEROS)))
    assert target.stat().st_size < 1_000_000

    refusals.expect_refusal(ready, "verify", target, error=CorruptError)


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.xz", "tar.bz2", "zip", "bento"])
def test_an_archive_that_is_cut_off_is_refused(
    form: str, stock_archive: Callable[[str], Path], ready: Side
) -> None:
    target = stock_archive(form)
    whole = target.read_bytes()

    for keep in (0, 1, 511, 512, 513, len(whole) // 2, len(whole) - 1):
        target.write_bytes(whole[:keep])
        refusals.expect_refusal(ready, "import", target, error=CorruptError)


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.xz", "tar.bz2", "zip"])
def test_what_is_no_archive_is_refused(
    form: str, stock_archive: Callable[[str], Path], ready: Side
) -> None:
    target = stock_archive(form)
    target.write_bytes(stores.noise(3000))

    refusals.expect_refusal(ready, "import", target, error=CorruptError)


def test_xz_that_wants_much_memory_is_refused(
    tar: Path, stock_archive: Callable[[str], Path], ready: Side
) -> None:
    target = stock_archive("tar.xz")
    greedy = [{"id": lzma.FILTER_LZMA2, "dict_size": 2 * limits.XZ_MEMORY_BYTES}]
    packer = lzma.LZMACompressor(lzma.FORMAT_XZ, filters=greedy)
    target.write_bytes(packer.compress(tar.read_bytes()) + packer.flush())

    refusals.expect_refusal(ready, "import", target, error=CorruptError)


HEADER_CHANGES: Final[dict[str, tuple[int, bytes]]] = {
    "checksum": (148, b"0000000\0"),
    "magic": (257, b"ustar  \0"),
    "base-256 size": (124, b"\x80" + b"\0" * 11),
    "size without digits": (124, b" " * 12),
    "bytes after the name": (99, b"x"),
    "name that is not UTF-8": (0, b"\xff"),
}


@pytest.mark.parametrize("what", HEADER_CHANGES)
def test_a_damaged_header_is_refused(what: str, tar: Path, ready: Side) -> None:
    offset, value = HEADER_CHANGES[what]
    raw = bytearray(tar.read_bytes())
    raw[offset : offset + len(value)] = value
    if what not in ("checksum", "magic"):
        raw[148:156] = b"%06o\0 " % (sum(raw[:148]) + sum(raw[156:512]) + 8 * 32)
    tar.write_bytes(raw)

    refusals.expect_refusal(ready, "import", tar, error=CorruptError)


def test_bytes_hidden_between_members_are_refused(tar: Path, ready: Side) -> None:
    raw = bytearray(tar.read_bytes())
    first = int(raw[124:135], 8)
    assert first % 512
    raw[512 + first] = 1
    tar.write_bytes(raw)

    refusals.expect_refusal(ready, "import", tar, error=CorruptError)


def test_gnu_tars_are_refused(tar: Path, ready: Side) -> None:
    tar.write_bytes(packed(members_of(tar), tarfile.GNU_FORMAT))

    refusals.expect_refusal(ready, "import", tar, error=CorruptError)


@pytest.mark.parametrize(
    "records",
    [b"", b"12 path=evil", b"99 path=evil\n", b"05 path=evil\n", b"9 nothing\n", b"x" * 70_000],
    ids=["empty", "unended", "too long", "leading zero", "no value", "overlong"],
)
def test_a_damaged_pax_header_is_refused(records: bytes, tar: Path, ready: Side) -> None:
    raw = tar.read_bytes()
    tar.write_bytes(
        packed(member("pax", b"x", data=records))[: 512 + -(-len(records) // 512) * 512] + raw
    )

    refusals.expect_refusal(ready, "import", tar, error=CorruptError)


def rewritten(
    path: Path, change: Callable[[zipfile.ZipInfo, bytes], tuple[str, bytes] | None]
) -> None:
    """Write a zip again, with entries changed or left out."""
    with zipfile.ZipFile(path) as old:
        entries = [(info, old.read(info)) for info in old.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for info, data in entries:
            kept = change(info, data)
            if kept is not None:
                new.writestr(kept[0], kept[1])


def with_entry(path: Path, name: str, data: bytes = b"x", mode: int = 0o100644) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo(name)
        info.create_system, info.external_attr = 3, mode << 16
        archive.writestr(info, data)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("../evil", 0o100644),
        ("/evil", 0o100644),
        ("src\\evil", 0o100644),
        ("a/./evil", 0o100644),
        ("more", 0o120777),
        ("more", 0o20644),
        ("more", 0o10644),
        ("more/", 0o100644),
    ],
)
@pytest.mark.parametrize("flags", [(), (FLAG,)], ids=["signed", "unsigned"])
def test_a_strange_entry_is_refused(
    name: str,
    mode: int,
    flags: tuple[str, ...],
    zipped: Path,
    ready: Side,
) -> None:
    with_entry(zipped, name, mode=mode, data=b"" if name.endswith("/") else b"README.md")
    if flags:
        zipped = zipped.rename(zipped.with_name("unsigned.zip"))

    refusals.expect_refusal(ready, "import", zipped, *flags, error=CorruptError)


def test_a_zip_with_other_content_is_refused(zipped: Path, ready: Side) -> None:
    rewritten(zipped, lambda info, data: (info.filename, data.replace(b"hello", b"jello")))

    refusals.expect_refusal(ready, "import", zipped, error=CorruptError)


def test_a_zip_that_lacks_an_entry_is_refused(zipped: Path, ready: Side) -> None:
    rewritten(
        zipped, lambda info, data: None if info.filename == "run.sh" else (info.filename, data)
    )

    refusals.expect_refusal(ready, "import", zipped, error=CorruptError)


def test_a_zip_that_another_tool_packed_again_is_accepted(zipped: Path, ready: Side) -> None:
    rewritten(zipped, lambda info, data: (info.filename, data))

    assert ready.run("import", zipped).code == 0


def test_an_entry_twice_is_refused(zipped: Path, ready: Side) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        with_entry(zipped, "run.sh", b"#!/bin/sh\n")

    refusals.expect_refusal(ready, "import", zipped, error=CorruptError)


def patched(raw: bytes, mark: bytes, offset: int, value: bytes, *, last: bool = False) -> bytes:
    """Change bytes of the first (or last) record with this mark."""
    start = (raw.rindex(mark) if last else raw.index(mark)) + offset
    return raw[:start] + value + raw[start + len(value) :]


ZIP_CHANGES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "prepended": lambda raw: b"#!/bin/sh\n" + raw,
    "appended": lambda raw: raw + b"x",
    "comment": lambda raw: raw[:-2] + b"\1\0x",
    "encrypted here": lambda raw: patched(raw, b"PK\3\4", 6, b"\1"),
    "encrypted": lambda raw: patched(patched(raw, b"PK\3\4", 6, b"\1"), b"PK\1\2", 8, b"\1"),
    "streamed": lambda raw: patched(patched(raw, b"PK\3\4", 6, b"\x08"), b"PK\1\2", 8, b"\x08"),
    "method": lambda raw: patched(patched(raw, b"PK\3\4", 8, b"\x0c"), b"PK\1\2", 10, b"\x0c"),
    "name here": lambda raw: patched(raw, b"PK\3\4", 30, b"X"),
    "crc": lambda raw: patched(patched(raw, b"PK\3\4", 14, b"\0"), b"PK\1\2", 16, b"\0"),
    "crc here": lambda raw: patched(raw, b"PK\3\4", 14, b"\xaa"),
    "offset": lambda raw: patched(raw, b"PK\1\2", 42, b"\1", last=True),
    "count": lambda raw: patched(raw, b"PK\5\6", 10, b"\1\0"),
    "disk": lambda raw: patched(raw, b"PK\5\6", 4, b"\1"),
    "directory size": lambda raw: patched(raw, b"PK\5\6", 12, b"\1\0\0\0"),
    "directory comment": lambda raw: patched(raw, b"PK\1\2", 32, b"\1", last=True),
    "directory mark": lambda raw: patched(raw, b"PK\1\2", 0, b"XX"),
    "local mark": lambda raw: patched(raw, b"PK\3\4", 0, b"XX"),
    "deflated bytes": lambda raw: patched(raw, b"PK\3\4", 60, b"\xff\xff\xff\xff"),
}


@pytest.mark.parametrize("what", ZIP_CHANGES)
def test_a_zip_that_tells_two_stories_is_refused(what: str, zipped: Path, ready: Side) -> None:
    raw = zipped.read_bytes()
    changed = ZIP_CHANGES[what](raw)
    assert changed != raw
    zipped.write_bytes(changed)

    refusals.expect_refusal(ready, "import", zipped, error=CorruptError)


def test_an_entry_that_unpacks_to_more_than_it_says_is_refused(zipped: Path, ready: Side) -> None:
    rewritten(
        zipped,
        lambda info, data: (info.filename, data if "README" not in info.filename else bytes(ZEROS)),
    )
    raw = zipped.read_bytes()
    told = struct.pack("<I", 1400)
    at = raw.index(b"README.md") - 30
    central = raw.rindex(b"README.md") - 46
    raw = raw[: at + 22] + told + raw[at + 26 :]
    zipped.write_bytes(raw[: central + 24] + told + raw[central + 28 :])

    ran = refusals.expect_refusal(ready, "import", zipped, error=CorruptError)

    assert "another size or CRC" in ran.err


@pytest.fixture
def folder(small: Side, site: Site, tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    ran = small.run("export", "shop:v1", "--format", "folder", "-o", made, "--key", site.key())
    assert ran.code == 0, ran.err
    return made


def replaced_by(make: Callable[[Path], object], name: str = "run.sh") -> Callable[[Path], object]:
    def change(top: Path) -> None:
        (top / name).unlink()
        make(top / name)

    return change


def folder_becomes_a_link(top: Path) -> None:
    (top / "src").rename(top.parent / "elsewhere")
    (top / "src").symlink_to(top.parent / "elsewhere")


FOLDER_CHANGES: Final[dict[str, Callable[[Path], object]]] = {
    "extra file": lambda top: (top / "extra").write_bytes(b"x"),
    "extra folder": lambda top: (top / "extra").mkdir(),
    "missing file": lambda top: (top / "run.sh").unlink(),
    "other content": lambda top: (top / "run.sh").write_bytes(b"#!/bin/SH\n"),
    "link for a file": replaced_by(lambda path: path.symlink_to("README.md")),
    "other link": replaced_by(lambda path: path.symlink_to("/etc"), "src/link"),
    "fifo": replaced_by(os.mkfifo),
    "file in an empty folder": lambda top: (top / "data" / "x").write_bytes(b""),
    "folder that is a link": folder_becomes_a_link,
}


@pytest.mark.parametrize("what", FOLDER_CHANGES)
def test_a_changed_folder_is_refused(what: str, folder: Path, ready: Side) -> None:
    FOLDER_CHANGES[what](folder)

    refusals.expect_refusal(ready, "import", folder, error=CorruptError)


def test_every_changed_byte_of_the_manifest_is_refused(tar: Path, ready: Side) -> None:
    beside = tar.with_name(tar.name + ".airgap-manifest")
    whole = beside.read_bytes()

    for position in range(0, len(whole), 97):
        beside.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert ready.run("verify", tar).code == 11
