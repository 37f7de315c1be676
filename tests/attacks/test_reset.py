"""A reset shortens no ledger: another one begins, and names the one before (format §17.7)."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import PolicyError, UsageError
from airgap.flow.admission import history
from airgap.flow.ledger.record import EventRecord, record_event
from airgap.format import ledger as ledger_format
from airgap.format import limits, tree
from airgap.format.ledger import Entry
from airgap.ledger import begin_again
from airgap.ledger.check import read_entries, rebuild_state
from airgap.ledger.state_file import encode_state_file
from tests.support import forge, refusals
from tests.support.forge import Forge
from tests.support.sides import Side


@pytest.fixture
def location(forged: Forge) -> Callable[[int], Path]:
    """Bundles of one channel, by number."""

    def make(sequence: int) -> Path:
        model = forge.model({"w": bytes([sequence])}, f"m{sequence}:v1")
        return forged.depot(forge.draft(model, sequence=sequence, channel="nightly"))

    return make


class SecondHome(Side):
    """The same machine, with another BentoML home."""

    @property
    def bentoml(self) -> Path:
        return self.top / "second"


@pytest.fixture
def used(isolated: Side, location: Callable[[int], Path]) -> Side:
    """A side with two homes, which has imported numbers 1 and 2 into each."""
    for number in (1, 2):
        for side in (isolated, SecondHome(isolated.top)):
            assert side.run("import", location(number)).code == 0
    return isolated


def folder(side: Side) -> Path:
    return side.state / "sites/ward"


def read(path: Path) -> list[Entry]:
    return [entry for entry, _ in read_entries("ward", (path / "ledger").read_bytes())]


def reset(side: Side) -> Path:
    head = side.run("trust", "show", "--json").json["history"]["head"]
    ran = side.run("trust", "reset-state", "--yes", head, "--json")
    assert ran.code == 0, ran.err
    return Path(ran.json["aside"])


def test_the_new_ledger_names_the_old_one_and_has_its_numbers(used: Side) -> None:
    old = (folder(used) / "ledger").read_bytes()
    state = rebuild_state("ward", old)
    assert state is not None
    (folder(used) / "state").unlink()

    aside = reset(used)

    assert (aside / "ledger").read_bytes() == old
    first, *carried = read(folder(used))
    assert first.event == "reset"
    assert first.replaces is not None
    assert (first.replaces.entries, first.replaces.head) == (state.entries, state.head)
    raw = [entry for _, entry in read_entries("ward", old)]
    assert first.replaces.first == ledger_format.digest(raw[0])
    assert first.replaces.root == tree.compute_root(map(tree.hash_leaf, raw))
    assert [(entry.event, entry.sequence) for entry in carried] == [("carried", 1), ("carried", 2)]


def test_numbers_that_only_the_state_still_has_are_kept(
    used: Side, location: Callable[[int], Path]
) -> None:
    """One flipped bit in the first entry makes all later ones unprovable."""
    path = folder(used) / "ledger"
    raw = bytearray(path.read_bytes())
    raw[int.from_bytes(raw[:4], "big")] ^= 1
    path.write_bytes(raw)

    reset(used)

    first, *carried = read(folder(used))
    assert first.event == "reset"
    assert first.replaces is None or first.replaces.entries == 1
    assert [(entry.event, entry.channel, entry.sequence) for entry in carried] == [
        ("carried", "nightly", 2)
    ]
    refusals.expect_refusal(used, "import", location(1), error=PolicyError)
    assert used.run("import", location(2)).code == 0
    assert used.run("import", location(3)).code == 0


def test_a_state_lowers_no_number() -> None:
    frame = ledger_format.frame(ledger_format.encode_entry(_make_imported(5)))
    old = rebuild_state("ward", frame)
    assert old is not None
    mark = ledger_format.ChannelState(4, bytes(32), 1)
    summarized = replace(old, channels={"nightly": mark}, floor=0)
    entry = Entry("ward", "reset", at=9, floor=5, root=1, previous=bytes(32))

    ledger = begin_again.begin_again(entry, old, read_entries("ward", frame), summarized)

    carried = [entry for entry, _ in read_entries("ward", ledger)][1:]
    assert [(entry.sequence, entry.floor) for entry in carried] == [(5, 5)]


def test_a_state_of_another_site_gives_no_numbers(used: Side) -> None:
    state = rebuild_state("ward", (folder(used) / "ledger").read_bytes())
    assert state is not None
    (folder(used) / "state").write_bytes(encode_state_file(replace(state, site="clinic")))
    (folder(used) / "ledger").write_bytes(b"")

    reset(used)

    assert [entry.event for entry in read(folder(used))] == ["reset"]


def _make_imported(sequence: int) -> Entry:
    return Entry(
        "ward",
        "imported",
        at=9,
        floor=5,
        root=1,
        previous=bytes(32),
        bundle=bytes(32),
        channel="nightly",
        sequence=sequence,
    )


def test_other_homes_go_on_unless_they_have_seen_more(
    used: Side, location: Callable[[int], Path]
) -> None:
    second = SecondHome(used.top)
    for _ in range(2):  # the second reset replaces the ledger of the first
        (folder(used) / "state").unlink()
        reset(used)
        assert second.run("verify", location(3)).code == 0
    assert second.run("import", location(3)).code == 0
    refusals.expect_refusal(second, "import", location(1), error=PolicyError)
    assert used.run("verify", location(4)).code == 0


def test_a_home_that_has_seen_more_is_refused(used: Side, location: Callable[[int], Path]) -> None:
    second = SecondHome(used.top)
    backup = used.top.parent / "backup"
    shutil.copytree(folder(used), backup)
    assert second.run("import", location(3)).code == 0
    shutil.rmtree(folder(used))
    shutil.copytree(backup, folder(used))
    (folder(used) / "state").unlink()
    reset(used)

    refusals.expect_refusal(second, "import", location(4), error=PolicyError)
    assert used.run("verify", location(4)).code == 0


@pytest.mark.parametrize("harm", ["removed", "cut", "another's"])
def test_a_ledger_put_aside_that_was_changed_vouches_for_no_home(
    harm: str, used: Side, location: Callable[[int], Path]
) -> None:
    second = SecondHome(used.top)
    (folder(used) / "state").unlink()
    ledger = reset(used) / "ledger"
    if harm == "removed":
        ledger.unlink()
    elif harm == "cut":
        ledger.write_bytes(ledger.read_bytes()[:-300])
    else:
        ledger.write_bytes((folder(used) / "ledger").read_bytes())

    refusals.expect_refusal(second, "import", location(3), error=PolicyError)


def test_items_are_still_known_after_a_reset(used: Side) -> None:
    (folder(used) / "state").unlink()
    reset(used)
    (checked, *_) = used.run("check", "m1:v1", "--json").json["items"]
    assert checked["state"] == "intact"


def test_a_ledger_of_exports_is_reset_as_well(connected: Side) -> None:
    with connected.here():
        record_event("attic", "exporting", EventRecord("exported", bundle=bytes(32)))
    words = ("trust", "reset-state", "--exports", "attic")
    assert connected.run(*words, "--json").json == {"reset": False}
    exports = connected.state / "ledgers/attic/exporting"
    (exports / "state").write_bytes(b"damaged")
    with connected.here():
        head = history.check_history("attic", "exporting").head
    shown = refusals.expect_refusal(connected, *words, error=UsageError)
    assert f"--exports attic --yes {head}" in shown.err

    ran = connected.run(*words, "--yes", head, "--json")

    assert (ran.code, Path(ran.json["aside"])) == (0, exports.with_name("exporting~reset-1"))
    with connected.here():
        record_event("attic", "exporting", EventRecord("signed"))
        first, last = history.read_entries("attic", "exporting")
    assert (first.event, first.replaces and first.replaces.entries) == ("reset", 2)
    assert last.event == "signed"


def test_what_looks_intact_is_reset_only_for_a_reason_that_a_person_gives(
    used: Side, location: Callable[[int], Path]
) -> None:
    """A machine that was restored as a whole: only the other side knows of it (format §17.7)."""
    head = str(used.run("trust", "show", "--json").json["history"]["head"])
    words = ("trust", "reset-state", "--reason", "restored from a copy")
    shown = refusals.expect_refusal(used, *words, error=UsageError)
    assert f"the same command with --yes {head}" in shown.err
    refusals.expect_refusal(used, *words, "--yes", "00" * 32, error=UsageError)
    assert not used.run("trust", "reset-state", "--yes", head, "--json").json["reset"]

    ran = used.run(*words, "--yes", head, "--json")

    assert ran.json["reset"], ran.err
    first, *carried = read(folder(used))
    assert (first.event, first.note) == ("reset", "restored from a copy")
    assert [entry.sequence for entry in carried] == [1, 2]
    refusals.expect_refusal(used, "import", location(1), error=PolicyError)
    assert used.run("import", location(3)).code == 0


def test_an_intact_ledger_of_exports_is_reset_for_a_reason(connected: Side) -> None:
    with connected.here():
        record_event("attic", "exporting", EventRecord("exported", bundle=bytes(32)))
        head = history.check_history("attic", "exporting").head
    words = ("trust", "reset-state", "--exports", "attic", "--reason", "restored")
    shown = refusals.expect_refusal(connected, *words, error=UsageError)
    assert f"the same command with --yes {head}" in shown.err

    ran = connected.run(*words, "--yes", head, "--json")

    assert ran.code == 0, ran.err
    with connected.here():
        (first,) = history.read_entries("attic", "exporting")
    assert (first.event, first.note) == ("reset", "restored")


def test_too_many_numbers_leave_only_the_last_of_each_channel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = Entry("ward", "begun", at=9, floor=5, root=1, previous=bytes(32))
    imports = [
        replace(
            begun, event="imported", channel=f"c{number % 2}", sequence=number, bundle=bytes(32)
        )
        for number in range(1, 9)
    ]
    state, entries = None, []
    for entry in (begun, *imports, imports[-1]):
        entries.append((entry, b""))
        state = ledger_format.next_state(state, entry, ledger_format.encode_entry(entry))
    first = replace(begun, event="reset")

    def list_numbers() -> list[int]:
        raw = begin_again.begin_again(first, state, entries)
        return [entry.sequence for entry, _ in read_entries("ward", raw)]

    assert list_numbers() == [0, *range(1, 9)]
    monkeypatch.setattr(begin_again, "_MOST_BYTES", limits.KIB)
    assert list_numbers() == [0, 7, 8]
    assert begin_again.begin_again(first, None, []) != b""
