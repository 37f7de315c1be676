"""The single file: what it is made of, and how a signature gets into it."""

import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from airgap.carrier import archive_signatures
from airgap.carrier.archive import ArchiveReader, ArchiveWriter
from airgap.disk import durable
from airgap.errors import AirgapError, ConflictError, CorruptError, StorageError
from airgap.format import layout, limits, tar
from tests.support import stores
from tests.support.sides import Side

BUNDLE = "0" * 64
FILE = layout.envelope_file("builder", "1" * 64)


def member(name: str, data: bytes) -> bytes:
    return (
        tar.make_header(name, len(data)) + data + bytes(tar.round_to_block(len(data)) - len(data))
    )


def written(path: Path, *members: bytes) -> Path:
    path.write_bytes(b"".join(members) + tar.END)
    return path


def test_stock_tar_reads_it(archive: Path) -> None:
    with tarfile.open(archive, "r:") as opened:
        found = opened.getmembers()

    assert found[0].name.endswith(layout.MANIFEST)
    assert [one.name for one in found[-2:]] == [layout.README_NAME, layout.VERIFIER_NAME]
    assert all((one.mode, one.uid, one.mtime, one.isreg()) == (0o644, 0, 0, True) for one in found)


def test_it_is_no_larger_than_its_packs_and_their_names(archive: Path, depot: Path) -> None:
    packs = sum(path.stat().st_size for path in depot.glob("packs/*/*"))

    assert archive.stat().st_size < packs + 116_000


def test_a_file_with_one_member_that_is_no_manifest_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "x", member("README.txt", b"hello"))

    with path.open("rb") as stream, pytest.raises(CorruptError, match="begin with a manifest"):
        ArchiveReader(stream, "x").read_manifest()


def test_an_empty_archive_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "x")

    with path.open("rb") as stream, pytest.raises(CorruptError, match="begin with a manifest"):
        ArchiveReader(stream, "x").read_manifest()


def test_a_manifest_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    header = tar.make_header(layout.manifest_name(BUNDLE), limits.MANIFEST_BYTES + 1)
    (tmp_path / "x").write_bytes(header)

    with (tmp_path / "x").open("rb") as stream, pytest.raises(CorruptError, match="begin with"):
        ArchiveReader(stream, "x").read_manifest()


@pytest.mark.parametrize(
    ("size", "count", "message"),
    [
        (limits.ENVELOPE_BYTES + 1, 1, "overlong signature"),
        (1, limits.ENVELOPES + 1, "too many of them"),
    ],
)
def test_signatures_have_bounds(size: int, count: int, message: str, tmp_path: Path) -> None:
    names = [layout.envelope_name(BUNDLE, "builder", f"{number:064x}") for number in range(count)]
    path = written(
        tmp_path / "x",
        member(layout.manifest_name(BUNDLE), b"m"),
        *(member(name, bytes(size)) for name in names),
    )

    with path.open("rb") as stream, pytest.raises(CorruptError, match=message):
        ArchiveReader(stream, "x").read_manifest()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("padding", "has 'padding' after its last member"),
        ("extra", "has 'extra' after its last member"),
    ],
)
def test_a_member_that_does_not_belong_is_refused(name: str, message: str, tmp_path: Path) -> None:
    path = written(
        tmp_path / "x",
        member(layout.manifest_name(BUNDLE), b"m"),
        member("padding", b""),
        member(name, b"x"),
    )

    with path.open("rb") as stream:
        reader = ArchiveReader(stream, "x")
        reader.read_manifest()
        with pytest.raises(CorruptError, match=message):
            list(reader.read_packs([], frozenset()))


def test_an_overlong_padding_is_refused(tmp_path: Path) -> None:
    manifest = member(layout.manifest_name(BUNDLE), b"m")
    (tmp_path / "x").write_bytes(manifest + tar.make_header("padding", limits.PADDING_BYTES + 1))

    with (tmp_path / "x").open("rb") as stream:
        reader = ArchiveReader(stream, "x")
        reader.read_manifest()
        with pytest.raises(CorruptError, match="overlong 'padding'"):
            list(reader.read_packs([], frozenset()))


@pytest.mark.parametrize(
    ("read", "between"),
    [(ArchiveReader.read_attachments, []), (ArchiveReader.read_roots, ["roots/1.root.msgpack"])],
)
def test_a_second_padding_is_refused(
    read: Callable[[ArchiveReader], object], between: list[str], tmp_path: Path
) -> None:
    members = [layout.manifest_name(BUNDLE), "padding", *between, "padding"]
    path = written(tmp_path / "x", *(member(name, b"m") for name in members))

    with path.open("rb") as stream:
        reader = ArchiveReader(stream, "x")
        reader.read_manifest()
        read(reader)
        with pytest.raises(CorruptError, match="padding twice"):
            list(reader.read_packs([], frozenset()))


def test_bytes_between_members_are_zero(tmp_path: Path) -> None:
    manifest = bytearray(member(layout.manifest_name(BUNDLE), b"m"))
    manifest[-1] = 1
    path = written(tmp_path / "x", bytes(manifest))

    with path.open("rb") as stream, pytest.raises(CorruptError, match="between its members"):
        ArchiveReader(stream, "x").read_manifest()


