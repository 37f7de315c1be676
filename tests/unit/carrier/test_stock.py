"""Readers and writers of archives for stock BentoML, on what whole journeys do not meet."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.carrier.stock.form import form_of
from airgap.carrier.stock.port import Member, MemberReader
from airgap.carrier.stock.tar import TarReader, TarWriter
from airgap.carrier.stock.zip import ZipReader, ZipWriter
from airgap.errors import CorruptError, StorageError
from airgap.format import limits

FILES = {"a.txt": b"alpha" * 99, "empty": b"", "sub/b.bin": bytes(range(256)) * 9}


def read(reader: MemberReader) -> dict[str, bytes]:
    return {member.path: b"".join(pieces) for member, pieces in reader.members()}


def write(path: Path, files: dict[str, bytes] = FILES, *, wide: bool = False) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            with archive.open(name, "w", force_zip64=wide) as file:
                file.write(data)
    return path


@pytest.fixture
def wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zip that uses 64-bit fields wherever it can, as one of more than 4 GiB does."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    return write(tmp_path / "wide.zip", wide=True)


def test_a_zip_with_64_bit_fields_is_read(wide: Path) -> None:
    assert b"PK\6\6" in wide.read_bytes()
    assert read(ZipReader(wide)) == FILES


@pytest.mark.parametrize(
    ("mark", "offset", "value"),
    [
        (b"PK\6\6", 0, b"XX"),
        (b"PK\6\6", 4, b"\xff"),
        (b"PK\6\6", 16, b"\1"),
        (b"PK\6\6", 24, b"\1\0\0\0"),
        (b"PK\6\7", 8, b"\1"),
        (b"PK\6\7", 16, b"\2"),
        (b"PK\5\6", 16, b"\1"),
    ],
    ids=["mark", "length", "disk", "count", "place", "disks", "other end"],
)
def test_a_damaged_64_bit_end_is_refused(
    mark: bytes, offset: int, value: bytes, wide: Path
) -> None:
    raw = wide.read_bytes()
    at = raw.index(mark) + offset
    wide.write_bytes(raw[:at] + value + raw[at + len(value) :])

    with pytest.raises(CorruptError):
        read(ZipReader(wide))


@pytest.mark.parametrize("at", [28, 32])
def test_a_damaged_64_bit_field_is_refused(at: int, wide: Path) -> None:
    raw = bytearray(wide.read_bytes())
    extra = raw.index(b"a.txt") + len("a.txt")
    raw[extra + at - 28] = 7
    wide.write_bytes(raw)

    with pytest.raises(CorruptError):
        read(ZipReader(wide))


@pytest.mark.no_cover  # the same lines 65,535 times
def test_a_zip_of_exactly_65535_entries_is_read(tmp_path: Path) -> None:
    made = write(tmp_path / "many.zip", dict.fromkeys(map(str, range(65_535)), b""))

    assert sum(1 for _ in ZipReader(made).members()) == 65_535


def test_a_zip_with_a_long_directory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write(tmp_path / "long.zip")
    monkeypatch.setattr(limits, "ZIP_DIRECTORY_BYTES", 100)

    with pytest.raises(CorruptError, match="overlong directory"):
        read(ZipReader(made))


def test_a_zip_that_was_streamed_is_refused(tmp_path: Path) -> None:
    class Pipe(io.RawIOBase):
        """Cannot seek, so that zipfile writes sizes after the data."""

        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        archive.writestr("a.txt", b"alpha")
    (tmp_path / "streamed.zip").write_bytes(pipe.data)

    with pytest.raises(CorruptError, match="streamed"):
        read(ZipReader(tmp_path / "streamed.zip"))


@pytest.mark.parametrize("name", ["./", "./a.txt", "sub/"])
def test_a_zip_may_name_its_top_and_its_folders(name: str, tmp_path: Path) -> None:
    made = write(tmp_path / "top.zip", {name: b""})

    expected = {"./": set(), "./a.txt": {"a.txt"}, "sub/": {"sub"}}
    assert set(read(ZipReader(made))) == expected[name]


def test_what_the_zip_writer_makes_python_reads(tmp_path: Path) -> None:
    writer = ZipWriter(tmp_path / "made.zip")
    for path, data in FILES.items():
        writer.add(Member(path, "file", len(data), path == "a.txt"), [data[:9], data[9:]])
    writer.add(Member("hollow", "folder"))
    writer.publish()

    with zipfile.ZipFile(tmp_path / "made.zip") as archive:
        assert {name: archive.read(name) for name in FILES} == FILES
        assert archive.getinfo("hollow/").is_dir()
        assert archive.getinfo("a.txt").external_attr >> 16 == 0o100755


def test_a_file_of_more_than_8_gib_has_its_size_in_a_pax_header(tmp_path: Path) -> None:
    huge = tarfile.TarInfo("huge")
    huge.size = 2**40
    made = tmp_path / "huge.tar"
    made.write_bytes(huge.tobuf(tarfile.PAX_FORMAT))

    member, _ = next(TarReader(made, "tar").members())

    assert member == Member("huge", "file", 2**40)


def test_a_file_that_no_disk_holds_is_refused(tmp_path: Path) -> None:
    huge = tarfile.TarInfo("huge")
    huge.size = limits.FILE_BYTES + 1
    made = tmp_path / "huge.tar"
    made.write_bytes(huge.tobuf(tarfile.PAX_FORMAT))

    with pytest.raises(CorruptError, match="longer than a file may be"):
        next(TarReader(made, "tar").members())


def test_a_gnu_tar_is_named_as_such(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "gnu.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("bento.yaml"))

    with pytest.raises(CorruptError, match="is a GNU tar") as refusal:
        read(TarReader(tmp_path / "gnu.tar", "tar"))

    assert "tar --format=posix" in refusal.value.hint


@pytest.mark.parametrize("size", ["", "-1", "1e3", "9" * 16])
def test_a_pax_size_that_is_no_number_is_refused(size: str, tmp_path: Path) -> None:
    record = tarfile.TarInfo("x")
    record.pax_headers = {"size": size}
    made = tmp_path / "size.tar"
    made.write_bytes(record.tobuf(tarfile.PAX_FORMAT))

    with pytest.raises(CorruptError):
        next(TarReader(made, "tar").members())


def test_a_folder_with_bytes_is_refused(tmp_path: Path) -> None:
    odd = tarfile.TarInfo("odd")
    odd.type, odd.size = tarfile.DIRTYPE, 5
    made = tmp_path / "odd.tar"
    made.write_bytes(odd.tobuf(tarfile.USTAR_FORMAT))

    with pytest.raises(CorruptError, match="not a file but has bytes"):
        next(TarReader(made, "tar").members())


@pytest.mark.parametrize("make", [lambda path: TarWriter(path, "xz"), ZipWriter])
def test_an_archive_that_is_given_up_leaves_nothing(
    make: Callable[[Path], TarWriter | ZipWriter], tmp_path: Path
) -> None:
    writer = make(tmp_path / "half")
    writer.add(Member("a.txt", "file", 5), [b"alpha"])

    writer.abort()

    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    writer = TarWriter(tmp_path / "full.tar", "tar")
    writer._part.file.close()
    writer._part.file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
    writer._stream._stream = writer._part.file

    with pytest.raises(StorageError, match="No space left"):
        writer.add(Member("a.txt", "file", 5), [b"alpha"])
    writer.abort()


@pytest.mark.parametrize(
    ("start", "form"),
    [
        (b"\x1f\x8b\x08", "gz"),
        (b"\xfd7zXZ\0", "xz"),
        (b"BZh9", "bz2"),
        (b"PK\3\4", "zip"),
        (b"bento.yaml", "tar"),
    ],
)
def test_an_archive_of_any_name_is_known_by_its_manifest(
    start: bytes, form: str, tmp_path: Path
) -> None:
    made = tmp_path / "shop-v1.2"
    made.write_bytes(start)
    assert form_of(made) is None

    made.with_name("shop-v1.2.airgap-manifest").write_bytes(b"")

    assert form_of(made) == form


def test_a_depot_is_no_folder_for_stock_bentoml(tmp_path: Path) -> None:
    (tmp_path / "depot" / "bundles").mkdir(parents=True)
    (tmp_path / "depot" / "bento.yaml").write_bytes(b"")

    assert form_of(tmp_path / "depot") is None
