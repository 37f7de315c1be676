"""`airgap watch`: takes in bundles from a folder that another server, a person or a mount fills.

The folder is only read, unless finished bundles are to be moved away. What became of each bundle is
remembered in a separate state folder.
"""

import contextlib
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from airgap.disk.descriptors import open_folder, wait_readable
from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError, MissingError, StorageError
from airgap.flow import config
from airgap.flow.admission import policy
from airgap.flow.bundle.completeness import Completeness
from airgap.format import layout, names
from airgap.sealing.identity_files import read_identities
from airgap.server.done_folder import DoneFolder, locate_done_folder
from airgap.server.intake.daemon import lock_state
from airgap.server.intake.discovery import (
    DiscoveredBundle,
    UnsearchedFolderError,
    compute_moved_stamp,
    compute_stamp,
    find_bundles,
    find_last_change,
)
from airgap.server.intake.event_log import EventLog, EventSink, format_json, write_json
from airgap.server.intake.intake import Intake, IntakeOptions, Runner
from airgap.server.intake.intake_folder import Candidate, Job
from airgap.server.intake.summary import REPORTED_EVENTS, Summary, summarize
from airgap.server.intake.worker import TIME_LIMIT, Worker
from airgap.server.moving import FolderEntry, Move, write_file

__all__ = ["Watch", "WatchOptions", "default_state"]

MAX_REMEMBERED: Final = 10_000
_SEEN: Final = "seen.json"
_PRIVATE_KEYS: Final = frozenset(
    {"stamp", "packs", "path", "in_depot", "open", "mark", "copied_to"}
)
_LATER_FIELDS: Final = ("mark", "copied_to")
"""Private ones that an entry of an older version lacks."""
_OUTCOMES: Final = frozenset({"imported", "held", "quarantined"})
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
    identities: Sequence[str] = ()
    """What opens sealed bundles: files, or descriptors as ``fd:N``. They are read once."""


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
        done: DoneFolder | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Load what is remembered from ``state``.

        Raises:
            StorageError: the state cannot be read or created.
        """
        self._folder = folder
        self._state = state
        self._done = done
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
        skipped = self._done.skipped if self._done else None
        for bundle in find_bundles(self._folder, skipped=skipped):
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
            "mark": secrets.token_hex(8),
        }
        self._remember(job.name, entry)
        return iter(())

    def finish(self, job: Job, record: Mapping[str, Any]) -> Iterator[None]:
        """Move the bundle, if that was requested, unless another one has its name now."""
        if self._done is not None:
            with translate_errors(self._taken[job.arrival].candidate.bundle.path):
                self._move(job, record, self._done)
        self._remember(job.name, {**self._seen[job.name], "open": False})
        self._end(job)
        return iter(())

    def _move(self, job: Job, record: Mapping[str, Any], done: DoneFolder) -> None:
        """Move the bundle of a job that has ended, and write beside it why it was not imported."""
        entry = self._seen[job.name]
        bundle = self._taken[job.arrival].candidate.bundle
        source = bundle.folder if bundle.bundle_id else bundle.path
        outcome, mark = str(record["event"]), entry.get("mark", job.arrival)
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(
                done.open(outcome, *([layout.BUNDLES] if bundle.bundle_id else []))
            )
            try:
                above = source.parent.relative_to(self._folder).parts
                folder = stack.enter_context(open_folder(self._folder, above))
            except (FileNotFoundError, NotADirectoryError):  # its sender has removed it
                return
            move = Move(
                FolderEntry(folder, source.name),
                FolderEntry(target, source.name),
                done.top.joinpath(*done.names, outcome),
                replace=bool(bundle.bundle_id),
                mark=mark,
                is_unchanged=partial(_is_unchanged, bundle, entry),
                save_copied_to=partial(self._save_copied_to, job),
                copied_to=entry.get("copied_to", ""),
            )
            if move.run() and outcome != "imported":
                reasons = stack.enter_context(done.open(outcome))
                part = f".airgap-{mark}.json.part"
                write_file(reasons, f"{job.arrival}.reason.json", part, format_json(record))

    def _save_copied_to(self, job: Job, name: str) -> None:
        """Remember the name that the whole copy of a bundle gets next."""
        self._remember(job.name, {**self._seen[job.name], "copied_to": name})

    def _remember(self, name: str, entry: dict[str, Any]) -> None:
        """Save an entry. Of too many, those of bundles that are gone are forgotten first."""
        self._seen.pop(name, None)  # the newest comes last
        self._seen[name] = entry
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
        done = None
        if options.move_done is not None:
            done = locate_done_folder(options.folder, options.move_done)
        identities = read_identities(options.identities)
        self._options = options
        self._lock = lock_state(options.state)
        self._reported: list[Mapping[str, Any]] = []
        self._sink = sink
        self._events = EventLog(options.state, self._report)
        self._worker = Worker(options.jobs, (self._lock,), options.time_limit, identities)
        self._intake = Intake(
            WatchedFolder(options.folder, options.state, done),
            run or self._worker.run,
            self._events,
            IntakeOptions(options.hold, options.settle, identities=identities),
        )
        self._stop_requested = False
        self._wake_writer: int | None
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_writer, False)

    def stop(self) -> None:
        """Stop soon; a running import is terminated, and restarted next time.

        Takes no lock: a signal handler calls it, and may have interrupted the lock's holder.
        """
        self._stop_requested = True
        if self._wake_writer is not None:  # else it has stopped, and the signal came again
            with contextlib.suppress(BlockingIOError):
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
            writer, self._wake_writer = self._wake_writer, None  # before a signal finds it closed
            for descriptor in (self._lock, self._wake_reader, writer):
                if descriptor is not None:
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


def _is_unchanged(bundle: DiscoveredBundle, entry: Mapping[str, Any], moved: FolderEntry) -> bool:
    """Tell whether the bundle of an entry is the one that has been moved there."""
    stamp = compute_moved_stamp(bundle, moved.folder, moved.name, entry["packs"])
    return stamp == str(entry["stamp"])


def _load_seen(path: Path) -> dict[str, dict[str, Any]]:
    """Read what is remembered.

    Raises:
        StorageError: it is damaged.
    """
    try:
        entries = json.loads(path.read_bytes())["things"]
        for entry in entries.values():
            _check_entry(entry)
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StorageError(
            f"{path} is damaged.",
            "Move it away; all bundles in the folder are then checked again.",
        ) from error
    return dict(entries)


def _check_entry(entry: Mapping[str, Any]) -> None:
    """Check the fields of a remembered bundle that this module uses.

    Raises:
        ValueError: a field is not a text, or does not have its form.
        KeyError: a field is missing.
        TypeError: it is not an object.
    """
    texts = [entry[name] for name in ("event", "arrival", "bundle", "stamp", "path", "in_depot")]
    texts += [*entry["packs"], *(entry[name] for name in _LATER_FIELDS if name in entry)]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError
    path = Path(entry["path"])
    if path.is_absolute() or ".." in path.parts:
        raise ValueError
    if entry["event"] not in _OUTCOMES:
        raise ValueError
    if entry["in_depot"] and not names.is_bundle_id(entry["in_depot"]):
        raise ValueError
