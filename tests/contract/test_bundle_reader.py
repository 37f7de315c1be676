"""What every reader of a bundle does alike: a depot here or elsewhere, a file, and a pipe."""

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pytest

from airgap.carrier import local_depot
from airgap.carrier.archive import ArchiveReader
from airgap.carrier.depot import Depot, DepotOptions
from airgap.carrier.local_depot import DepotReader
from airgap.carrier.port import BundleReader
from airgap.carrier.remote_depot import RemoteDepotReader
from airgap.disk.buffers import BufferPool
from airgap.errors import AirgapError, CorruptError, MissingError
from airgap.format import manifest as manifests
from airgap.format.manifest import Pack
from airgap.transport.folder import FolderTransport


@pytest.fixture(params=["depot", "remote", "archive", "pipe"])
def form(request: pytest.FixtureRequest) -> str:
    """Which reader is under test."""
    kind: str = request.param
    return kind


@pytest.fixture
def bundle_path(form: str, request: pytest.FixtureRequest) -> Path:
    """The folder or file that the reader reads."""
    found: Path = request.getfixturevalue("depot" if form in ("depot", "remote") else "archive")
    return found


@pytest.fixture
def reader(form: str, bundle_path: Path) -> Iterator[BundleReader]:
    """A reader of the bundle with ``shop:v1``: two packs."""
    one = opened(form, bundle_path)
    yield one
    one.close()


def opened(form: str, path: Path) -> BundleReader:
    if form == "depot":
        return DepotReader(path, local_depot.list_bundles(path)[0])
    if form == "remote":
        remote = Depot(FolderTransport(path), DepotOptions())
        return RemoteDepotReader(remote, remote.list_bundles()[0])
    if form == "pipe":
        return ArchiveReader(piped(path), str(path))
    return ArchiveReader(path.open("rb"), str(path), path)


def piped(path: Path) -> BinaryIO:
    """Open a pipe that gives a file's bytes: it can neither seek nor tell its size."""
    reading, writing = os.pipe()

    def feed() -> None:
        with os.fdopen(writing, "wb") as pipe:
            try:
                pipe.write(path.read_bytes())
            except BrokenPipeError:
                return

    threading.Thread(target=feed, daemon=True).start()
    return os.fdopen(reading, "rb")


def packs_of(reader: BundleReader) -> Sequence[Pack]:
    return manifests.decode(reader.read_manifest()[1]).packs


def test_the_manifest_is_what_its_id_says(reader: BundleReader) -> None:
    bundle, raw = reader.read_manifest()

    assert bundle == hashlib.sha256(raw).hexdigest()


def test_it_has_a_name_for_messages(reader: BundleReader) -> None:
    assert reader.location


def test_envelopes_are_given_by_role(reader: BundleReader) -> None:
    reader.read_manifest()

    assert len(reader.read_envelopes("builder")) == 1
    assert reader.read_envelopes("approver") == []


@pytest.fixture
def attached(bundle_path: Path) -> dict[str, bytes]:
    """What lies beside the bundle now: two attachments."""
    files = {f"scanner.{'0' * 64}.findings": b"{}" * 300, f"builder.2.{'1' * 64}.tsr": b"\0" * 9}
    adding = opened("depot" if bundle_path.is_dir() else "archive", bundle_path)
    adding.read_manifest()
    for file, data in files.items():
        adding.add_attachment(file, data)
    adding.close()
    return files


def test_attachments_are_given_by_their_names(
    attached: dict[str, bytes], form: str, bundle_path: Path
) -> None:
    reader = opened(form, bundle_path)
    reader.read_manifest()

    assert reader.read_attachments() == attached
    reader.close()


def test_attachments_are_in_nobodys_way(
    attached: dict[str, bytes], form: str, bundle_path: Path
) -> None:
    assert attached
    reader = opened(form, bundle_path)
    packs = packs_of(reader)

    assert len(reader.read_envelopes("builder")) == 1
    assert [type(data) for _, data in reader.packs.read_packs(packs, range(2))] == [bytes] * 2
    reader.close()


def test_without_attachments_there_are_none(reader: BundleReader) -> None:
    reader.read_manifest()

    assert reader.read_attachments() == {}


def test_packs_come_in_order_each_with_its_bytes(reader: BundleReader) -> None:
    packs = packs_of(reader)

    found = list(reader.packs.read_packs(packs, range(len(packs))))

    assert len(found) == 2
    for (index, data), pack in zip(found, packs, strict=True):
        assert packs[index] == pack
        assert isinstance(data, bytes)
        assert (len(data), hashlib.sha256(data).digest()) == (pack.size, pack.digest)


def test_packs_may_come_in_memory_that_is_used_again(reader: BundleReader) -> None:
    packs = packs_of(reader)
    memory = BufferPool(max(pack.size for pack in packs) + 1)
    used = set[int]()

    for index, data in reader.packs.read_packs(packs, range(len(packs)), memory):
        assert isinstance(data, memoryview)
        assert hashlib.sha256(data).digest() == packs[index].digest
        used.add(id(data.obj))
        memory.give_back(data)

    assert len(used) == 1


def test_packs_that_are_kept_do_not_share_memory(reader: BundleReader) -> None:
    packs = packs_of(reader)
    memory = BufferPool(max(pack.size for pack in packs) + 1)

    found = list(reader.packs.read_packs(packs, range(len(packs)), memory))

    for index, data in found:
        assert not isinstance(data, AirgapError)
        assert hashlib.sha256(data).digest() == packs[index].digest


@pytest.mark.parametrize("wanted", [frozenset(), frozenset({0}), frozenset({1})])
def test_only_the_wanted_packs_come(wanted: frozenset[int], reader: BundleReader) -> None:
    packs = packs_of(reader)

    assert {index for index, _ in reader.packs.read_packs(packs, wanted)} == wanted


def test_a_pack_that_the_bundle_has_not_is_missing(reader: BundleReader) -> None:
    packs = [*packs_of(reader)]
    packs.append(Pack(b"\x42" * 32, 100, packs[0].blocks))

    told = errors(reader, packs)

    assert [type(one) for one in told] in ([MissingError], [CorruptError])


def test_a_pack_of_another_size_is_corrupt(reader: BundleReader) -> None:
    first, second = packs_of(reader)
    longer = Pack(second.digest, second.size + 1, second.blocks)

    assert [type(one) for one in errors(reader, [first, longer])] == [CorruptError]


def errors(reader: BundleReader, packs: Sequence[Pack]) -> list[AirgapError]:
    """Read all packs; return what was wrong, whether it was yielded or ended the reading."""
    found: list[AirgapError] = []
    try:
        found += [
            data
            for _, data in reader.packs.read_packs(packs, range(len(packs)))
            if isinstance(data, AirgapError)
        ]
    except AirgapError as error:
        found.append(error)
    return found


def test_closing_twice_does_no_harm(reader: BundleReader) -> None:
    reader.close()
    reader.close()
