"""Tars are only indexed: where each member lies, in every form that tools write."""

import io
import tarfile
from pathlib import Path

import pytest

from airgap.errors import AirgapError, CorruptError, StorageError
from airgap.oci.tar_members import TarMembers, list_members
from tests.support.oci_images import tar_of


def read(members: TarMembers, path: str) -> bytes | None:
    file = members.find(path)
    return None if file is None else b"".join(file.read_pieces())


def indexed(tmp_path: Path, data: bytes) -> TarMembers:
    path = tmp_path / "x.tar"
    path.write_bytes(data)
    return list_members(path)


@pytest.mark.parametrize(
    "form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT], ids=str
)
def test_members_of_every_form_are_found(form: int, tmp_path: Path) -> None:
    long = "/".join(["a" * 60] * 3)
    members = indexed(
        tmp_path, tar_of({"./one": b"1" * 700, long: b"deep", "up": "./one", "empty": b""}, form)
    )

    assert read(members, "one") == b"1" * 700
    assert read(members, long) == b"deep"
    assert read(members, "up") == b"1" * 700
    assert read(members, "empty") == b""
    assert read(members, "other") is None


def test_long_names_of_pax_and_gnu_are_read(tmp_path: Path) -> None:
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        name = "ü" * 120
        members = indexed(tmp_path, tar_of({name: b"x", "link": name}, form))
        assert read(members, name) == read(members, "link") == b"x"


def test_a_size_in_base_256_is_read(tmp_path: Path) -> None:
    header = bytearray(tar_of({"big": b"12345"}, tarfile.GNU_FORMAT)[:512])
    header[124:136] = b"\x80" + (5).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    members = indexed(tmp_path, bytes(header) + b"12345".ljust(512, b"\0") + bytes(1024))
    assert read(members, "big") == b"12345"


def test_links_lead_nowhere_but_to_members(tmp_path: Path) -> None:
    members = indexed(
        tmp_path,
        tar_of(
            {
                "a/layer.tar": "../b/layer.tar",
                "b/layer.tar": b"layer",
                "out": "../../../../etc/passwd",
                "absolute": "/etc/passwd",
                "loop": "loop",
            }
        ),
    )
    assert read(members, "a/layer.tar") == b"layer"
    for path in ("out", "absolute", "loop", "../etc/passwd", "/etc/passwd"):
        assert read(members, path) is None


GOOD = tar_of({"one": b"1" * 700, "two": b"2"})


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "cut short"),
        (GOOD[:1000], "cut short"),
        (GOOD[: len(GOOD) - 10240 + 2560], "cut short"),
        (b"x" + GOOD[1:], "not a tar"),
        (b"z" * 2048, "not a tar"),
        (tar_of({"one": b"1", "./one": b"2"}), "two members"),
    ],
)
def test_a_damaged_tar_is_refused(data: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(CorruptError, match=why):
        indexed(tmp_path, data)


def test_a_compressed_tar_says_how_to_decompress_it(tmp_path: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz"):
        pass
    with pytest.raises(StorageError, match="compressed") as refused:
        indexed(tmp_path, made.getvalue().ljust(512, b"\0"))
    assert "gzip -d" in refused.value.hint


def test_every_cut_is_refused_and_none_is_an_error_of_python(tmp_path: Path) -> None:
    for size in range(0, len(GOOD) - 1024 - 8704, 97):
        with pytest.raises(AirgapError):
            indexed(tmp_path, GOOD[:size])
