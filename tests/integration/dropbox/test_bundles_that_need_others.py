"""Bundles that arrive together: the oldest first, and those that need others wait for them."""

import os
import shutil
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from airgap.flow.location.location import ArchiveFile, LocalDepot
from airgap.server.dropbox.folders import DropFolders, Retention
from airgap.server.dropbox.open_uploads import OpenUploads
from airgap.server.dropbox.quotas import Quota
from airgap.server.intake import jobs
from airgap.server.intake.decisions import Verdict
from airgap.server.intake.event_log import EventLog
from airgap.server.intake.intake import Intake, IntakeOptions
from airgap.server.intake.worker import Operation, Worker
from tests.support import drop_box, forge
from tests.support.completing import CONTENT, bundle_id, completing, numbered, without_packs
from tests.support.forge import Draft, Forge
from tests.support.sides import Ran, Side, Site
from tests.support.watched_folder import SETTLE, Watched

DAY = 86_400.0


@pytest.fixture
def forged(tmp_path: Path, site: Site) -> Forge:
    """Writes bundles that ``site``'s builder has signed."""
    (tmp_path / "made").mkdir()
    return Forge(tmp_path / "made", forge.load_signer(site.key()))


@pytest.fixture
def watched(isolated: Side, tmp_path: Path) -> Watched:
    return Watched(isolated, tmp_path)


@dataclass
class Box:
    """The intake of a drop box of ``ann`` and ``bob``, with a clock of its own."""

    side: Side
    top: Path
    hold: bool = False
    now: float = 1e9
    lines: list[Mapping[str, Any]] = field(default_factory=list)
    runs: list[tuple[str, int]] = field(default_factory=list)
    run: Callable[..., Verdict] = drop_box.run_in_process

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        quotas = {name: Quota(10**9, 1000) for name in ("ann", "bob")}
        retention = Retention(DAY, DAY)
        self.folders = DropFolders(self.top, quotas, OpenUploads(), retention, lambda: self.now)
        events = EventLog(self.top, self.lines.append)
        options = IntakeOptions(self.hold, 0, patience=DAY)
        self.intake = Intake(self.folders, self._run, events, options, lambda: self.now)

    def deliver(self, path: Path, user: str = "ann", name: str = "") -> None:
        home = self.folders.home(user)
        if path.is_dir():
            shutil.copytree(path, home, dirs_exist_ok=True)
        else:
            shutil.copy(path, home / (name or path.name))

    def look(self, later: float = 1.0) -> None:
        self.now += later
        with self.side.here():
            while self.intake.tick():
                pass

    def _run(
        self,
        operation: Operation,
        location: LocalDepot | ArchiveFile,
        depots: Sequence[LocalDepot | ArchiveFile],
    ) -> Verdict:
        self.runs.append((operation, len(depots)))
        return self.run(operation, location, depots)

    def ends(self) -> list[str]:
        ends = ("imported", "held", "quarantined")
        return [f"{line['user']} {line['event']}" for line in self.lines if line["event"] in ends]

    def events(self, event: str) -> list[Mapping[str, Any]]:
        return [line for line in self.lines if line["event"] == event]

    def count(self, folder: str) -> int:
        return len([*self.top.glob(f"{folder}/*/*")])


@pytest.fixture
def box(isolated: Side, tmp_path: Path) -> Box:
    return Box(isolated, tmp_path / "box")


def make_pair(number: int = 7, content: Mapping[str, bytes] = CONTENT) -> tuple[Draft, Draft]:
    """Return a numbered bundle that lacks its chunks, and one that completes it."""
    first = without_packs(numbered(number, dict(content)))
    return first, completing(bundle_id(first), dict(content))


def make_difference(number: int, tag: str) -> Draft:
    """Return a bundle that carries its model.yaml; an earlier one of this content has the rest."""
    made = numbered(number, CONTENT, tag)
    (size, *_) = struct.unpack(">3I", made.manifest["chunks"]["lengths"])
    made.packs = [made.packs[0][:size]]
    made.manifest["blocks"] = {
        "bases": forge.u32(forge.NO_BASE),
        "chunk_counts": forge.u32(1),
        "codecs": bytes(1),
        "offsets": forge.u32(0),
        "stored_lengths": forge.u32(size),
    }
    made.manifest["packs"] = {
        "block_counts": forge.u32(1),
        "digests": forge.sha256(made.packs[0]),
        "sizes": forge.u32(size),
    }
    return made


def make_numbers(numbers: Sequence[int]) -> dict[str, Draft]:
    """Return bundles of one channel with these numbers, by id."""
    made = [numbered(number, {"n": b"%d" % number}, f"tuned:v{number}") for number in numbers]
    return {bundle_id(draft).hex(): draft for draft in made}


