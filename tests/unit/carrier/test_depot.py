"""A depot that is elsewhere: what is sent, what is sent again, and what is not believed."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.carrier.depot import Depot, DepotOptions
from airgap.carrier.remote_depot import RemoteDepotReader, RemoteDepotWriter
from airgap.codec.buffer import Buffer
from airgap.errors import AirgapError, ConflictError, CorruptError, MissingError, TransportError
from airgap.format import layout, limits
from airgap.format.manifest import Block, Pack
from airgap.transport.retry import RetryingTransport, RetryPolicy
from airgap.transport.spool import Spool
from tests.servers.in_memory import MemoryFiles, MemoryTransport
from tests.support import stores

MANIFEST = b"not decoded by a carrier"
BUNDLE = hashlib.sha256(MANIFEST).hexdigest()
BYTES = [stores.noise(300_000 + seed, seed) for seed in range(6)]
PACKS = [
    Pack(hashlib.sha256(one).digest(), len(one), (Block(0, len(one), 0, 0, 1),)) for one in BYTES
]
NAMES = [layout.pack_name(pack.digest) for pack in PACKS]
ALL = range(len(PACKS))
TOTAL = sum(map(len, BYTES))


@pytest.fixture
def shop() -> MemoryFiles:
    """A server."""
    return MemoryFiles()


@pytest.fixture
def work(tmp_path: Path) -> DepotOptions:
    """Two connections, and a spool folder that can be looked at."""
    return DepotOptions(jobs=2, spool=tmp_path / "spool", mark=lambda: "5" * 16)


@pytest.fixture
def remote(shop: MemoryFiles, work: DepotOptions) -> Depot:
    """A depot there, over a transport that tries again at once."""
    patience = RetryPolicy(wait=lambda _: None)
    return Depot(RetryingTransport(MemoryTransport(shop), patience), work)


@pytest.fixture
def full(shop: MemoryFiles, remote: Depot) -> Depot:
    """The same with one bundle of six packs."""
    write(remote)
    shop.sent = shop.taken = 0
    shop.calls.clear()
    return remote


def write(remote: Depot) -> list[bool]:
    writer = RemoteDepotWriter(remote)
    try:
        written = [
            writer.put_pack(pack.digest, [one]) for pack, one in zip(PACKS, BYTES, strict=True)
        ]
        writer.publish(BUNDLE, MANIFEST, {"builder.x.dsse": b"signed"}, PACKS)
    finally:
        writer.abort()
    return written


def read(remote: Depot) -> list[Buffer | AirgapError]:
    return [data for _, data in RemoteDepotReader(remote, BUNDLE).read_packs(PACKS, ALL)]


def test_each_byte_is_sent_once(full: Depot, shop: MemoryFiles) -> None:
    assert read(full) == BYTES

    assert shop.sent == TOTAL


def test_what_broke_off_goes_on_where_it_was(full: Depot, shop: MemoryFiles) -> None:
    shop.breaks = [100_000, 50_000, 0, 200_000, 1]

    assert read(full) == BYTES
    assert shop.breaks == []
    assert shop.sent == TOTAL


def test_an_upload_that_broke_off_goes_on_where_it_was(remote: Depot, shop: MemoryFiles) -> None:
    shop.breaks = [100_000, 50_000, 0, 200_000, 1]

    write(remote)

    assert shop.breaks == []
    assert shop.taken == TOTAL
    assert [shop.files[name] for name in NAMES] == BYTES
    assert not [name for name in shop.files if name.endswith(".part")]


def test_only_the_pack_with_the_flipped_byte_is_sent_again(full: Depot, shop: MemoryFiles) -> None:
    spoiled: list[str] = []

    def flip(name: str, offset: int, data: bytes) -> bytes:
        if name != NAMES[3] or spoiled or offset < 100_000:
            return data
        spoiled.append(name)
        return bytes([data[0] ^ 1]) + data[1:]

    shop.spoil = flip

    assert read(full) == BYTES
    assert spoiled
    assert shop.sent == TOTAL + len(BYTES[3])


def test_a_pack_that_is_wrong_there_costs_no_other(full: Depot, shop: MemoryFiles) -> None:
    shop.files[NAMES[1]] = bytes(len(BYTES[1]))

    found = read(full)

    assert isinstance(found[1], CorruptError)
    assert found[:1] + found[2:] == BYTES[:1] + BYTES[2:]
    assert shop.sent == TOTAL + 2 * len(BYTES[1])


@pytest.mark.parametrize("change", [-1, 1, 1_000_000])
def test_a_pack_of_another_size_is_not_fetched_again(
    change: int, full: Depot, shop: MemoryFiles
) -> None:
    shop.files[NAMES[1]] = (BYTES[1] + bytes(max(0, change)))[: len(BYTES[1]) + change]

    found = read(full)

    assert isinstance(found[1], CorruptError)
    assert shop.sent <= TOTAL + 1


def test_a_pack_that_is_not_there_is_missing(full: Depot, shop: MemoryFiles) -> None:
    del shop.files[NAMES[5]]

    found = read(full)

    assert isinstance(found[5], MissingError)
    assert found[:5] == BYTES[:5]


def test_a_road_on_which_nothing_moves_ends_the_reading(full: Depot, shop: MemoryFiles) -> None:
    shop.breaks = [0] * 100

    with pytest.raises(TransportError, match="in a row"):
        read(full)


def test_no_more_packs_lie_in_the_spool_than_connections(
    full: Depot, work: DepotOptions, shop: MemoryFiles
) -> None:
    packs = RemoteDepotReader(full, BUNDLE).read_packs(PACKS, ALL)

    next(packs)

    assert sum(call.startswith("get packs/") for call in shop.calls) <= work.jobs
    assert isinstance(packs, Iterator)
    packs.close()  # type: ignore[attr-defined]
    assert work.spool is not None
    assert list(work.spool.iterdir()) == []


def test_a_full_disk_is_no_broken_connection(
    full: Depot, shop: MemoryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_disk = Path("/dev/full")
    if not full_disk.exists():
        pytest.skip("there is no /dev/full here")
    monkeypatch.setattr(Spool, "open_unnamed", lambda _: full_disk.open("r+b", buffering=0))

    with pytest.raises(AirgapError, match="No space left") as told:
        read(full)

    assert told.value.kind == "storage"
    assert shop.connections < 6


def test_what_is_there_is_not_sent_again(full: Depot, shop: MemoryFiles) -> None:
    assert write(full) == [False] * 6

    assert shop.taken == 0


def test_a_run_that_was_stopped_is_gone_on_with(remote: Depot, shop: MemoryFiles) -> None:
    shop.files[NAMES[0]] = BYTES[0]
    shop.files[f"{NAMES[1]}.{'5' * 16}.part"] = BYTES[1][:250_000]
    shop.files[f"{NAMES[2]}.{'6' * 16}.part"] = b"of somebody else who writes it now"

    assert write(remote) == [False, True, True, True, True, True]

    assert shop.taken == TOTAL - len(BYTES[0]) - 250_000
    assert [shop.files[name] for name in NAMES] == BYTES


def test_the_manifest_comes_last(remote: Depot, shop: MemoryFiles) -> None:
    write(remote)

    stored = [one for one in shop.calls if one.partition(" ")[0] in ("put", "publish")]
    assert stored[-1] == f"publish {layout.manifest_name(BUNDLE)}"
    assert {one.partition(" ")[2] for one in stored} == set(shop.files)


def test_a_failed_pack_keeps_the_manifest_away(remote: Depot, shop: MemoryFiles) -> None:
    shop.breaks = [-1, -1, *[0] * 100]

    with pytest.raises(TransportError, match="in a row"):
        write(remote)

    assert layout.manifest_name(BUNDLE) not in shop.files


def test_what_reads_otherwise_is_written_again(shop: MemoryFiles, tmp_path: Path) -> None:
    remote = Depot(
        MemoryTransport(shop), DepotOptions(spool=tmp_path / "spool", verify_after_write=True)
    )
    shop.files[NAMES[2]] = bytes(len(BYTES[2]))

    write(remote)

    assert [shop.files[name] for name in NAMES] == BYTES


def test_a_server_that_damages_what_it_stores_is_told(shop: MemoryFiles, tmp_path: Path) -> None:
    remote = Depot(
        MemoryTransport(shop), DepotOptions(spool=tmp_path / "spool", verify_after_write=True)
    )
    shop.spoil = lambda name, _, data: bytes(len(data)) if name == NAMES[2] else data

    with pytest.raises(TransportError, match="is not what was written"):
        write(remote)

    assert layout.manifest_name(BUNDLE) not in shop.files


def test_a_manifest_that_is_damaged_there_is_replaced(full: Depot, shop: MemoryFiles) -> None:
    shop.files[layout.manifest_name(BUNDLE)] = b"longer than it was, and something else"

    write(full)

    assert shop.files[layout.manifest_name(BUNDLE)] == MANIFEST


def test_bundles_are_listed_when_their_manifest_is_there(full: Depot, shop: MemoryFiles) -> None:
    shop.files[f"bundles/{'a' * 64}/builder.x.dsse"] = b"not published yet"
    shop.files["bundles/strangers/manifest.msgpack"] = b"not ours"
    shop.files["bundles/../x"] = b"hostile"

    assert full.list_bundles() == [BUNDLE]


def test_a_whole_id_is_looked_up_without_a_listing(full: Depot, shop: MemoryFiles) -> None:
    assert full.list_bundles(BUNDLE) == [BUNDLE]
    assert full.list_bundles("0" * 64) == []
    assert not [call for call in shop.calls if call.startswith("list")]


def test_an_empty_depot_has_no_bundle(remote: Depot) -> None:
    with pytest.raises(MissingError, match="holds no bundle"):
        remote.list_bundles()


def test_a_manifest_that_never_ends_is_refused(full: Depot, shop: MemoryFiles) -> None:
    shop.files[layout.manifest_name(BUNDLE)] = bytes(limits.KIB)
    reader = RemoteDepotReader(full, BUNDLE)

    with pytest.raises(CorruptError, match="longer than"):
        full.read(layout.manifest_name(BUNDLE), 1000)
    assert reader.read_manifest() == (BUNDLE, bytes(limits.KIB))


def test_roots_that_travel_are_not_replaced(remote: Depot, shop: MemoryFiles) -> None:
    writer = RemoteDepotWriter(remote)
    writer.put_root("roots/1.root.msgpack", b"root")
    writer.put_root("roots/1.root.msgpack", b"root")

    with pytest.raises(ConflictError):
        writer.put_root("roots/1.root.msgpack", b"another")
    writer.abort()

    assert shop.files == {"roots/1.root.msgpack": b"root"}
    assert [one.raw for one in remote.read_roots()] == [b"root"]


def test_signatures_are_added(full: Depot, shop: MemoryFiles) -> None:
    key = "a" * 64
    said = [(f"approver.{key}.attestation", b"said"), (f"approver.{key}.dsse", b"signed")]

    full.add_files(BUNDLE, said)
    full.add_files(BUNDLE, said)

    assert shop.files[f"bundles/{BUNDLE}/approver.{key}.attestation"] == b"said"
    assert RemoteDepotReader(full, BUNDLE).read_attestations("approver") == [(b"said", b"signed")]
    with pytest.raises(ConflictError, match="another signature by this key"):
        full.add_files(BUNDLE, [(said[0][0], b"otherwise"), said[1]])


def test_giving_up_does_not_wait_for_a_server(
    remote: Depot, shop: MemoryFiles, work: DepotOptions
) -> None:
    begun, release = threading.Event(), threading.Event()

    def hang(_name: str, _offset: int, data: bytes) -> bytes:
        begun.set()
        release.wait(20)
        return data

    shop.spoil = hang
    writer = RemoteDepotWriter(remote)
    writer.put_pack(PACKS[0].digest, [BYTES[0]])
    begun.wait(20)
    threading.Timer(0.1, release.set).start()
    writer.abort()

    assert NAMES[0] not in shop.files
    assert work.spool is not None
    assert list(work.spool.iterdir()) == []


def test_what_a_killed_run_left_in_the_spool_is_removed(full: Depot, work: DepotOptions) -> None:
    assert work.spool is not None
    left = work.spool / "airgap-spool-left"
    left.mkdir()
    (left / "pack").write_bytes(b"1")

    read(full)

    assert list(work.spool.iterdir()) == []
