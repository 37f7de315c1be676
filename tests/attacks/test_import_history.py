"""A lost or rolled back import history is reported, and imports are refused (format §17.5)."""

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import CorruptError, PolicyError, StorageError, UsageError
from airgap.format.ledger import decode_witness, encode_witness
from airgap.ledger import log
from airgap.ledger.state_file import decode_state_file
from tests.support import forge, refusals, sides, signers, stores
from tests.support.forge import Draft, Forge
from tests.support.sides import Side, Site
from tests.support.signers import make_root


def bundle(letter: str, sequence: int) -> Draft:
    model = forge.model({"w": letter.encode()}, f"{letter}:v1")
    return forge.draft(model, sequence=sequence, channel="nightly")


@pytest.fixture
def location(forged: Forge) -> Callable[[int], Path]:
    """Bundles of one channel, by number."""
    return lambda sequence: forged.depot(bundle(chr(96 + sequence), sequence))


@pytest.fixture
def used(isolated: Side, location: Callable[[int], Path]) -> Side:
    """A side that has imported numbers 1, 2 and 3."""
    for sequence in (1, 2, 3):
        assert isolated.run("import", location(sequence)).code == 0
    return isolated


def history_folder(side: Side) -> Path:
    return side.state / "sites/ward"


def ledger(side: Side) -> Path:
    return history_folder(side) / "ledger"


def witness(side: Side) -> Path:
    return side.bentoml / ".airgap/witness/ward"


def read_history(side: Side) -> dict[str, object]:
    about = side.run("trust", "show", "--json").json["history"]
    assert isinstance(about, dict)
    return about


def sequences(about: dict[str, object]) -> dict[str, int]:
    """The last number of each channel, as ``trust show`` has it."""
    channels = about["channels"]
    assert isinstance(channels, dict)
    return {name: mark["sequence"] for name, mark in channels.items()}


def backup(side: Side) -> Path:
    copy = side.top.parent / "backup"
    shutil.copytree(side.state, copy)
    return copy


def restore(side: Side, copy: Path) -> None:
    shutil.rmtree(side.state)
    shutil.copytree(copy, side.state)


def rolled_back(side: Side, location: Callable[[int], Path]) -> None:
    copy = backup(side)
    assert side.run("import", location(4)).code == 0
    restore(side, copy)


def begun_again(side: Side, _place: object) -> None:
    root = side.state.parent / "root"
    fingerprint = side.run("trust", "show", "--json").json["fingerprint"]
    shutil.copytree(side.state / "trust", root)
    shutil.rmtree(side.state)
    (path,) = root.glob("*.msgpack")
    assert side.run("trust", "init", path, "--fingerprint", fingerprint).code == 0


def state_of_yesterday(side: Side, location: Callable[[int], Path]) -> None:
    old = (history_folder(side) / "state").read_bytes()
    for sequence in (4, 5):
        assert side.run("import", location(sequence)).code == 0
    (history_folder(side) / "state").write_bytes(old)


def ledger_of_yesterday(side: Side, location: Callable[[int], Path]) -> None:
    old = ledger(side).read_bytes()
    assert side.run("import", location(4)).code == 0
    ledger(side).write_bytes(old)


def ledger_of_another_machine(side: Side, location: Callable[[int], Path]) -> None:
    other = Side(side.top.parent / "other")
    shutil.copytree(side.top, other.top)
    for one, sequence in ((side, 4), (other, 5)):
        assert one.run("import", location(sequence)).code == 0
    shutil.copy(history_folder(other) / "ledger", ledger(side))


def history_of_another_machine(side: Side, location: Callable[[int], Path]) -> None:
    ledger_of_another_machine(side, location)
    other = Side(side.top.parent / "other")
    shutil.copy(history_folder(other) / "state", history_folder(side) / "state")


def without(name: str) -> Callable[[Side, object], None]:
    return lambda side, _: (history_folder(side) / name).unlink()


def without_history(side: Side, _place: object) -> None:
    shutil.rmtree(history_folder(side))


def cut(name: str, size: int) -> Callable[[Side, object], None]:
    return lambda side, _: os.truncate(history_folder(side) / name, size)


def flipped(path: Callable[[Side], Path], at: int) -> Callable[[Side, object], None]:
    def flip(side: Side, _place: object) -> None:
        raw = bytearray(path(side).read_bytes())
        raw[at] ^= 1
        path(side).write_bytes(raw)

    return flip