# The oldest first


def test_the_bundles_of_a_depot_are_imported_from_the_oldest_on(
    forged: Forge, watched: Watched
) -> None:
    made = make_numbers(range(1, 9))
    for draft in made.values():
        shutil.copytree(forged.depot(draft), watched.folder / "depot", dirs_exist_ok=True)
    watched.look()

    assert [*made] != sorted(made), "by id they are in another order"
    assert [line["bundle"] for line in watched.events("imported")] == [*made]
    assert not watched.events("quarantined")


def test_archives_are_imported_from_the_oldest_on_whatever_they_are_called(
    forged: Forge, box: Box
) -> None:
    made = make_numbers([1, 2, 3])
    for name, draft in zip("cab", made.values(), strict=True):
        box.deliver(forged.archive(draft), name=f"{name}.airgap")
    box.look()

    assert [line["bundle"] for line in box.events("imported")] == [*made]


def test_channels_are_merged_by_the_time_of_creation(forged: Forge, watched: Watched) -> None:
    days = {"a": 30, "b": 10, "c": 20}
    for name, day in days.items():
        made = forge.draft(
            forge.model({"x": name.encode()}, f"{name}:v1"),
            channel=name,
            created_at=1_767_000_000 + day,
        )
        shutil.copy(forged.archive(made), watched.folder / f"{name}.airgap")
    watched.look()

    assert [line["name"] for line in watched.events("imported")] == [
        "b.airgap",
        "c.airgap",
        "a.airgap",
    ]


def test_a_bundle_that_arrives_during_an_import_is_next_if_it_is_older(
    forged: Forge, watched: Watched
) -> None:
    made = [*make_numbers([1, 2, 3]).values()]

    def deliver() -> None:
        watched.meanwhile = lambda: None
        shutil.copy(forged.archive(made[1]), watched.folder / "z.airgap")

    watched.meanwhile = deliver
    for name, draft in (("a", made[0]), ("c", made[2])):
        shutil.copy(forged.archive(draft), watched.folder / f"{name}.airgap")
    watched.look()

    assert [line["name"][0] for line in watched.events("imported")] == ["a", "z", "c"]


def test_a_bundle_waits_for_an_older_one_as_long_as_more_of_that_arrives(
    forged: Forge, isolated: Side, tmp_path: Path
) -> None:
    watched = Watched(isolated, tmp_path)
    old, new = make_numbers([1, 2]).values()
    whole = forged.archive(old).read_bytes()
    target = watched.folder / "old.airgap"
    target.write_bytes(whole[:-1400])
    shutil.copy(forged.archive(new), watched.folder / "new.airgap")
    watched.look()
    assert watched.events("imported") == []
    target.write_bytes(whole[:-1300])
    watched.look(later=SETTLE - 1)
    watched.look(later=SETTLE - 1)
    assert watched.events("imported") == []
    target.write_bytes(whole)
    watched.look()

    assert [line["name"] for line in watched.events("imported")] == ["old.airgap", "new.airgap"]


def test_an_older_bundle_that_has_stopped_arriving_holds_up_no_newer_one(
    forged: Forge, watched: Watched
) -> None:
    old, new = make_numbers([1, 2]).values()
    (watched.folder / "old.airgap").write_bytes(forged.archive(old).read_bytes()[:-1400])
    shutil.copy(forged.archive(new), watched.folder / "new.airgap")
    watched.look()
    watched.look(later=SETTLE)

    assert [line["name"] for line in watched.events("imported")] == ["new.airgap"]


# What builds on others


def test_a_difference_waits_for_its_base_and_is_reported_once(
    forged: Forge, watched: Watched
) -> None:
    shutil.copy(forged.archive(make_difference(2, "tuned:v2")), watched.folder / "new.airgap")
    for _ in range(5):
        watched.look(later=DAY)
    (event,) = watched.events("put off")
    assert (event["kind"], len(watched.runs)) == ("missing", 1)
    assert "builds on an earlier one" in watched.status()["put_off"][0]["message"]
    other = forge.draft(forge.model({"x": b"x"}, "other:v1"))
    shutil.copy(forged.archive(other), watched.folder / "other.airgap")
    watched.look()
    assert len(watched.runs) == 3, "something else was installed: it is tried again"
    base = numbered(1, CONTENT, "tuned:v1")
    shutil.copy(forged.archive(base), watched.folder / "base.airgap")
    watched.look()

    assert [line["name"] for line in watched.events("imported")] == [
        "other.airgap",
        "base.airgap",
        "new.airgap",
    ]
    assert len(watched.events("put off")) == 1
    assert len(watched.events("importing")) == 3
    assert not watched.events("quarantined")


