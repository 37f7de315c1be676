"""`airgap watch`: takes in bundles from a folder that another server, a person or a mount fills.

The folder is only read, unless finished bundles are to be moved away. What became of each bundle is
remembered in a separate state folder.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from airgap.disk.descriptors import wait_readable
from airgap.disk.durable import sync_file
from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import open_regular
from airgap.errors import AirgapError, CorruptError, MissingError, StorageError, UsageError
from airgap.flow import config
from airgap.flow.admission import policy
from airgap.flow.bundle.completeness import Completeness
from airgap.format import layout
from airgap.server.intake.daemon import lock_state
from airgap.server.intake.discovery import (
    DiscoveredBundle,
    UnsearchedFolderError,
    compute_stamp,
    find_bundles,
    find_last_change,
    is_real_folder,
)
from airgap.server.intake.event_log import EventLog, EventSink, write_json
from airgap.server.intake.intake import Intake, IntakeOptions, Runner
from airgap.server.intake.intake_folder import Candidate, Job
from airgap.server.intake.summary import REPORTED_EVENTS, Summary, summarize
from airgap.server.intake.worker import TIME_LIMIT, Worker

__all__ = ["Watch", "WatchOptions", "default_state"]

MAX_REMEMBERED: Final = 10_000
_SEEN: Final = "seen.json"
_PRIVATE_KEYS: Final = frozenset({"stamp", "packs", "path", "in_depot", "open"})
_QUARANTINE: Final = "quarantine"


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What to watch, and how. Times in seconds."""

    folder: Path
    state: Path
    move_done: Path | None
    hold: bool
    settle: float
    interval: float
    jobs: int | None
    time_limit: float = TIME_LIMIT
    once: bool = False


def default_state(folder: Path) -> Path:
    """Return the default state folder for watching ``folder``."""
    digest = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:12]
    return config.home() / "watch" / f"{folder.absolute().name or 'root'}-{digest}"


@dataclass(frozen=True, slots=True)
class _Taken:
    """A bundle whose job has not finished. ``stamp``: of bundle and packs when it was taken."""

    candidate: Candidate
    packs: list[str]
    stamp: str


