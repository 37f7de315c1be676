"""What every writer of a bundle does alike: a depot here or elsewhere, and a file."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.carrier.archive import ArchiveReader, ArchiveWriter
from airgap.carrier.depot import Depot, DepotOptions
from airgap.carrier.local_depot import DepotReader, DepotWriter
from airgap.carrier.port import BundleReader, BundleWriter
from airgap.carrier.remote_depot import RemoteDepotWriter
from airgap.errors import StorageError
from airgap.format import layout
from airgap.format.manifest import Block, Pack
from airgap.transport.folder import FolderTransport
from tests.support import stores

MANIFEST = b"not decoded by a carrier"
BUNDLE = hashlib.sha256(MANIFEST).hexdigest()
ENVELOPES = {layout.envelope_file("builder", key * 64): key.encode() for key in "ab"}
BYTES = [stores.noise(100_000, 1), b"", stores.noise(7, 2)]
PACKS = [
    Pack(hashlib.sha256(one).digest(), len(one), (Block(0, len(one), 0, 0, 1),)) for one in BYTES
]

here = pytest.mark.parametrize("form", ["depot", "archive"], indirect=True)

Write = Callable[[Path], BundleWriter]
Read = Callable[[Path], BundleReader]


@pytest.fixture(params=["depot", "remote", "archive"])
def form(request: pytest.FixtureRequest) -> tuple[Write, Read]:
    """A writer, and the reader that reads what it writes."""
    if request.param == "depot":
        return DepotWriter, lambda path: DepotReader(path, BUNDLE)
    if request.param == "remote":
        return (
            lambda path: RemoteDepotWriter(Depot(FolderTransport(path), DepotOptions())),
            lambda path: DepotReader(path, BUNDLE),
        )
    return (
        lambda path: ArchiveWriter(path, len(MANIFEST) + 4096),
        lambda path: ArchiveReader(path.open("rb"), str(path)),
    )


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where it writes; the folder above is not there yet."""
    return tmp_path / "new" / "place"


def put(writer: BundleWriter) -> list[bool]:
    return [writer.put_pack(pack.digest, [one]) for pack, one in zip(PACKS, BYTES, strict=True)]


def write(writer: BundleWriter) -> list[bool]:
    written = put(writer)
    writer.publish(BUNDLE, MANIFEST, ENVELOPES, PACKS)
    writer.abort()
    return written


def test_what_was_written_can_be_read(form: tuple[Write, Read], target: Path) -> None:
    assert write(form[0](target)) == [True, True, True]

    reader = form[1](target)
    assert reader.read_manifest() == (BUNDLE, MANIFEST)
    assert sorted(reader.read_envelopes("builder")) == sorted(ENVELOPES.values())
    assert [data for _, data in reader.packs.read_packs(PACKS, range(3))] == BYTES
    reader.close()


def test_attachments_that_were_written_can_be_read(form: tuple[Write, Read], target: Path) -> None:
    attachments = {f"scanner.{digit * 64}.findings": digit.encode() * 700 for digit in "ab"}
    writer = form[0](target)
    put(writer)
    writer.publish(BUNDLE, MANIFEST, ENVELOPES | attachments, PACKS)
    writer.abort()

    reader = form[1](target)
    reader.read_manifest()
    assert sorted(reader.read_envelopes("builder")) == sorted(ENVELOPES.values())
    assert reader.read_attachments() == attachments
    assert [data for _, data in reader.packs.read_packs(PACKS, range(3))] == BYTES
    reader.close()


def test_the_same_again_gives_the_same_bytes(form: tuple[Write, Read], target: Path) -> None:
    write(form[0](target))
    before = stores.snapshot(target)

    write(form[0](target))

    assert stores.snapshot(target) == before


def test_parts_of_a_pack_are_joined(form: tuple[Write, Read], target: Path) -> None:
    writer = form[0](target)
    writer.put_pack(PACKS[0].digest, [BYTES[0][:1000], b"", BYTES[0][1000:]])
    writer.publish(BUNDLE, MANIFEST, ENVELOPES, PACKS[:1])

    reader = form[1](target)
    reader.read_manifest()
    assert [data for _, data in reader.packs.read_packs(PACKS[:1], range(1))] == BYTES[:1]
    reader.close()


def test_nothing_is_a_bundle_before_it_is_published(form: tuple[Write, Read], target: Path) -> None:
    writer = form[0](target)
    put(writer)

    assert not target.is_file()
    assert not list(target.parent.rglob(layout.MANIFEST))
    writer.abort()


@here  # over a transport, packs may not have been sent yet
def test_what_was_given_up_leaves_packs_or_a_part_for_the_next_run(
    form: tuple[Write, Read], target: Path
) -> None:
    writer = form[0](target)
    put(writer)

    writer.abort()
    writer.abort()

    assert not target.is_file()
    assert not list(target.parent.rglob(layout.MANIFEST))
    assert write(form[0](target)) == [False, False, False]
    assert not list(target.parent.rglob("*.part"))


@here  # over a transport, the next run looks for parts
def test_what_was_given_up_before_the_first_pack_leaves_nothing(
    form: tuple[Write, Read], target: Path
) -> None:
    form[0](target).abort()

    assert not [path for path in target.parent.rglob("*") if not path.is_dir()]


def test_what_was_published_is_not_given_up(form: tuple[Write, Read], target: Path) -> None:
    write(form[0](target))
    before = stores.snapshot(target)

    form[0](target.with_name("other")).abort()

    assert before
    assert stores.snapshot(target) == before


@here
def test_a_place_that_cannot_be_written_is_told(form: tuple[Write, Read], target: Path) -> None:
    target.parent.write_bytes(b"a file where a folder belongs")

    with pytest.raises(StorageError):
        write(form[0](target))

    assert target.parent.read_bytes() == b"a file where a folder belongs"


@here
def test_everything_is_synced_before_it_has_its_name(
    form: tuple[Write, Read], target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    sync, rename = os.fsync, Path.replace

    def note_sync(descriptor: int) -> None:
        calls.append("sync")
        sync(descriptor)

    def note_rename(self: Path, other: Path) -> Path:
        calls.append("rename")
        return rename(self, other)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_rename)
    write(form[0](target))

    renames = [index for index, call in enumerate(calls) if call == "rename"]
    assert renames
    assert all(calls[index - 1] == calls[index + 1] == "sync" for index in renames)