def test_what_was_imported_by_hand_lets_a_difference_go_on(forged: Forge, box: Box) -> None:
    box.deliver(forged.archive(make_difference(2, "tuned:v2")))
    box.look()
    assert box.ends() == []
    assert box.side.run("import", forged.archive(numbered(1, CONTENT, "tuned:v1"))).code == 0
    box.look()

    assert box.ends() == ["ann imported"]


def test_a_bundle_that_needs_nothing_of_others_does_not_wait(forged: Forge, box: Box) -> None:
    box.deliver(forged.archive(numbered(1, CONTENT)))
    box.run = lambda *_: Verdict("missing", "A pack is missing.", "Send it again.")
    box.look()

    assert box.ends() == ["ann quarantined"]


def test_a_waiting_bundle_whose_number_was_passed_is_refused(
    forged: Forge, watched: Watched
) -> None:
    shutil.copy(forged.archive(make_difference(2, "tuned:v2")), watched.folder / "new.airgap")
    watched.look()
    shutil.copy(forged.archive(numbered(3, {"x": b"x"}, "tuned:v3")), watched.folder)
    watched.look()

    assert [line["kind"] for line in watched.events("quarantined")] == ["policy"]


@pytest.mark.parametrize("change", ["removed", "replaced"])
def test_a_waiting_bundle_that_is_changed_is_forgotten(
    change: str, forged: Forge, watched: Watched
) -> None:
    target = watched.folder / "new.airgap"
    shutil.copy(forged.archive(make_difference(2, "tuned:v2")), target)
    watched.look()
    target.unlink()
    if change == "replaced":
        shutil.copy(forged.archive(numbered(3, {"x": b"x"}, "tuned:v3")), target)
    for later in (1, 1, SETTLE):
        watched.look(later)

    assert watched.status()["put_off"] == []
    assert len(watched.events("imported")) == (change == "replaced")


def test_a_bundle_waits_in_a_drop_box_as_long_as_an_unfinished_upload(
    forged: Forge, box: Box
) -> None:
    box.deliver(forged.archive(make_difference(2, "tuned:v2")))
    box.look()
    box.look(later=DAY - 10)
    box.begin()
    box.look()
    assert box.ends() == []
    box.look(later=10)

    (event,) = box.events("quarantined")
    assert event["kind"] == "missing"
    assert box.count("quarantine") == 1


