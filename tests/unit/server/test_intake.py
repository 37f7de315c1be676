"""The intake's turns: what one user has delivered does not hold up the others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from airgap.errors import StorageError
from airgap.flow.bundle.completeness import Age, Completeness
from airgap.flow.location.location import ArchiveFile
from airgap.server.intake import intake, jobs
from airgap.server.intake.decisions import Ready, Verdict
from airgap.server.intake.discovery import DiscoveredBundle, UnsearchedFolderError
from airgap.server.intake.event_log import EventLog
from airgap.server.intake.intake import TURN_SECONDS, Intake, IntakeOptions
from airgap.server.intake.intake_folder import Candidate, Job

COMPLETE = Completeness("0" * 64, (), (), Age("0" * 64, "default", 0, 0))


@dataclass
class Box:
    """An ``IntakeFolder`` of complete bundles; ``work`` comes before they are found."""

    bundles: dict[str, list[str]]
    work: Callable[[str], Iterator[None]] = lambda _: iter(())
    taken: Callable[[str], object] = lambda _: None
    finished: list[str] = field(default_factory=list)
    unsearched: Sequence[UnsearchedFolderError] = ()

    def users(self) -> Sequence[str]:
        return list(self.bundles)

    def recover_jobs(self) -> list[Job]:
        return []

    def find_candidates(self, user: str) -> Iterator[Candidate | UnsearchedFolderError | None]:
        yield from self.unsearched
        yield from self.work(user)
        for name in [*self.bundles[user]]:
            yield Candidate(DiscoveredBundle(Path(name)), name, user, "stamp")

    def take(self, candidate: Candidate, _expected: Completeness | None) -> Job | None:
        self.taken(candidate.name)
        self.bundles[candidate.user].remove(candidate.name)
        location = ArchiveFile(candidate.bundle.path)
        return Job(candidate.name, candidate.user, candidate.name, location, "")

    def has_changed(self, _job: Job) -> bool:
        return False

    def save_record(self, _job: Job, _record: Mapping[str, Any]) -> Iterator[None]:
        return iter(())

    def finish(self, job: Job, _record: Mapping[str, Any]) -> Iterator[None]:
        self.finished.append(job.name)
        return iter(())

    def clean_up(self, _user: str, _needed: frozenset[Path]) -> Iterator[None]:
        return iter(())

    def describe(self, _limit: int) -> Mapping[str, Any]:
        return {}


@dataclass
class Scene:
    """An intake whose clock stands still unless a test moves it."""

    box: Box
    top: Path
    now: float = 0.0
    lines: list[Mapping[str, Any]] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        events = EventLog(self.top, self.lines.append)
        options = IntakeOptions(hold=False, settle=0)
        self.intake = Intake(self.box, self._run, events, options, lambda: self.now)

    def _run(self, _operation: object, location: object, _depots: object) -> Verdict:
        assert isinstance(location, ArchiveFile)
        self.runs.append(str(location.path))
        return Verdict("done")

    def events(self, event: str) -> list[Mapping[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


@pytest.fixture(autouse=True)
def complete(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (intake, jobs):
        monkeypatch.setattr(module, "check_bundle", lambda *_: (Ready(COMPLETE), COMPLETE))


def test_each_user_has_one_bundle_imported_in_a_turn(tmp_path: Path) -> None:
    scene = Scene(Box({"mallory": ["m1", "m2", "m3"], "bob": ["b1"]}), tmp_path)

    assert scene.intake.tick()
    assert scene.runs == ["m1", "b1"]

    while scene.intake.tick():
        pass
    assert scene.box.finished == ["m1", "b1", "m2", "m3"]


def test_a_search_without_end_costs_the_others_one_turn(tmp_path: Path) -> None:
    steps = 0

    def dig(user: str) -> Iterator[None]:
        nonlocal steps
        while user == "mallory":
            steps += 1
            scene.now += TURN_SECONDS / 4
            yield

    scene = Scene(Box({"mallory": [], "bob": ["b1"]}, work=dig), tmp_path)
    scene.intake.tick()

    assert scene.runs == ["b1"]
    assert steps == 4
    scene.intake.tick()
    assert steps == 8, "it goes on where it was"


def test_an_error_in_the_files_of_one_user_is_reported_once_and_stops_no_other(
    tmp_path: Path,
) -> None:
    def fail(user: str) -> Iterator[None]:
        if user == "mallory":
            raise FileNotFoundError(2, "No such file or directory")
        yield

    scene = Scene(Box({"mallory": [], "bob": ["b1"]}, work=fail), tmp_path)
    for _ in range(3):
        scene.intake.tick()

    assert scene.runs == ["b1"]
    assert [line["user"] for line in scene.events("trouble")] == ["mallory"]


def test_a_folder_that_is_not_searched_is_reported_once_and_again_when_it_has_changed(
    tmp_path: Path,
) -> None:
    errors = [UnsearchedFolderError("a is full.", "Divide it.")]
    scene = Scene(Box({"ann": ["a1"]}, unsearched=errors), tmp_path)
    for _ in range(3):
        scene.intake.tick()
    errors.clear()
    scene.intake.tick()
    errors.append(UnsearchedFolderError("a is full.", "Divide it."))
    scene.intake.tick()

    assert scene.runs == ["a1"], "it stops no bundle"
    assert [(line["user"], line["message"]) for line in scene.events("trouble")] == [
        ("ann", "a is full."),
        ("ann", "a is full."),
    ]


def test_a_bundle_that_cannot_be_taken_stops_no_other_of_its_user(tmp_path: Path) -> None:
    def refuse(name: str) -> None:
        if name == "bad":
            raise StorageError("bad: Input/output error.")

    scene = Scene(Box({"ann": ["bad", "good"]}, taken=refuse), tmp_path)
    for _ in range(3):
        scene.intake.tick()

    assert scene.runs == ["good"]
    assert [line["name"] for line in scene.events("trouble")] == ["bad"]


def test_a_stopped_intake_starts_nothing(tmp_path: Path) -> None:
    scene = Scene(Box({"ann": ["a1"]}), tmp_path)
    scene.intake.stop()

    assert not scene.intake.tick()
    assert scene.runs == []


def test_a_full_log_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airgap.server.intake.event_log.LOG_BYTES", 100)
    events = EventLog(tmp_path, lambda _: None)
    for number in range(20):
        events.record("seen", user="", name=f"{number}")

    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes.keys() <= {"log.jsonl", "log.jsonl.1"}
    assert max(sizes.values()) < 200
    assert '"19"' in "".join(path.read_text() for path in tmp_path.iterdir())
