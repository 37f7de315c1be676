"""`airgap watch`: attends to a folder that another server, a person or a mount fills.

The folder is only read, unless it was said that what is done with shall be moved away. What became
of each thing is remembered in a state folder of our own.
"""

import contextlib
import hashlib
import json
import os
import select
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airgap.disk.durable import sync_file
from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError, MissingError, StorageError
from airgap.flow.admission import policy
from airgap.flow.bundle.completeness import Completeness
from airgap.format import layout
from airgap.server.intake.daemon import only_one
from airgap.server.intake.discovery import DiscoveredBundle, find, stamp
from airgap.server.intake.event_log import EventLog, Tell, write_json
from airgap.server.intake.intake import Candidate, Intake, IntakeOptions, Job, Run
from airgap.server.intake.worker import Worker
from airgap.state import pinned_root

__all__ = ["Watch", "WatchOptions", "default_state"]

MOST_REMEMBERED: Final = 10_000
_SEEN: Final = "seen.json"
_OURS: Final = frozenset({"stamp", "packs", "path", "in_depot", "open"})
_QUARANTINE: Final = "quarantine"


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What to watch and how. Times in seconds."""

    folder: Path
    state: Path
    move_done: Path | None
    hold: bool
    settle: float
    interval: float
    jobs: int | None


def default_state(folder: Path) -> Path:
    """Return where the state of watching a folder is kept unless somebody says otherwise."""
    mark = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:12]
    return pinned_root.home() / "watch" / f"{folder.absolute().name or 'root'}-{mark}"


class WatchedFolder:
    """A ``Keeper`` of a folder that is not ours."""

    def __init__(
        self,
        folder: Path,
        state: Path,
        move_done: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read what is remembered.

        Raises:
            StorageError: the state cannot be read or made.
        """
        self._folder = folder
        self._state = state
        self._done = move_done
        self._clock = clock
        self._taken: dict[str, tuple[Candidate, Completeness | None, str]] = {}
        with translate_errors(state):
            (state / _QUARANTINE).mkdir(parents=True, exist_ok=True)
            self._seen = _load(state / _SEEN)

    def begun(self) -> list[Job]:
        """Return what has ended, but was neither logged nor moved before a crash."""
        jobs = []
        for name, about in self._seen.items():
            if about.get("open"):
                thing = DiscoveredBundle(self._folder / about["path"], about["in_depot"])
                sighting = Candidate(thing, name, "", "")
                self._taken[about["arrival"]] = (sighting, None, about["stamp"])
                record = {key: one for key, one in about.items() if key not in _OURS}
                job = Job(about["arrival"], "", name, thing.place, about["bundle"], record)
                jobs.append(job)
        return jobs

    def sightings(self) -> Iterator[Candidate]:
        """Yield what is there and was not dealt with as it is."""
        busy = {sighting.name for sighting, _, _ in self._taken.values()}
        for thing in find(self._folder):
            if self._done is not None and thing.path.is_relative_to(self._done):
                continue
            name = os.path.relpath(thing.path, self._folder)
            name = f"{name}#{thing.bundle}" if thing.bundle else name
            known = self._seen.get(name, {})
            now = stamp(thing, known.get("packs", ()))
            if name not in busy and known.get("stamp") != now:
                yield Candidate(thing, name, "", stamp(thing))

    def take(self, sighting: Candidate, arrival: Completeness | None) -> Job | None:
        """Remember how it looks: it stays where it is, and is read once, from front to back."""
        packs = [name for name, _ in arrival.packs] if arrival and sighting.thing.bundle else []
        now = stamp(sighting.thing, packs)
        key = hashlib.sha256(os.fsencode(f"{sighting.name}\0{now}")).hexdigest()[:16]
        self._taken[key] = (sighting, arrival, now)
        bundle = arrival.bundle if arrival else sighting.thing.bundle
        return Job(key, "", sighting.name, sighting.thing.place, bundle)

    def changed(self, job: Job) -> bool:
        """Compare it with how it looked when it was taken."""
        sighting, _, before = self._taken[job.arrival]
        if stamp(sighting.thing, self._packs(job)) == before:
            return False
        del self._taken[job.arrival]
        return True

    def note(self, job: Job, record: Mapping[str, Any]) -> None:
        """Remember the ending; with the reason in a file, if it was refused."""
        if record["event"] == "quarantined":
            write_json(self._state / _QUARANTINE / f"{job.arrival}.json", record)
        sighting, _, before = self._taken[job.arrival]
        about = {
            **record,
            "stamp": before,
            "packs": self._packs(job),
            "path": os.path.relpath(sighting.thing.path, self._folder),
            "in_depot": sighting.thing.bundle,
            "open": True,
        }
        self._remember(job.name, about)

    def put_away(self, job: Job, record: Mapping[str, Any]) -> None:
        """Move it, if that was asked for. A medium that cannot be written is left as it is."""
        thing = self._taken[job.arrival][0].thing
        if self._done is not None:
            target = self._done / str(record["event"])
            with translate_errors(thing.path):
                target.mkdir(parents=True, exist_ok=True)
                if thing.bundle:
                    _move(thing.folder, target / layout.BUNDLES / thing.bundle)
                else:
                    _move(thing.path, target / _free_name(target, thing.path.name))
            if record["event"] != "imported":
                write_json(target / f"{job.arrival}.reason.json", record)
        self._remember(job.name, {**self._seen[job.name], "open": False})
        del self._taken[job.arrival]

    def _remember(self, name: str, about: dict[str, Any]) -> None:
        self._seen = {**self._seen, name: about}
        while len(self._seen) > MOST_REMEMBERED:
            del self._seen[next(iter(self._seen))]
        write_json(self._state / _SEEN, {"format": 1, "things": self._seen})

    def tidy(self, needed: frozenset[Path]) -> None:
        """Nothing there is ours to remove."""

    def kept(self) -> Mapping[str, Any]:
        """List what was held and refused, and is still there."""
        there = {
            name: record
            for name, record in self._seen.items()
            if (self._folder / name.partition("#")[0]).exists()
        }
        return {
            place: [
                {key: value for key, value in one.items() if key not in _OURS}
                for one in there.values()
                if one.get("event") == event
            ]
            for place, event in (("held", "held"), ("quarantine", "quarantined"))
        }

    def _packs(self, job: Job) -> list[str]:
        sighting, arrival, _ = self._taken[job.arrival]
        return [name for name, _ in arrival.packs] if arrival and sighting.thing.bundle else []


