"""With 100,000 entries, an append and a proof cost what they do with ten (format §17.4, §28.8)."""

import os
import time
from pathlib import Path

import pytest

from airgap.disk import reading
from airgap.flow.admission import history
from airgap.flow.ledger import checkpoints, prove
from airgap.flow.ledger.record import EventRecord, record_event
from airgap.flow.receipts import witness
from airgap.format import ledger as ledger_format
from airgap.format import tree
from airgap.format.ledger import Entry, State
from airgap.format.ledger_view import decode_view
from airgap.ledger.state_file import encode_state_file
from airgap.signing import private_keys

ENTRIES = 100_000
FEW = 1000
READ_BYTES = 64 * 1024
SYNCS = 2
APPEND_SECONDS = 0.005
PROOF_SECONDS = 0.05
EXPORTS = checkpoints.LedgerChoice("ward", "exporting")
LAST = Entry("ward", "checked", at=9, floor=5, root=0, previous=bytes(32), bundle=bytes(32))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the ledger of exports is."""
    for name in ("AIRGAP_HOME", "BENTOML_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("AIRGAP_CONFIG", raising=False)
    folder = tmp_path / "AIRGAP_HOME/ledgers/ward/exporting"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def ledger(folder: Path) -> Path:
    return fill(folder, ENTRIES)


@pytest.fixture
def small_ledger(folder: Path) -> Path:
    return fill(folder, FEW)


def fill(folder: Path, count: int) -> Path:
    """Write a ledger whose entries but the last are only bytes: nobody reads them."""
    last = ledger_format.encode_entry(LAST)
    filler = bytes(len(last) - 4)
    entries = [filler + number.to_bytes(4, "big") for number in range(count - 1)] + [last]
    data = b"".join(map(ledger_format.frame, entries))
    state = State(
        "ward",
        count,
        len(data),
        ledger_format.digest(last),
        5,
        edge=tuple(tree.compute_edge(map(tree.hash_leaf, entries))),
        first=ledger_format.digest(entries[0]),
        last=len(data) - len(last) - 4,
    )
    (folder / "ledger").write_bytes(data)
    (folder / "state").write_bytes(encode_state_file(state))
    return folder


def count_read_bytes() -> int:
    """Return how many bytes this process has read, by what the kernel says."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("rchar:")).split()[1])


def append(note: str) -> int:
    return record_event("ward", "exporting", EventRecord("checked", bundle=bytes(32), note=note))


def test_an_append_reads_little_syncs_twice_and_is_quick(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[int] = []
    monkeypatch.setattr(os, "fsync", syncs.append)
    append("the first one")  # imports what it needs
    costs, read = [], 0
    for number in range(10):
        syncs.clear()
        before, began = count_read_bytes(), time.process_time()
        assert append(str(number)) == ENTRIES + 2 + number
        costs.append(time.process_time() - began)
        read = count_read_bytes() - before
        assert read < READ_BYTES, f"{read:,} bytes"
        assert len(syncs) <= SYNCS
    print(f"\nan append: {read:,} bytes, {len(syncs)} syncs, {min(costs) * 1000:.2f} ms")  # noqa: T201
    assert min(costs) < APPEND_SECONDS
    status = history.check_history("ward", "exporting")  # all of it
    assert status.require().state.entries == ENTRIES + 11
    assert (ledger / "ledger").stat().st_size == status.require().state.size


def test_a_proof_is_quick(ledger: Path, tmp_path: Path) -> None:
    private_keys.generate(tmp_path, "recorder", "ed25519", None)
    signer = private_keys.load(tmp_path / "recorder.key", lambda _: b"")
    signed = checkpoints.make_checkpoint(EXPORTS, signer)  # writes the nodes
    append("one more")  # and keeps them
    signed = checkpoints.make_checkpoint(EXPORTS, signer)
    before = (ledger / "nodes").stat().st_mtime_ns
    costs = []
    for index in (0, 1, ENTRIES // 2, ENTRIES - 1, ENTRIES):
        began = time.process_time()
        read = checkpoints.read_tree(EXPORTS, whole=False)
        proof = prove.make_inclusion(read, index, signed)
        costs.append(time.process_time() - began)
        assert len(proof.path) <= 17
    assert (ledger / "nodes").stat().st_mtime_ns == before
    print(f"\na proof: {min(costs) * 1000:.1f} ms")  # noqa: T201
    assert min(costs) < PROOF_SECONDS


@pytest.mark.parametrize("name", ["nodes", "offsets"])
def test_nodes_that_do_not_fit_are_made_again(
    small_ledger: Path, tmp_path: Path, name: str
) -> None:
    private_keys.generate(tmp_path, "recorder", "ed25519", None)
    signer = private_keys.load(tmp_path / "recorder.key", lambda _: b"")
    signed = checkpoints.make_checkpoint(EXPORTS, signer)
    whole = (small_ledger / name).read_bytes()
    (small_ledger / name).write_bytes(whole[:100] + bytes(len(whole) - 100))

    out = tmp_path / "proof"
    written = prove.prove_entry(EXPORTS, str(FEW), out, None)

    assert (written.number, written.signed) == (FEW, signed)
    assert (small_ledger / name).read_bytes() == whole


@pytest.mark.usefixtures("ledger")
def test_the_proofs_of_a_receipt_read_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private_keys.generate(tmp_path, "recorder", "ed25519", None)
    signer = private_keys.load(tmp_path / "recorder.key", lambda _: b"")
    checkpoints.make_checkpoint(EXPORTS, signer)  # writes the nodes
    bundle = b"\1" * 32
    for number in range(20):  # sixteen of them are proven to be continued
        exported = EventRecord("exported", bundle=bundle, note=str(number))
        record_event("ward", "exporting", exported)
    read: dict[str, int] = {}

    def count(path: Path, offset: int, limit: int) -> bytes | None:
        data = reading.read_from(path, offset, limit)
        read[path.name] = read.get(path.name, 0) + len(data or b"")
        return data

    monkeypatch.setattr("airgap.ledger.log.read_from", count)
    before, began = count_read_bytes(), time.process_time()
    made = witness.make_checkpoint("ward", bundle, ENTRIES // 2, signer)
    cost, total = time.process_time() - began, count_read_bytes() - before

    assert made
    note, earlier = decode_view(made[1])
    assert [point.size for point in earlier] == [*range(ENTRIES + 19, ENTRIES + 3, -1), 50_000]
    signed = checkpoints.verify_checkpoint(note, {signer.key.id: signer.key}, "it")
    assert signed.point.size == ENTRIES + 20
    print(f"\na checkpoint that travels: {read}, {total:,} bytes, {cost * 1000:.0f} ms")  # noqa: T201
    assert sum(read.values()) < READ_BYTES
    assert total < READ_BYTES
