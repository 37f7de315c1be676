"""A watched folder whose ticks a test runs one by one, with a clock of its own."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airgap.flow.location.location import ArchiveFile, LocalDepot
from airgap.server.done_folder import locate_done_folder
from airgap.server.intake.decisions import Verdict
from airgap.server.intake.event_log import EventLog
from airgap.server.intake.intake import Intake, IntakeOptions
from airgap.server.intake.worker import Operation
from airgap.server.watch import WatchedFolder
from tests.support import drop_box
from tests.support.sides import Side

SETTLE = 30.0


@dataclass
class Watched:
    """A watched folder; a test runs its ticks one by one and sets the clock."""

    side: Side
    top: Path
    move_done: bool = False
    done_name: str = "done"
    hold: bool = False
    now: float = 1000.0
    runs: list[str] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None
    wall_clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.begin()

    @property
    def folder(self) -> Path:
        return self.top / "folder"

    @property
    def done(self) -> Path:
        return self.top / self.done_name

    @property
    def state(self) -> Path:
        return self.top / "state"

    def begin(self) -> None:
        """Start, or restart after a stop."""
        done = locate_done_folder(self.folder, self.done) if self.move_done else None
        folder = WatchedFolder(self.folder, self.state, done, self.wall_clock)
        events = EventLog(self.state, lambda _: None, clock=lambda: self.now)
        options = IntakeOptions(self.hold, SETTLE)
        self._intake = Intake(folder, self._run, events, options, clock=lambda: self.now)

    def look(self, later: float = 1.0) -> None:
        self.now += later
        with self.side.here():
            while self._intake.tick():
                pass

    def _run(
        self,
        operation: Operation,
        location: LocalDepot | ArchiveFile,
        depots: Sequence[LocalDepot | ArchiveFile],
    ) -> Verdict:
        self.runs.append(f"{operation} {location}")
        self.meanwhile()
        return drop_box.run_in_process(operation, location, depots)

    def events(self, *names: str) -> list[Mapping[str, Any]]:
        path = self.state / "log.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in map(json.loads, lines) if line["event"] in names]

    def status(self) -> dict[str, Any]:
        value = json.loads((self.state / "status.json").read_bytes())
        assert isinstance(value, dict)
        return value