def test_only_so_many_bundles_of_a_user_wait(
    forged: Forge, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MAX_WAITING", 2)
    for number in (1, 2, 3):
        box.deliver(forged.archive(make_difference(number, f"tuned:v{number}")))
    box.deliver(forged.archive(make_difference(9, "tuned:v9")), "bob")
    box.look()

    assert box.ends() == ["ann quarantined"]
    assert box.count("working") == 3


def test_what_waits_of_one_user_does_not_fill_the_status(forged: Forge, box: Box) -> None:
    for number in (1, 2, 3):
        box.deliver(forged.archive(make_difference(number, f"tuned:v{number}")))
    box.deliver(forged.archive(make_difference(9, "tuned:v9")), "bob")
    box.look()

    waiting = box.intake.describe(limit=2)["put_off"]
    assert [entry["user"] for entry in waiting] == ["ann", "ann", "bob"]


def test_leftovers_are_removed_although_bundles_keep_arriving(forged: Forge, box: Box) -> None:
    left = box.folders.home("ann") / "packs" / "ab" / f"ab{'0' * 62}.pack"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x")
    os.utime(left, (0, 0))
    made = iter([forged.archive(draft) for draft in make_numbers(range(1, 5)).values()])
    there: list[bool] = []

    def deliver_another(*job: Any) -> Verdict:  # noqa: ANN401  (a Runner's arguments)
        there.append(left.exists())
        if (path := next(made, None)) is not None:
            box.deliver(path)
        return drop_box.run_in_process(*job)

    box.run = deliver_another
    box.deliver(next(made))
    box.look()

    assert there == [False] * 4


# Two that belong together


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("order", ["first", "rest", "both"])
@pytest.mark.parametrize("form", ["archive", "depot"])
def test_the_two_are_imported_together_in_whatever_order_they_arrive(
    form: str, order: str, forged: Forge, isolated: Side, tmp_path: Path, *, hold: bool
) -> None:
    box = Box(isolated, tmp_path / "box", hold)
    first, rest = make_pair()
    pair = (rest, first) if order == "rest" else (first, rest)
    for draft in pair:
        box.deliver(forged.depot(draft) if form == "depot" else forged.archive(draft))
        if order != "both":
            box.look()
    assert len(box.events("put off")) == (order != "both")
    box.look()

    word = "held" if hold else "imported"
    assert box.ends() == [f"ann {word}"] * 2
    assert [line.get("completes") for line in box.events(word)] == [None, bundle_id(first).hex()]
    assert box.runs[-1] == ("verify" if hold else "import", 1)
    assert box.count("working") == 0
    assert box.count("held") == 2 * hold
    path = isolated.bentoml / "models/tuned/v2/new.bin"
    assert path.exists() is not hold


def test_the_two_in_a_watched_folder_are_imported_together(forged: Forge, watched: Watched) -> None:
    first, rest = map(forged.depot, make_pair())
    shutil.copytree(rest, watched.folder / "rest")
    watched.look()
    assert watched.runs == []
    shutil.copytree(first, watched.folder / "first")
    watched.look()
    watched.begin()
    watched.look(later=DAY)

    assert len(watched.events("imported")) == 2
    assert len(watched.runs) == 1


def test_the_real_worker_imports_the_two_together(forged: Forge, isolated: Side) -> None:
    first, rest = map(forged.archive, make_pair())
    with isolated.here():
        verdict = Worker(jobs=1).run("import", ArchiveFile(first), [ArchiveFile(rest)])

    assert verdict.kind == "done", verdict.message
    assert (isolated.bentoml / "models/tuned/v2/new.bin").read_bytes() == CONTENT["new.bin"]


def test_what_completes_an_imported_bundle_is_not_waited_with(forged: Forge, box: Box) -> None:
    first, rest = map(forged.archive, make_pair())
    assert box.side.run("import", first, "--depot", rest).code == 0
    box.deliver(rest)
    box.look()

    assert box.ends() == ["ann imported"]
    assert box.runs == []
    assert box.count("working") == 0


def test_the_users_of_a_drop_box_complete_only_their_own_bundles(forged: Forge, box: Box) -> None:
    first, rest = map(forged.archive, make_pair())
    box.deliver(first, "ann")
    box.deliver(rest, "bob")
    box.look()
    assert box.ends() == []
    assert [(line["user"], line["kind"]) for line in box.events("put off")] == [
        ("ann", "missing"),
        ("bob", "missing"),
    ]
    other = numbered(3, {"x": b"x"}, "other:v3")
    box.deliver(forged.archive(other), "bob")
    box.look()
    assert box.ends() == ["bob imported"]
    box.deliver(rest, "ann")
    box.look()

    assert sorted(box.ends()) == ["ann imported"] * 2 + ["bob imported"] * 2
    assert box.runs[-1] == ("import", 1)


def test_a_completing_bundle_that_is_refused_later_is_not_the_first_ones_fault(
    forged: Forge, box: Box
) -> None:
    first, rest = make_pair()
    box.deliver(forged.archive(rest))
    box.look()
    (path,) = box.top.glob("working/ann/*/*.airgap")
    path.write_bytes(b"x" * 3000)
    box.deliver(forged.archive(first))
    box.look()
    assert box.ends() == ["ann quarantined"], "the damaged one alone"
    box.deliver(forged.archive(rest), name="again.airgap")
    box.look()

    assert box.ends()[1:] == ["ann imported"] * 2


def test_a_restarted_drop_box_knows_what_waits(forged: Forge, box: Box) -> None:
    first, rest = make_pair()
    box.deliver(forged.depot(rest))
    box.look()
    box.begin()
    box.deliver(forged.archive(first))
    box.look()

    assert box.ends() == ["ann imported"] * 2


# One check, from cron


def test_a_check_lists_what_waits_and_ends_with_its_verdict(
    forged: Forge, isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Worker, "run", lambda _, *job: drop_box.run_in_process(*job))
    (tmp_path / "folder").mkdir()
    first, rest = map(forged.archive, make_pair())
    difference = forged.archive(make_difference(8, "tuned:v8"))

    def check() -> Ran:
        state = tmp_path / "state"
        return isolated.run("watch", tmp_path / "folder", "--once", "--state", state, "--json")

    shutil.copy(rest, tmp_path / "folder" / "rest.airgap")
    ran = check()
    assert (ran.code, ran.json["counts"]) == (13, {"put off": 1})
    (item,) = ran.json["items"]
    assert (item["name"], item["verdict"], item["kind"]) == ("rest.airgap", "put off", "missing")
    assert item["hint"]

    shutil.copy(first, tmp_path / "folder" / "first.airgap")
    shutil.copy(difference, tmp_path / "folder" / "difference.airgap")
    ran = check()
    assert (ran.code, ran.json["counts"]) == (0, {"imported": 3}), "it was put off, then done"
