"""What contradicts itself, is of another ledger, or was not signed, proves nothing (format §28)."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import AirgapError, CorruptError, NotTrustedError, PolicyError
from airgap.flow.ledger.export import compute_exported_root
from airgap.flow.ledger.record import EventRecord, record_event
from airgap.format import limits, tree_proof
from airgap.format.checkpoint import (
    Checkpoint,
    NoteSignature,
    add_signature,
    compute_key_hash,
    parse_checkpoint,
    parse_note,
)
from airgap.format.tree_proof import ConsistencyProof
from airgap.signing.checkpoints import raw_public_key
from tests.support import refusals
from tests.support.recorded_site import RecordedSite, make_recorded_site
from tests.support.sides import Side


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> RecordedSite:
    site = make_recorded_site(tmp_path_factory.mktemp("recorded"))
    add_entries(site, 4)
    return site


@pytest.fixture
def site(template: RecordedSite, tmp_path: Path) -> Iterator[RecordedSite]:
    """A site whose ledger has five entries."""
    copy = template.copy(tmp_path / "ward")
    yield copy
    shutil.rmtree(copy.top)


@pytest.fixture
def auditor(tmp_path: Path) -> Side:
    return Side(tmp_path / "auditor")


def add_entries(site: RecordedSite, count: int, note: str = "") -> None:
    with site.here():
        for number in range(count):
            record = EventRecord("checked", bundle=bytes([number]) * 32, note=note)
            record_event("ward", "importing", record)


def sign(site: RecordedSite, point: Checkpoint, name: str = "recorder") -> bytes:
    """Sign any checkpoint, as a thief of the key or a dishonest recorder can."""
    signer = site.signer(name)
    key_hash = compute_key_hash(point.origin, raw_public_key(signer.key))
    line = NoteSignature(point.origin, key_hash, signer.sign_text(point.text))
    return add_signature(point.text, line)


def read_point(path: Path) -> Checkpoint:
    return parse_checkpoint(parse_note(path.read_bytes(), "c").text, "c")


def cosign(site: RecordedSite, request: bytes, tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "request").write_bytes(request)
    words = ("ledger", "cosign", tmp_path / "request", "--name", "a", "-o", tmp_path / "signed")
    return (*map(str, words), "--recorder", str(site.public()), "--key", str(site.key("witness")))


def test_two_checkpoints_of_one_length_are_kept_as_evidence(
    site: RecordedSite, auditor: Side, tmp_path: Path
) -> None:
    site.ledger("checkpoint", "--key", site.key())
    first = (site.folder / "checkpoint").read_bytes()
    request = tree_proof.encode_consistency(ConsistencyProof(0, (), first))
    assert auditor.run(*cosign(site, request, tmp_path)).code == 0
    second = sign(site, replace(read_point(site.folder / "checkpoint"), root=bytes(32)))
    forged = tree_proof.encode_consistency(ConsistencyProof(5, (), second))
    (tmp_path / "signed").unlink()

    ran = auditor.run(*cosign(site, forged, tmp_path))

    assert ran.code == NotTrustedError.exit_code
    assert "two checkpoints over 5 entries with different roots" in ran.err
    (evidence,) = auditor.state.glob("witnessed/*/fork-5-*")
    assert (evidence / "first").read_bytes() == first
    assert (evidence / "second").read_bytes() == second
    assert not (tmp_path / "signed").exists()


def test_a_witness_does_not_sign_what_was_rewritten(
    site: RecordedSite, auditor: Side, tmp_path: Path
) -> None:
    """A machine that was restored from a backup goes on with other entries."""
    backup = site.copy(tmp_path / "backup")
    add_entries(site, 3)
    request = tmp_path / "consistency"
    site.ledger("consistency", "0", "-o", request, "--key", site.key())
    assert auditor.run(*cosign(site, request.read_bytes(), tmp_path)).code == 0
    add_entries(backup, 6, "others")

    backup.ledger("consistency", "8", "-o", request, "--key", site.key())

    words = cosign(site, request.read_bytes(), tmp_path)
    refused = refusals.expect_refusal(auditor, *words, error=NotTrustedError)
    assert "does not show that the ledger" in refused.json["error"]["message"]


def test_a_first_request_with_a_proof_is_refused(
    site: RecordedSite, auditor: Side, tmp_path: Path
) -> None:
    site.ledger("checkpoint", "--key", site.key())
    note = (site.folder / "checkpoint").read_bytes()
    request = tree_proof.encode_consistency(ConsistencyProof(0, (bytes(32),), note))
    words = cosign(site, request, tmp_path)
    refusals.expect_refusal(auditor, *words, error=NotTrustedError)


def test_a_proof_of_another_ledger_proves_nothing(
    site: RecordedSite, auditor: Side, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = make_recorded_site(tmp_path / "other")
    add_entries(other, 4)
    for each, name in ((site, "one"), (other, "two")):
        each.ledger("prove", "3", "-o", tmp_path / name, "--key", each.key())
    shutil.copy(tmp_path / "two/entry.msgpack", tmp_path / "one/entry.msgpack")

    words = ("ledger", "verify", tmp_path / "one", "--recorder", site.public())
    refusals.expect_refusal(auditor, *words, error=NotTrustedError)
    words = ("ledger", "verify", tmp_path / "two", "--recorder", site.public())
    refusals.expect_refusal(auditor, *words, error=NotTrustedError)


def test_two_ledgers_do_not_continue_each_other(site: RecordedSite, tmp_path: Path) -> None:
    site.ledger("checkpoint", "--key", site.key())
    point = read_point(site.folder / "checkpoint")
    (tmp_path / "old").write_bytes(sign(site, replace(point, origin="airgap/ward/" + "0" * 16)))
    site.ledger("consistency", "5", "-o", tmp_path / "proof")

    words = ("ledger", "verify", tmp_path / "proof", "--old", tmp_path / "old")
    refusals.expect_refusal(site, *words, error=NotTrustedError)


def test_a_ledger_that_was_cut_gets_no_second_checkpoint(
    site: RecordedSite, tmp_path: Path
) -> None:
    """Ledger and state are from a backup, and fit each other; the last checkpoint does not."""
    backup = site.copy(tmp_path / "backup")
    add_entries(site, 2)
    site.ledger("checkpoint", "--key", site.key())
    for name in ("ledger", "state"):
        shutil.copy(backup.folder / name, site.folder / name)

    words = ("ledger", "checkpoint", "--key", site.key())
    refused = refusals.expect_refusal(site, *words, error=PolicyError)
    assert "does not continue its last checkpoint" in refused.json["error"]["message"]
    add_entries(site, 4, "others")
    refusals.expect_refusal(site, *words, error=PolicyError)


def test_a_damaged_ledger_gets_no_checkpoint(site: RecordedSite) -> None:
    raw = bytearray((site.folder / "ledger").read_bytes())
    raw[30] ^= 1
    (site.folder / "ledger").write_bytes(raw)

    words = ("ledger", "checkpoint", "--key", site.key())
    refusals.expect_refusal(site, *words, error=PolicyError)


def test_a_key_that_is_not_a_recorders_neither_signs_nor_counts(
    site: RecordedSite, tmp_path: Path
) -> None:
    site.ledger("checkpoint", "--key", site.key())
    for name in ("other", "bob"):
        words = ("ledger", "checkpoint", "--key", site.key(name))
        ran = site.run(*words)
        assert ran.code == 3
        assert "not a recorder of site ward" in ran.err
        forged = tmp_path / name
        forged.write_bytes(sign(site, read_point(site.folder / "checkpoint"), name))
        refusals.expect_refusal(site, "ledger", "verify", forged, error=NotTrustedError)


def test_a_recorders_key_that_is_revoked_counts_for_nothing(
    site: RecordedSite, tmp_path: Path
) -> None:
    site.ledger("prove", "3", "-o", tmp_path / "proof", "--key", site.key())
    assert site.run("ledger", "verify", tmp_path / "proof").code == 0

    site.trust_root(2, revoked="recorder")

    refusals.expect_refusal(site, "ledger", "verify", tmp_path / "proof", error=NotTrustedError)
    assert site.run("ledger", "checkpoint", "--key", site.key()).code == 3
    assert site.run("ledger", "checkpoint", "--key", site.key("other")).code == 0


def test_a_recorder_signs_for_its_own_site_only(site: RecordedSite, tmp_path: Path) -> None:
    site.ledger("checkpoint", "--key", site.key())
    point = read_point(site.folder / "checkpoint")
    (tmp_path / "c").write_bytes(sign(site, replace(point, origin="airgap/attic/" + "0" * 16)))

    refused = refusals.expect_refusal(
        site, "ledger", "verify", tmp_path / "c", error=NotTrustedError
    )
    assert "not of one of site ward" in refused.json["error"]["message"]


def flip(raw: bytes) -> bytes:
    at = raw.index(b"\n") + 1  # the length
    return raw[:at] + b"9" + raw[at + 1 :]


def escape(raw: bytes) -> bytes:
    return raw.replace(b"airgap/", b"airgap/\x1b[2J", 1)


def enlarge(raw: bytes) -> bytes:
    return raw + b"x" * limits.TREE_PROOF_BYTES


def repeat(raw: bytes) -> bytes:
    line = raw.splitlines(keepends=True)[-1]
    return raw + line * limits.NOTE_SIGNATURES


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (flip, NotTrustedError),
        (escape, CorruptError),
        (enlarge, CorruptError),
        (repeat, CorruptError),
    ],
)
def test_a_checkpoint_that_was_changed_is_refused(
    change: Callable[[bytes], bytes], error: type[AirgapError], site: RecordedSite, tmp_path: Path
) -> None:
    site.ledger("checkpoint", "--key", site.key())
    changed = tmp_path / "changed"
    changed.write_bytes(change((site.folder / "checkpoint").read_bytes()))

    refused = refusals.expect_refusal(site, "ledger", "verify", changed, error=error)
    assert "\x1b" not in refused.err


@pytest.mark.parametrize("count", [64, 5000])
def test_a_huge_proof_is_refused_before_it_is_computed(
    count: int, site: RecordedSite, tmp_path: Path
) -> None:
    site.ledger("checkpoint", "--key", site.key())
    note = (site.folder / "checkpoint").read_bytes()
    proof = ConsistencyProof(1, (bytes(32),) * count, note)
    (tmp_path / "proof").write_bytes(tree_proof.encode_consistency(proof))
    words = ("ledger", "verify", tmp_path / "proof", "--old", site.folder / "checkpoint")
    refusals.expect_refusal(site, *words, error=CorruptError)


def drop(folder: Path) -> None:
    raw = (folder / "entries").read_bytes()
    (folder / "entries").write_bytes(raw[4 + int.from_bytes(raw[:4], "big") :])


def cut(folder: Path) -> None:
    (folder / "entries").write_bytes((folder / "entries").read_bytes()[:-1])


def change_entry(folder: Path) -> None:
    raw = bytearray((folder / "entries").read_bytes())
    raw[-9] ^= 1
    (folder / "entries").write_bytes(raw)


def skip(folder: Path) -> None:
    drop(folder)
    (folder / "edge").write_text("1\n" + "A" * 43 + "=\n")


def lie(folder: Path) -> None:
    (folder / "edge").write_text("3\n" + "A" * 43 + "=\n")


@pytest.mark.parametrize(
    ("harm", "error"),
    [
        (drop, NotTrustedError),
        (cut, CorruptError),
        (change_entry, NotTrustedError),
        (skip, NotTrustedError),
        (lie, CorruptError),
    ],
)
def test_no_exported_entry_can_be_changed_or_left_out(
    harm: Callable[[Path], None], error: type[AirgapError], site: RecordedSite, tmp_path: Path
) -> None:
    folder = tmp_path / "entries"
    site.ledger("export", "-o", folder, "--key", site.key())
    harm(folder)
    refusals.expect_refusal(site, "ledger", "verify", folder, error=error)


@pytest.mark.parametrize("origin", ["noslash", "airgap/ward", "other/ward/0123456789abcdef"])
def test_exported_entries_of_what_is_not_a_ledger_are_refused(
    origin: str, site: RecordedSite, tmp_path: Path
) -> None:
    folder = tmp_path / "entries"
    site.ledger("export", "-o", folder, "--key", site.key())
    point = parse_checkpoint(parse_note((folder / "checkpoint").read_bytes(), "it").text, "it")

    with pytest.raises(CorruptError, match="not the name of a ledger"):
        compute_exported_root(folder, replace(point, origin=origin))


def test_cosignatures_of_another_checkpoint_are_not_added(
    site: RecordedSite, tmp_path: Path
) -> None:
    site.ledger("checkpoint", "--key", site.key(), "-o", tmp_path / "old")
    add_entries(site, 1)
    site.ledger("checkpoint", "--key", site.key())
    words = ("ledger", "checkpoint", "--cosigned", tmp_path / "old")
    refusals.expect_refusal(site, *words, error=PolicyError)
