"""Imports, holds or quarantines every delivered bundle, exactly once.

Shared by the drop box and `airgap watch`. What differs between them (folders whose files may be
renamed, or a medium that must not be modified) is behind ``IntakeFolder``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Literal, Protocol

from airgap.errors import AirgapError
from airgap.flow.admission import policy
from airgap.flow.bundle import completeness
from airgap.flow.bundle.completeness import Completeness, CutOffError
from airgap.flow.location.location import ArchiveFile, LocalDepot
from airgap.server.intake import decisions
from airgap.server.intake.decisions import (
    CandidateState,
    Incomplete,
    Postponed,
    Ready,
    Refused,
    Verdict,
)
from airgap.server.intake.discovery import DiscoveredBundle
from airgap.server.intake.event_log import EventLog
from airgap.server.intake.worker import Operation

__all__ = ["Candidate", "Intake", "IntakeFolder", "IntakeOptions", "Job", "Outcome", "Runner"]

Outcome = Literal["imported", "held", "quarantined"]
Runner = Callable[[Operation, LocalDepot | ArchiveFile], Verdict]


@dataclass(frozen=True, slots=True)
class IntakeOptions:
    """Whether to hold verified bundles, and seconds before a refusal is final."""

    hold: bool
    settle: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A delivered bundle as found. ``name`` and ``user`` are for people and records.

    ``finished``: whether the sender has declared it complete.
    """

    bundle: DiscoveredBundle
    name: str
    user: str
    stamp: str
    finished: bool = False

    @property
    def key(self) -> str:
        """Identifies it among all current candidates."""
        return f"{self.user}/{self.name}"


@dataclass(frozen=True, slots=True)
class Job:
    """A bundle that was taken: nothing else changes it now, or the change would be detected.

    ``arrival`` identifies this arrival of the bundle. ``record`` is how the job ended, if a crash
    came after that was saved.
    """

    arrival: str
    user: str
    name: str
    location: LocalDepot | ArchiveFile
    bundle_id: str
    record: Mapping[str, Any] | None = None


class IntakeFolder(Protocol):
    """Holds the delivered bundles, and the records of what became of them."""

    def recover_jobs(self) -> list[Job]:
        """Return the jobs that were left when the daemon was last stopped or killed."""
        ...

    def find_candidates(self) -> Iterable[Candidate]:
        """Return the bundles that are waiting."""
        ...

    def take(self, candidate: Candidate, expected: Completeness | None) -> Job | None:
        """Put a bundle beyond its sender's reach; return None if it has changed meanwhile."""
        ...

    def has_changed(self, job: Job) -> bool:
        """Tell whether a bundle was changed after it was taken."""
        ...

    def save_record(self, job: Job, record: Mapping[str, Any]) -> None:
        """Save how a job ended, so that a crash does not change it."""
        ...

    def finish(self, job: Job, record: Mapping[str, Any]) -> None:
        """Move the bundle to where it belongs after that. May run again after a crash."""
        ...

    def clean_up(self, needed: frozenset[Path]) -> None:
        """Remove old leftovers; ``needed`` are packs of incomplete bundles, which stay."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Return the entries of the status file about held and quarantined bundles."""
        ...


@dataclass(slots=True)
class _Tracked:
    """What is known of a candidate between two looks. ``since``: when it last changed."""

    stamp: str
    since: float
    state: CandidateState
    expected: Completeness | None


@dataclass(slots=True)
class _PendingJob:
    """A job that is not finished. ``refusal`` is set if it was refused before it was taken.

    ``record`` is how it ended, as soon as that is known; ``due`` is when to try (again).
    """

    job: Job
    refusal: Verdict | None = None
    record: Mapping[str, Any] | None = None
    saved: bool = False
    logged: bool = False
    tries: int = 0
    due: float = 0.0
    last_verdict: Verdict | None = None