Harm = Callable[[Side, Callable[[int], Path]], None]
HARMS = [
    pytest.param(rolled_back, "restored", id="restored from a backup"),
    pytest.param(begun_again, "restored", id="deleted and set up again"),
    pytest.param(state_of_yesterday, "restored", id="the state of yesterday"),
    pytest.param(ledger_of_yesterday, "restored", id="the ledger of yesterday"),
    pytest.param(ledger_of_another_machine, "restored", id="the ledger of another machine"),
    pytest.param(history_of_another_machine, "restored", id="the memory of another machine"),
    pytest.param(without("state"), "missing", id="no state"),
    pytest.param(without("ledger"), "missing", id="no ledger"),
    pytest.param(without_history, "missing", id="neither"),
    pytest.param(cut("state", 0), "damaged", id="an empty state"),
    pytest.param(cut("state", 40), "damaged", id="half a state"),
    pytest.param(cut("ledger", 0), "damaged", id="an empty ledger"),
    pytest.param(cut("ledger", 100), "damaged", id="half a ledger"),
    pytest.param(flipped(ledger, 20), "damaged", id="entry 1"),
    pytest.param(flipped(ledger, -9), "damaged", id="last entry"),
    pytest.param(flipped(witness, 50), "damaged", id="the witness"),
]


@pytest.mark.parametrize(("harm", "kind"), HARMS)
def test_nothing_is_imported_and_the_reason_is_told(
    harm: Harm, kind: str, used: Side, location: Callable[[int], Path]
) -> None:
    harm(used, location)

    for words in (
        ("import", location(9)),
        ("verify", location(9)),
        ("import", location(3), "--dry-run"),
    ):
        refused = refusals.expect_refusal(used, *words, error=PolicyError)
        assert "reset-state" in refused.json["error"]["hint"]
    fault = read_history(used)["fault"]
    assert isinstance(fault, dict)
    assert fault["kind"] == kind
    assert fault["message"]
    doctor = used.run("doctor", "--json").json
    assert "history" in {one["about"] for one in doctor["findings"] if one["level"] == "problem"}


@pytest.mark.parametrize(("harm", "kind"), HARMS)
def test_a_reset_keeps_what_is_whole_and_imports_go_on(
    harm: Harm, kind: str, used: Side, location: Callable[[int], Path]
) -> None:
    harm(used, location)
    before = read_history(used)
    kept = sequences(before)
    with suppress(CorruptError, FileNotFoundError):  # what only the state has is kept, too
        state = decode_state_file((history_folder(used) / "state").read_bytes()).state
        for channel, mark in state.channels.items() if state.site == "ward" else ():
            kept[channel] = max(kept.get(channel, 0), mark.sequence)

    ran = used.run("trust", "reset-state", "--yes", str(before["head"]), "--json")

    assert ran.code == 0, ran.err
    assert kind
    after = read_history(used)
    assert after["intact"] is True
    assert sequences(after) == kept
    carried = [entry["event"] for entry in used.run("log", "--json").json["entries"]]
    assert carried == ["carried"] * (len(carried) - 1) + ["reset"]
    assert Path(ran.json["aside"]).is_dir()
    assert used.run("import", location(9)).code == 0
    refusals.expect_refusal(used, "import", location(8), error=PolicyError)


def test_what_is_whole_of_a_damaged_ledger_still_refuses_replays_after_a_reset(
    used: Side, location: Callable[[int], Path]
) -> None:
    raw = bytearray((history_folder(used) / "ledger").read_bytes())
    raw[-9] ^= 1  # in the entry about number 3
    (history_folder(used) / "ledger").write_bytes(raw)

    used.run("trust", "reset-state", "--yes", str(read_history(used)["head"]))

    for number in (1, 2):  # the state still has number 3 (format §17.7)
        refusals.expect_refusal(used, "import", location(number), error=PolicyError)
    assert used.run("import", location(3)).code == 0


def test_the_old_files_are_kept_as_they_were(used: Side) -> None:
    (history_folder(used) / "state").write_bytes(b"damaged")
    ledger = (history_folder(used) / "ledger").read_bytes()
    seen = witness(used).read_bytes()

    ran = used.run("trust", "reset-state", "--yes", str(read_history(used)["head"]), "--json")

    aside = Path(ran.json["aside"])
    kept = {one.name: one.read_bytes() for one in aside.iterdir()}
    assert kept == {"state": b"damaged", "ledger": ledger, "witness": seen}


def test_a_reset_wants_the_head_that_it_told(used: Side) -> None:
    (history_folder(used) / "state").unlink()

    for head in ("", "00" * 32, "yes"):
        words = ("trust", "reset-state", "--yes", head)
        refusals.expect_refusal(used, *words, error=UsageError)