class WatchedFolder:
    """The ``IntakeFolder`` of a folder that others write to: bundles stay where they are."""

    def __init__(
        self,
        folder: Path,
        state: Path,
        move_done: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Load what is remembered from ``state``.

        Raises:
            StorageError: the state cannot be read or created.
        """
        self._folder = folder
        self._state = state
        self._move_done = move_done
        self._clock = clock
        self._taken: dict[str, _Taken] = {}
        self._taken_names: set[str] = set()
        with translate_errors(state):
            (state / _QUARANTINE).mkdir(parents=True, exist_ok=True)
            self._seen = _load_seen(state / _SEEN)

    def recover_jobs(self) -> list[Job]:
        """Return the jobs that ended, but were not logged or moved before a crash."""
        jobs = []
        for name, entry in self._seen.items():
            if entry.get("open"):
                bundle = DiscoveredBundle(self._folder / entry["path"], entry["in_depot"])
                candidate = Candidate(bundle, name, "", "")
                self._begin(entry["arrival"], _Taken(candidate, [], entry["stamp"]))
                location, bundle_id = bundle.location, entry["bundle"]
                record = _select_public_fields(entry)
                jobs.append(Job(entry["arrival"], "", name, location, bundle_id, record))
        return jobs

    def users(self) -> Sequence[str]:
        """Return one name for all who deliver: nothing tells them apart."""
        return ("",)

    def find_candidates(self, _user: str) -> Iterator[Candidate | UnsearchedFolderError]:
        """Yield the bundles that are new, or have changed since their job ended."""
        for bundle in find_bundles(self._folder, skipped=self._move_done):
            if isinstance(bundle, UnsearchedFolderError):
                yield bundle
                continue
            name = os.path.relpath(bundle.path, self._folder)
            name = f"{name}#{bundle.bundle_id}" if bundle.bundle_id else name
            entry = self._seen.get(name, {})
            stamp = compute_stamp(bundle, entry.get("packs", ()))
            if name not in self._taken_names and entry.get("stamp") != stamp:
                unchanged = max(self._clock() - find_last_change(bundle), 0.0)
                stamp = compute_stamp(bundle)
                yield Candidate(bundle, name, "", stamp, unchanged=unchanged)

    def take(self, candidate: Candidate, expected: Completeness | None) -> Job | None:
        """Remember the bundle's stamp: it stays where it is, and is read once, front to back."""
        bundle = candidate.bundle
        if compute_stamp(bundle) != candidate.stamp:
            return None
        packs = [name for name, _ in expected.packs] if expected and bundle.bundle_id else []
        stamp = compute_stamp(bundle, packs)
        arrival = hashlib.sha256(os.fsencode(f"{candidate.name}\0{stamp}")).hexdigest()[:16]
        self._begin(arrival, _Taken(candidate, packs, stamp))
        bundle_id = expected.bundle if expected else bundle.bundle_id
        return Job(arrival, "", candidate.name, bundle.location, bundle_id)

    def has_changed(self, job: Job) -> bool:
        """Compare the bundle's stamp with the one it had when it was taken."""
        taken = self._taken[job.arrival]
        if compute_stamp(taken.candidate.bundle, taken.packs) == taken.stamp:
            return False
        self._end(job)
        return True

    def _begin(self, arrival: str, taken: _Taken) -> None:
        self._taken[arrival] = taken
        self._taken_names.add(taken.candidate.name)

    def _end(self, job: Job) -> None:
        del self._taken[job.arrival]
        self._taken_names.discard(job.name)

    def save_record(self, job: Job, record: Mapping[str, Any]) -> Iterator[None]:
        """Remember how the job ended; write the reason to a file of its own if refused."""
        if record["event"] == "quarantined":
            write_json(self._state / _QUARANTINE / f"{job.arrival}.json", record)
        taken = self._taken[job.arrival]
        bundle = taken.candidate.bundle
        entry = {
            **record,
            "stamp": taken.stamp,
            "packs": taken.packs,
            "path": os.path.relpath(bundle.path, self._folder),
            "in_depot": bundle.bundle_id,
            "open": True,
        }
        self._remember(job.name, entry)
        return iter(())

    def finish(self, job: Job, record: Mapping[str, Any]) -> Iterator[None]:
        """Move the bundle, if that was requested."""
        bundle = self._taken[job.arrival].candidate.bundle
        if self._move_done is not None:
            target = self._move_done / str(record["event"])
            with translate_errors(bundle.path):
                target.mkdir(parents=True, exist_ok=True)
                _move_bundle(bundle, target)
            if record["event"] != "imported":
                write_json(target / f"{job.arrival}.reason.json", record)
        self._remember(job.name, {**self._seen[job.name], "open": False})
        self._end(job)
        return iter(())

    def _remember(self, name: str, entry: dict[str, Any]) -> None:
        """Save an entry. Of too many, those of bundles that are gone are forgotten first."""
        self._seen = {**self._seen, name: entry}
        if len(self._seen) > MAX_REMEMBERED:
            self._seen = {name: seen for name, seen in self._seen.items() if self._exists(seen)}
        while len(self._seen) > MAX_REMEMBERED:
            del self._seen[next(iter(self._seen))]
        write_json(self._state / _SEEN, {"format": 1, "things": self._seen})

    def _exists(self, entry: Mapping[str, Any]) -> bool:
        """Tell whether the bundle of an entry is still in the folder."""
        bundle = DiscoveredBundle(self._folder / entry["path"], entry["in_depot"])
        return (bundle.folder if bundle.bundle_id else bundle.path).exists()

    def clean_up(self, _user: str, _needed: frozenset[Path]) -> Iterator[None]:
        """Remove nothing: all files belong to others."""
        return iter(())

    def describe(self, limit: int) -> Mapping[str, Any]:
        """Return the held and refused bundles that are still in the folder, the newest ones."""
        return {
            key: [_select_public_fields(entry) for entry in self._find_newest(event, limit)]
            for key, event in (("held", "held"), ("quarantine", "quarantined"))
        }

    def _find_newest(self, event: str, limit: int) -> list[dict[str, Any]]:
        """Return up to ``limit`` entries that ended so and still exist, oldest first."""
        ended = (entry for entry in reversed(self._seen.values()) if entry.get("event") == event)
        return [*islice(filter(self._exists, ended), limit)][::-1]


class Watch:
    """A ``Daemon``: watches a folder until it is stopped, or checks it once."""

    def __init__(self, options: WatchOptions, sink: EventSink, run: Runner | None = None) -> None:
        """Create and lock the state folder. ``run`` replaces the worker.

        Raises:
            MissingError: the folder does not exist.
            UsageError: finished bundles would be moved to where no bundle is looked for.
            ConfigurationError: this machine trusts nobody yet.
            ConflictError: it is being watched already.
            StorageError: the state cannot be created.
        """
        policy.require_root()
        if not options.folder.is_dir():
            raise MissingError(
                f"{options.folder} is not a folder.",
                "Check the path, and that it is mounted.",
            )
        if options.move_done and options.folder.is_relative_to(options.move_done):
            raise UsageError(
                f"{options.move_done} is the watched folder, or a folder above it.",
                "Give --move-done another folder; it may be below the watched one.",
            )
        self._options = options
        self._lock = lock_state(options.state)
        self._reported: list[Mapping[str, Any]] = []
        self._sink = sink
        self._events = EventLog(options.state, self._report)
        self._worker = Worker(options.jobs, (self._lock,), options.time_limit)
        self._intake = Intake(
            WatchedFolder(options.folder, options.state, options.move_done),
            run or self._worker.run,
            self._events,
            IntakeOptions(options.hold, options.settle),
        )
        self._stop_requested = False
        self._wake_reader, self._wake_writer = os.pipe()

    def stop(self) -> None:
        """Stop soon; a running import is terminated, and restarted next time.

        Takes no lock: a signal handler calls it, and may have interrupted the lock's holder.
        """
        self._stop_requested = True
        os.write(self._wake_writer, b"!")
        self._intake.stop()
        self._worker.stop()

    def serve(self) -> None:
        """Run the intake every ``interval`` seconds until ``stop``."""
        with self._running():
            while not self._stop_requested:
                if not self._try_tick():
                    wait_readable(self._wake_reader, self._options.interval)

    def check_once(self) -> Summary:
        """Do all that can be done now, and return what became of each bundle."""
        with self._running():
            while self._try_tick():
                pass
            status = self._intake.describe(limit=MAX_REMEMBERED)
        if self._stop_requested:
            self._reported.append({"event": "abandoned", "message": "The check was stopped."})
        return summarize(self._reported, status)

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        """Say that the watch begins and ends; release the lock after that."""
        options = self._options
        self._events.notify("watching", folder=str(options.folder), state=str(options.state))
        try:
            yield
        finally:
            for descriptor in (self._lock, self._wake_reader, self._wake_writer):
                os.close(descriptor)
        self._events.notify("stopped")

    def _try_tick(self) -> bool:
        """Run one tick of the intake; tell whether the next one must not wait."""
        try:
            return self._intake.tick()
        except (AirgapError, OSError) as error:
            self._events.notify("trouble", message=str(error))
            return False

    def _report(self, line: Mapping[str, Any]) -> None:
        """Pass an event on, and keep it if a summary needs it: only of a check that ends."""
        if self._options.once and line["event"] in REPORTED_EVENTS:
            self._reported.append(line)
        self._sink(line)


def _select_public_fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry's fields without those that only this module uses."""
    return {key: value for key, value in entry.items() if key not in _PRIVATE_KEYS}


def _load_seen(path: Path) -> dict[str, Any]:
    try:
        entries = json.loads(path.read_bytes())["things"]
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{path} is damaged.",
            "Move it away; all bundles in the folder are then checked again.",
        ) from error
    return {str(name): dict(entry) for name, entry in entries.items()}