class Intake:
    """Works in steps: each ``tick`` does what can be done now. Not thread-safe, except ``stop``."""

    def __init__(
        self,
        folder: IntakeFolder,
        run: Runner,
        events: EventLog,
        options: IntakeOptions,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Resume the jobs that an earlier intake left. ``clock`` returns seconds."""
        self._folder = folder
        self._run = run
        self._events = events
        self._options = options
        self._clock = clock
        self._tracked: dict[str, _Tracked] = {}
        self._pending = {job.arrival: _resume(job) for job in folder.recover_jobs()}
        self._changed_before: set[str] = set()
        self._stopping = False

    def stop(self) -> None:
        """Start nothing more; may be called from another thread."""
        self._stopping = True

    def tick(self) -> None:
        """Do everything that can be done now."""
        self._try_due_jobs()
        candidates = list(self._folder.find_candidates())
        for key in self._tracked.keys() - {candidate.key for candidate in candidates}:
            del self._tracked[key]
        for candidate in candidates:
            if not self._stopping:
                self._consider(candidate)
        self._try_due_jobs()
        if not self._stopping:
            self._folder.clean_up(self._find_needed_packs())
        self._events.write_status(self._describe())

    def _consider(self, candidate: Candidate) -> None:
        """Check a candidate, and take it if it is complete or finally refused."""
        tracked = self._track(candidate)
        step = decisions.choose_step(
            tracked.state,
            self._clock() - tracked.since,
            self._options.settle,
            finished=candidate.finished,
            changed_before=candidate.key in self._changed_before,
        )
        if step == "wait":
            return
        refusal = decisions.explain_refusal(tracked.state) if step == "refuse" else None
        job = self._folder.take(candidate, tracked.expected)
        if job is None:
            return
        del self._tracked[candidate.key]
        self._changed_before.discard(candidate.key)
        self._events.record("taken", **_describe_job(job))
        self._pending[job.arrival] = _PendingJob(job, refusal)
        self._try_due_jobs()

    def _track(self, candidate: Candidate) -> _Tracked:
        """Check a candidate, unless it was refused before and has not changed since."""
        tracked = self._tracked.get(candidate.key)
        if tracked is None or tracked.stamp != candidate.stamp:
            tracked = _Tracked(candidate.stamp, self._clock(), *_check(candidate.bundle))
            if candidate.key not in self._tracked:
                self._events.record("seen", user=candidate.user, name=candidate.name)
            self._tracked[candidate.key] = tracked
        elif tracked.expected is not None or isinstance(tracked.state, Postponed):
            tracked.state, tracked.expected = _check(candidate.bundle, tracked.expected)
        return tracked

    def _try_due_jobs(self) -> None:
        """Try every job that is due. A disk error postpones the job."""
        for pending in [*self._pending.values()]:
            if pending.due > self._clock() or self._stopping:
                continue
            try:
                self._try_job(pending)
            except (AirgapError, OSError) as error:
                pending.tries += 1
                pending.due = self._clock() + decisions.compute_retry_delay(pending.tries)
                self._events.notify("trouble", **_describe_job(pending.job), message=str(error))

    def _try_job(self, pending: _PendingJob) -> None:
        """Import or verify a bundle, then end the job or postpone it."""
        job = pending.job
        if pending.record is not None:  # ended before a crash or a disk error
            self._end_job(pending, pending.record)
            return
        verdict = pending.refusal or self._run_job(job)
        if verdict.kind == "interrupted" and self._stopping:
            self._events.notify("abandoned", **_describe_job(job))
            return
        pending.tries += 1
        step = decisions.decide_after_try(verdict, pending.tries)
        if step == "retry":
            delay = decisions.compute_retry_delay(pending.tries)
            pending.due, pending.last_verdict = self._clock() + delay, verdict
            self._events.record(
                "put off", **_describe_job(job), **_describe_verdict(verdict), seconds=int(delay)
            )
        elif step == "quarantine" and self._folder.has_changed(job):
            del self._pending[job.arrival]
            self._changed_before.add(f"{job.user}/{job.name}")
            self._events.record("changed", **_describe_job(job), **_describe_verdict(verdict))
        else:
            success: Outcome = "held" if self._options.hold else "imported"
            outcome = success if step == "done" else "quarantined"
            self._end_job(pending, self._make_record(job, outcome, verdict))

    def _run_job(self, job: Job) -> Verdict:
        operation: Operation = "verify" if self._options.hold else "import"
        event = "verifying" if self._options.hold else "importing"
        self._events.record(event, **_describe_job(job))
        self._events.write_status(self._describe(at_work=job))
        return self._run(operation, job.location)

    def _make_record(self, job: Job, outcome: Outcome, verdict: Verdict) -> dict[str, Any]:
        """Describe how a job ended, for the log and for ``reason.json`` (format §21)."""
        record = {"at": self._events.now(), "event": outcome, **_describe_job(job)}
        if outcome == "quarantined":
            record |= _describe_verdict(verdict)
        else:
            record["items"] = [
                {key: item[key] for key in ("tag", "kind", "outcome") if key in item}
                for item in verdict.report.get("items", ())
            ]
            record["signed_by"] = verdict.report.get("signed_by", [])
            record["bundle"] = verdict.report.get("bundle") or job.bundle_id
        return record

    def _end_job(self, pending: _PendingJob, record: Mapping[str, Any]) -> None:
        """Save, log, finish: a crash between the steps repeats a log line and nothing else."""
        job = pending.job
        pending.record = record
        if not pending.saved:
            self._folder.save_record(job, record)
            pending.saved = True
        if not pending.logged:
            self._events.record(**{key: value for key, value in record.items() if key != "at"})
            pending.logged = True
        self._folder.finish(job, record)
        del self._pending[job.arrival]

    def _find_needed_packs(self) -> frozenset[Path]:
        """Return the packs of bundles that are not complete yet."""
        return frozenset(
            Path(name)
            for tracked in self._tracked.values()
            if tracked.expected is not None
            for name, _ in tracked.expected.packs
        )

    def _describe(self, at_work: Job | None = None) -> dict[str, Any]:
        """Return the contents of the status file (format §21)."""
        return {
            "at_work": _describe_job(at_work) if at_work else None,
            "waiting": [
                {"name": key, **_describe_state(tracked.state)}
                for key, tracked in self._tracked.items()
            ],
            "put_off": [
                {
                    **_describe_job(pending.job),
                    **(_describe_verdict(pending.last_verdict) if pending.last_verdict else {}),
                    "tries": pending.tries,
                }
                for pending in self._pending.values()
                if pending.job is not at_work
            ],
            **self._folder.describe(),
        }


def _check(
    bundle: DiscoveredBundle, expected: Completeness | None = None
) -> tuple[CandidateState, Completeness | None]:
    """Admit a bundle, unless ``expected`` shows that it was, and check which packs are missing."""
    try:
        expected = expected or completeness.look(bundle.location, _load_policy())
        missing = completeness.lacking(bundle.path, expected)
    except _PolicyError as error:
        return Postponed(error.cause), None
    except CutOffError:
        return Incomplete("it ends before its first pack"), None
    except AirgapError as error:
        return decisions.classify_error(error), None
    if missing is None:
        return Ready(expected), expected
    return Incomplete(missing, expected.bundle, expected.items), expected


class _PolicyError(Exception):
    """This machine cannot decide now (no root, damaged history): not the bundle's fault."""

    def __init__(self, cause: AirgapError) -> None:
        super().__init__(cause.message)
        self.cause = cause


def _load_policy() -> policy.AdmissionPolicy:
    try:
        return policy.load()
    except AirgapError as error:
        raise _PolicyError(error) from error


def _resume(job: Job) -> _PendingJob:
    return _PendingJob(job, record=job.record, saved=job.record is not None)


def _describe_job(job: Job) -> dict[str, Any]:
    return {"arrival": job.arrival, "user": job.user, "name": job.name, "bundle": job.bundle_id}


def _describe_verdict(verdict: Verdict) -> dict[str, Any]:
    return {"kind": verdict.kind, "message": verdict.message, "hint": verdict.hint}


def _describe_state(state: CandidateState) -> dict[str, Any]:
    match state:
        case Incomplete(missing, bundle_id, items):
            return {"state": "arriving", "what": missing, "bundle": bundle_id, "items": list(items)}
        case Refused(error) | Postponed(error):
            word = "refused" if isinstance(state, Refused) else "put off"
            return {"state": word, "kind": error.kind, "what": error.message}
        case Ready(expected):
            return {"state": "ready", "bundle": expected.bundle, "items": list(expected.items)}