def test_a_reset_of_what_is_whole_does_nothing(used: Side) -> None:
    before = stores.snapshot(used.top)

    ran = used.run("trust", "reset-state", "--yes", "00" * 32, "--json")

    assert (ran.code, ran.json["reset"]) == (0, False)
    assert stores.snapshot(used.top) == before


def test_without_a_terminal_a_reset_says_what_it_found_and_does_nothing(used: Side) -> None:
    (history_folder(used) / "state").unlink()

    ran = refusals.expect_refusal(used, "trust", "reset-state", error=UsageError)

    assert "channel nightly: number 3" in ran.err
    assert f"--yes {read_history(used)['head']}" in ran.err


@pytest.mark.parametrize(("typed", "code"), [(b"ward\n", 0), (b"yes\n", 2), (b"\n", 2)])
def test_at_a_terminal_a_reset_asks_for_the_sites_id(typed: bytes, code: int, used: Side) -> None:
    (history_folder(used) / "state").unlink()
    ours, theirs = pty.openpty()
    os.write(ours, typed)

    ran = subprocess.run(
        [sys.executable, "-m", "airgap", "trust", "reset-state"],
        env={**os.environ, **used.environment},
        stdin=theirs,
        capture_output=True,
        check=False,
        timeout=60,
    )

    os.close(ours)
    os.close(theirs)
    assert ran.returncode == code, ran.stderr
    assert read_history(used)["intact"] is (code == 0)


def test_a_second_home_with_a_witness_that_does_not_fit_needs_a_reset_too(
    used: Side, location: Callable[[int], Path]
) -> None:
    class SecondHome(Side):
        @property
        def bentoml(self) -> Path:
            return self.top / "second"

    second = SecondHome(used.top)
    copy = backup(used)
    assert second.run("import", location(4)).code == 0
    restore(used, copy)
    assert used.run("import", location(5)).code == 0  # its own witness saw no more than there is

    refusals.expect_refusal(second, "import", location(6), error=PolicyError)
    assert second.run("trust", "reset-state", "--yes", str(read_history(second)["head"])).code == 0

    for side in (second, used):
        assert side.run("import", location(6)).code == 0


def test_a_witness_that_is_older_or_gone_is_no_matter(
    used: Side, location: Callable[[int], Path]
) -> None:
    old = witness(used).read_bytes()
    assert used.run("import", location(4)).code == 0

    witness(used).write_bytes(old)
    assert used.run("import", location(5)).code == 0
    witness(used).unlink()
    assert used.run("import", location(6)).code == 0


def test_roots_take_over_where_the_memory_is_not_whole(tmp_path: Path) -> None:
    side = Side(tmp_path / "side")
    side.top.mkdir()
    signers.pin(side, make_root(1))
    (side.state / "sites/ward/state").unlink()
    signers.write_root(tmp_path / "next.msgpack", make_root(2), "ann")

    ran = side.run("trust", "update", tmp_path / "next.msgpack")

    assert ran.code == 0, ran.err
    assert side.run("trust", "show", "--json").json["version"] == 2