class Watch:
    """Watches until it is stopped."""

    def __init__(self, plan: WatchOptions, tell: Tell, run: Run | None = None) -> None:
        """Make the state folder.

        Raises:
            MissingError: there is no such folder.
            ConfigurationError: this machine trusts nobody yet.
            ConflictError: it is watched already.
            StorageError: the state cannot be made.
        """
        policy.require_root()
        if not plan.folder.is_dir():
            raise MissingError(
                f"{plan.folder} is no folder.",
                "Check the path, and that it is mounted; a server's folder can be watched"
                " through a mount.",
            )
        self._plan = plan
        self._lock = only_one(plan.state)
        self._journal = EventLog(plan.state, tell)
        self._worker = Worker(plan.jobs, (self._lock,))
        shelf = WatchedFolder(plan.folder, plan.state, plan.move_done)
        self._attendant = Intake(
            shelf, run or self._worker.run, self._journal, IntakeOptions(plan.hold, plan.settle)
        )
        self._asked = False
        self._alarm, self._bell = os.pipe()

    def stop(self) -> None:
        """Stop soon; the import at hand is ended, and begun again next time.

        A signal handler comes here, so there is no lock that the interrupted code could hold.
        """
        self._asked = True
        os.write(self._bell, b"!")
        self._attendant.stop()
        self._worker.stop()

    def serve(self, *, once: bool = False) -> None:
        """Look every few seconds, or once."""
        self._journal.told("watching", folder=str(self._plan.folder), state=str(self._plan.state))
        try:
            while not self._asked:
                try:
                    self._attendant.tick()
                except (AirgapError, OSError) as error:
                    self._journal.told("trouble", message=str(error))
                if once:
                    break
                select.select([self._alarm], [], [], self._plan.interval)
        finally:
            for descriptor in (self._lock, self._alarm, self._bell):
                os.close(descriptor)
        self._journal.told("stopped")


def _load(path: Path) -> dict[str, Any]:
    try:
        things = json.loads(path.read_bytes())["things"]
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{path} is damaged.", "Move it away: everything in the folder is looked at again."
        ) from error
    return {str(name): dict(about) for name, about in things.items()}


def _free_name(folder: Path, name: str) -> str:
    """Return a name that is not taken: what was moved before is not replaced."""
    number, free = 1, name
    while os.path.lexists(folder / free):
        number += 1
        free = f"{number}.{name}"
    return free


def _move(source: Path, target: Path) -> None:
    """Rename, or copy, sync and remove, if it is another file system. It may have been done."""
    if not os.path.lexists(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        shutil.rmtree(target)
    with contextlib.suppress(OSError):
        source.rename(target)
        return
    if source.is_dir():
        shutil.copytree(source, target)
        shutil.rmtree(source)
        return
    shutil.copyfile(source, target)
    sync_file(target.parent, target.name)
    source.unlink()