def test_one_block_of_zeros_is_no_end(tmp_path: Path) -> None:
    manifest = member(layout.manifest_name(BUNDLE), b"m")
    (tmp_path / "x").write_bytes(manifest + bytes(tar.BLOCK) + b"x" * tar.BLOCK)

    with (tmp_path / "x").open("rb") as stream, pytest.raises(CorruptError, match="does not end"):
        ArchiveReader(stream, "x").read_manifest()


def test_a_stream_that_breaks_is_told() -> None:
    with Path("/proc/self/mem").open("rb") as stream, pytest.raises(StorageError):
        ArchiveReader(stream, "x").read_manifest()


def test_a_manifest_larger_than_its_room_is_a_bug(tmp_path: Path) -> None:
    writer = ArchiveWriter(tmp_path / "x.airgap", 10)

    with pytest.raises(AirgapError, match="room left for the manifest was too small") as told:
        writer.publish(BUNDLE, bytes(100_000), {}, [])
    writer.abort()

    assert told.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way_is_a_conflict(tmp_path: Path) -> None:
    writer = ArchiveWriter(tmp_path / "x.airgap", 10)
    (tmp_path / "x.airgap").mkdir()

    with pytest.raises(ConflictError, match="is a folder"):
        writer.publish(BUNDLE, b"m", {}, [])
    writer.abort()

    assert [path.name for path in tmp_path.iterdir()] == ["x.airgap"]


def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    writer = ArchiveWriter(tmp_path / "x.airgap", 10)
    file = writer._file
    file._file.close()
    with Path("/dev/full").open("wb", buffering=0) as full:
        file._file = full
        with pytest.raises(StorageError, match="No space left on device"):
            writer.put_pack(bytes(32), [b"x"])
    writer.abort()


@pytest.mark.parametrize("is_spool", [True, False])
def test_all_but_a_spool_is_on_the_disk_before_it_has_its_name(
    is_spool: bool,  # noqa: FBT001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    writer = ArchiveWriter(tmp_path / "x.airgap", 4096, is_spool=is_spool)

    writer.publish(BUNDLE, b"m", {}, [])

    assert [path.name for path in tmp_path.iterdir()] == ["x.airgap"]
    assert bool(synced) is not is_spool


def test_a_signature_takes_the_place_of_padding(archive: Path, isolated: Side) -> None:
    size = archive.stat().st_size
    bundle = isolated.run("inspect", archive, "--json").json["bundle"]

    archive_signatures.add_files(archive, bundle, [(FILE, b"signature")])

    assert archive.stat().st_size == size
    with archive.open("rb") as stream:
        reader = ArchiveReader(stream, "x")
        reader.read_manifest()
        assert b"signature" in reader.read_envelopes("builder")


@pytest.mark.parametrize(
    "members",
    [
        (),
        (member("padding", bytes(512)),),
        (member("packs/00/x.pack", b"x"), member("padding", bytes(4096))),
    ],
)
def test_without_room_nothing_is_signed(members: tuple[bytes, ...], tmp_path: Path) -> None:
    path = written(tmp_path / "x", member(layout.manifest_name(BUNDLE), b"m"), *members)
    before = stores.snapshot(path)

    with pytest.raises(ConflictError, match="no room for another signature"):
        archive_signatures.add_files(path, BUNDLE, [(FILE, bytes(600))])

    assert stores.snapshot(path) == before


def test_a_file_that_cannot_be_changed_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        archive_signatures.add_files(tmp_path / "gone", BUNDLE, [(FILE, b"x")])


ATTACHMENT = f"scanner.{'2' * 64}.findings"


def attachments(path: Path) -> dict[str, bytes]:
    with path.open("rb") as stream:
        reader = ArchiveReader(stream, str(path))
        reader.read_manifest()
        return reader.read_attachments()


@pytest.mark.parametrize("flushes", [0, 1])
def test_an_attachment_that_is_cut_off_harms_none_that_is_there(
    flushes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = member(layout.manifest_name(BUNDLE), b"m")
    path = written(
        tmp_path / "x.airgap", manifest, member(tar.PADDING_NAME, bytes(9000 // 512 * 512))
    )
    first, data = f"builder.1.{'2' * 64}.tsr", b"data without zeros" * 60
    archive_signatures.add_attachment(path, BUNDLE, first, b"a stamp")
    left = flushes

    def break_off(stream: BinaryIO) -> None:
        nonlocal left
        stream.flush()
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(durable, "flush", break_off)
        with pytest.raises(StorageError):
            archive_signatures.add_attachment(path, BUNDLE, ATTACHMENT, data)
    after = attachments(path)
    archive_signatures.add_attachment(path, BUNDLE, ATTACHMENT, data)

    assert after == {first: b"a stamp"} | ({ATTACHMENT: data} if flushes else {})
    assert attachments(path) == {ATTACHMENT: data, first: b"a stamp"}
    with pytest.raises(ConflictError, match="another attachment"):
        archive_signatures.add_attachment(path, BUNDLE, first, b"another stamp")


def test_a_signature_does_not_overwrite_an_attachment(tmp_path: Path) -> None:
    manifest = member(layout.manifest_name(BUNDLE), b"m")
    path = written(tmp_path / "x.airgap", manifest, member(tar.PADDING_NAME, bytes(3 * 512)))
    archive_signatures.add_attachment(path, BUNDLE, ATTACHMENT, b"findings")

    with pytest.raises(ConflictError, match="no room for another signature"):
        archive_signatures.add_files(path, BUNDLE, [(FILE, bytes(600))])

    assert attachments(path) == {ATTACHMENT: b"findings"}