def test_who_may_not_pin_a_root_does_not_record_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator of a group may write the ledger, and not the folder of the pinned root."""
    side = Side(tmp_path / "side")
    side.top.mkdir()
    signers.pin(side, make_root(1))
    signers.write_root(tmp_path / "next.msgpack", make_root(2), "ann")
    ask = os.access

    def access(path: Path, mode: int) -> bool:
        return path != side.state / "trust" and ask(path, mode)

    monkeypatch.setattr(os, "access", access)

    refusals.expect_refusal(side, "trust", "update", tmp_path / "next.msgpack", error=StorageError)

    found = log.LedgerStore("ward", side.state / "sites/ward", tmp_path / "none")
    assert [(one.event, one.root) for one in found.read_entries()] == [("begun", 1)]


def test_an_update_of_the_root_is_told_by_the_ledger(tmp_path: Path) -> None:
    side = Side(tmp_path / "side")
    side.top.mkdir()
    signers.pin(side, make_root(1))
    signers.write_root(tmp_path / "next.msgpack", make_root(2), "ann")
    assert side.run("trust", "update", tmp_path / "next.msgpack").code == 0

    found = log.LedgerStore("ward", side.state / "sites/ward", tmp_path / "none")

    assert [(one.event, one.root) for one in found.read_entries()] == [("begun", 1), ("trusted", 2)]


def test_a_trust_that_ended_and_began_again_goes_on_with_its_ledger(
    used: Side, location: Callable[[int], Path], tmp_path: Path
) -> None:
    fingerprint = used.run("trust", "show", "--json").json["fingerprint"]
    shutil.move(used.state / "trust", tmp_path / "old")
    (root,) = (tmp_path / "old").glob("*.msgpack")

    assert used.run("trust", "init", root, "--fingerprint", fingerprint).code == 0

    refusals.expect_refusal(used, "import", location(2), error=PolicyError)


def test_an_archive_that_nobody_signed_is_remembered_as_such(
    used: Side, small: Side, site: sides.Site, tmp_path: Path
) -> None:
    stock = tmp_path / "shop.tar"
    words = ("-o", stock, "--format", "tar", "--key", site.key(), "--no-models")
    assert small.run("export", "shop:v1", *words).code == 0
    for one in tmp_path.glob("shop.tar.airgap-manifest*"):
        one.unlink()

    assert used.run("import", stock, "--insecure-allow-unsigned").code == 0

    found = log.LedgerStore("ward", history_folder(used), witness(used))
    *_, last = found.read_entries()
    assert (last.event, last.channel, last.sequence) == ("unsigned", None, 0)
    assert last.bundle is not None
    (history_folder(used) / "state").unlink()
    words_again = ("import", stock, "--insecure-allow-unsigned")
    refusals.expect_refusal(used, *words_again, error=PolicyError)


def test_whoever_may_not_write_the_state_may_still_verify(
    used: Side, location: Callable[[int], Path]
) -> None:
    folders = [history_folder(used), used.state]
    for one in folders:
        one.chmod(0o500)
    try:
        assert used.run("verify", location(4)).code == 0
    finally:
        for one in folders:
            one.chmod(0o700)


class OtherUser(Side):
    """Another user of the same machine: the same stores, and a state folder of their own."""

    @property
    def state(self) -> Path:
        return self.top / "other-user"


@pytest.fixture
def root_user(used: Side, site: Site) -> Side:
    """A second user who trusts the same site, and has a ledger without those three imports."""
    other = OtherUser(used.top)
    sides.trust(other, site)
    return other


def test_a_user_with_another_ledger_cannot_import_into_the_same_store(
    used: Side, root_user: Side, location: Callable[[int], Path]
) -> None:
    for number in (1, 9):  # one is a replay that this ledger does not know
        refused = refusals.expect_refusal(root_user, "import", location(number), error=PolicyError)
        error = refused.json["error"]
        assert str(used.state) in error["message"]
        assert str(root_user.state) in error["message"]
        assert f"AIRGAP_HOME={used.state}" in error["hint"]
        assert "reset-state" in error["hint"]
    assert used.run("import", location(4)).code == 0


def test_a_take_over_is_recorded_and_the_other_ledger_is_refused_then(
    used: Side, root_user: Side, location: Callable[[int], Path]
) -> None:
    report = root_user.run("trust", "reset-state")
    assert report.code == UsageError.exit_code
    assert f"If {used.state} is still used, set AIRGAP_HOME to it" in report.err

    head = str(read_history(root_user)["head"])
    assert root_user.run("trust", "reset-state", "--yes", head).code == 0

    assert root_user.run("import", location(4)).code == 0
    assert str(used.state) in root_user.run("log", "--json").out
    refused = refusals.expect_refusal(used, "import", location(5), error=PolicyError)
    assert f"recorded in the ledger in {root_user.state}" in refused.json["error"]["message"]


def test_a_ledger_that_was_moved_is_the_same(used: Side, location: Callable[[int], Path]) -> None:
    moved = OtherUser(used.top)
    used.state.rename(moved.state)

    assert moved.run("import", location(4)).code == 0
    refusals.expect_refusal(moved, "import", location(1), error=PolicyError)


def test_a_witness_of_an_older_version_says_less_and_refuses_as_much(
    used: Side, root_user: Side, location: Callable[[int], Path]
) -> None:
    named = decode_witness(witness(used).read_bytes())
    assert named.folder == str(used.state)
    witness(used).write_bytes(encode_witness(replace(named, first=None, folder="")))

    refusals.expect_refusal(root_user, "import", location(9), error=PolicyError)
    assert used.run("import", location(4)).code == 0
    assert decode_witness(witness(used).read_bytes()).first == named.first


def test_a_store_without_a_witness_belongs_to_who_imports_first(
    used: Side, root_user: Side, location: Callable[[int], Path]
) -> None:
    shutil.rmtree(used.bentoml)

    assert root_user.run("import", location(4)).code == 0
    refusals.expect_refusal(used, "import", location(5), error=PolicyError)