def _find_free_name(folder: Path, name: str) -> str:
    """Return a free name: bundles that were moved before are not replaced."""
    number, candidate = 1, name
    while os.path.lexists(folder / candidate):
        number += 1
        candidate = f"{number}.{name}"
    return candidate


def _move_bundle(bundle: DiscoveredBundle, target: Path) -> None:
    """Move a bundle into a folder, under a name that is free there. Raises OSError."""
    if bundle.bundle_id:
        _move(bundle.folder, target / layout.BUNDLES / bundle.bundle_id)
    else:
        _move(bundle.path, target / _find_free_name(target, bundle.path.name))


def _move(source: Path, target: Path) -> None:
    """Rename, or copy and remove across file systems. Does nothing if that was done before.

    A sender can put links there, to files of this machine that others must not read, and to devices
    without an end: neither is followed.
    """
    if not os.path.lexists(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        shutil.rmtree(target)
    with contextlib.suppress(OSError):
        source.rename(target)
        return
    if is_real_folder(source):
        shutil.copytree(source, target, symlinks=True, copy_function=_copy_if_regular)
        shutil.rmtree(source)
        return
    _copy(source, target)
    sync_file(target.parent, target.name)
    source.unlink()


def _copy_if_regular(source: str, target: str) -> None:
    with contextlib.suppress(CorruptError):  # a FIFO, say: no bundle has such a file
        _copy(Path(source), Path(target))


def _copy(source: Path, target: Path) -> None:
    """Copy a regular file. Raises CorruptError if it is not one, or a link to one."""
    with (
        open_regular(source.parent, source.name) as descriptor,
        open(descriptor, "rb", closefd=False) as original,
        target.open("wb") as copy,
    ):
        shutil.copyfileobj(original, copy)
