"""Imports, holds or quarantines every delivered bundle, exactly once.

Shared by the drop box and `airgap watch`. What differs between them (folders whose files may be
renamed, or a medium that must not be modified) is behind ``IntakeFolder``.

Users get turns: a slice of time and at most one import each. So no account, whatever it delivers,
delays the bundle of another by more than one turn. Work that may take long is a generator that
yields after each of its steps.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, Final, Literal

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
from airgap.server.intake.discovery import DiscoveredBundle, UnsearchedFolderError
from airgap.server.intake.event_log import EventLog
from airgap.server.intake.intake_folder import Candidate, IntakeFolder, Job
from airgap.server.intake.worker import Operation

__all__ = ["Intake", "IntakeOptions", "Outcome", "Runner"]

Outcome = Literal["imported", "held", "quarantined"]
TURN_SECONDS: Final = 0.5
MAX_LISTED: Final = 100
Runner = Callable[[Operation, LocalDepot | ArchiveFile], Verdict]


@dataclass(frozen=True, slots=True)
class IntakeOptions:
    """Whether to hold verified bundles, and seconds before a refusal is final."""

    hold: bool
    settle: float


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
        self._tracked: defaultdict[str, dict[str, _Tracked]] = defaultdict(dict)
        self._pending = {job.arrival: _resume(job) for job in folder.recover_jobs()}
        self._passes: dict[str, Iterator[bool]] = {}
        self._troubles: dict[str, str] = {}
        self._unsearched: defaultdict[str, set[str]] = defaultdict(set)
        self._changed_before: set[str] = set()
        self._stopping = False

    def stop(self) -> None:
        """Start nothing more; may be called from another thread."""
        self._stopping = True

    def tick(self) -> bool:
        """Give every user one turn; tell whether there is more to do without waiting."""
        turns = [self._take_turn(user) for user in self._folder.users()]
        self._events.write_status(self.describe())
        return any(turns) and not self._stopping

    def _take_turn(self, user: str) -> bool:
        """Go on with a user's work, up to the end of a job or for ``TURN_SECONDS``.

        Returns whether some of it is left.
        """
        end = self._clock() + TURN_SECONDS
        steps = self._passes.setdefault(user, self._pass(user))
        try:
            while not self._stopping:
                job_ended = next(steps)
                if job_ended or self._clock() >= end:
                    return True
        except StopIteration:
            self._troubles.pop(user, None)
        except (AirgapError, OSError) as error:
            self._report_trouble(user, error, user=user)
        del self._passes[user]
        return False

    def _pass(self, user: str) -> Iterator[bool]:
        """Do everything that can be done for a user now; yield after each step.

        Yields True when a job has ended or was postponed.
        """
        yield from self._try_due_jobs(user)
        keys, unsearched = set(), set()
        for candidate in self._folder.find_candidates(user):
            if isinstance(candidate, UnsearchedFolderError):
                unsearched.add(candidate.message)
                self._report_unsearched(user, candidate)
            elif candidate is not None:
                keys.add(candidate.key)
                if self._consider(candidate):
                    yield from self._try_due_jobs(user)
            yield False
        self._unsearched[user] = unsearched
        tracked = self._tracked[user]
        for key in tracked.keys() - keys:
            del tracked[key]
        for _ in self._folder.clean_up(user, self._find_needed_packs(user)):
            yield False

    def _report_unsearched(self, user: str, error: UnsearchedFolderError) -> None:
        """Report that a folder is not searched, unless the last search reported the same."""
        if error.message not in self._unsearched[user]:
            self._events.notify("trouble", user=user, message=error.message, hint=error.hint)

    def _report_trouble(self, key: str, error: Exception, **fields: object) -> None:
        """Report an error of this machine, unless it was the last one there."""
        if self._troubles.get(key) != str(error):
            self._troubles[key] = str(error)
            self._events.notify("trouble", **fields, message=str(error))

    def _consider(self, candidate: Candidate) -> bool:
        """Check a candidate; take it if it is complete or finally refused. Tell if it was taken."""
        try:
            taken = self._take_if_due(candidate)
        except (AirgapError, OSError) as error:
            key = candidate.key
            self._report_trouble(key, error, user=candidate.user, name=candidate.name)
            return False
        self._troubles.pop(candidate.key, None)
        return taken

    def _take_if_due(self, candidate: Candidate) -> bool:
        tracked = self._track(candidate)
        step = decisions.choose_step(
            tracked.state,
            self._clock() - tracked.since,
            self._options.settle,
            finished=candidate.finished,
            changed_before=candidate.key in self._changed_before,
        )
        if step == "wait":
            return False
        refusal = decisions.explain_refusal(tracked.state) if step == "refuse" else None
        job = self._folder.take(candidate, tracked.expected)
        if job is None:
            return False
        del self._tracked[candidate.user][candidate.key]
        self._changed_before.discard(candidate.key)
        self._events.record("taken", **_describe_job(job))
        self._pending[job.arrival] = _PendingJob(job, refusal)
        return True

    def _track(self, candidate: Candidate) -> _Tracked:
        """Check a candidate, unless it was refused before and has not changed since."""
        tracked_candidates = self._tracked[candidate.user]
        tracked = tracked_candidates.get(candidate.key)
        if tracked is None or tracked.stamp != candidate.stamp:
            since = self._clock() - candidate.unchanged if tracked is None else self._clock()
            tracked = _Tracked(candidate.stamp, since, *_check(candidate.bundle))
            if candidate.key not in tracked_candidates:
                self._events.record("seen", user=candidate.user, name=candidate.name)
            tracked_candidates[candidate.key] = tracked
        elif tracked.expected is not None or isinstance(tracked.state, Postponed):
            tracked.state, tracked.expected = _check(candidate.bundle, tracked.expected)
        return tracked

    def _try_due_jobs(self, user: str) -> Iterator[bool]:
        """Try every job of a user that is due. A disk error postpones the job."""
        for pending in [job for job in self._pending.values() if job.job.user == user]:
            if pending.due > self._clock() or self._stopping:
                continue
            try:
                yield from self._try_job(pending)
            except (AirgapError, OSError) as error:
                pending.tries += 1
                pending.due = self._clock() + decisions.compute_retry_delay(pending.tries)
                self._events.notify("trouble", **_describe_job(pending.job), message=str(error))
            yield True

    def _try_job(self, pending: _PendingJob) -> Iterator[bool]:
        """Import or verify a bundle, then end the job or postpone it."""
        if pending.record is None:  # or it ended before a crash or a disk error
            pending.record = self._decide(pending)
        if pending.record is not None:
            for _ in self._end_job(pending, pending.record):
                yield False

    def _decide(self, pending: _PendingJob) -> Mapping[str, Any] | None:
        """Import or verify a bundle; return the record of how the job ended, or None if not yet."""
        job = pending.job
        verdict = pending.refusal or self._run_job(job)
        if verdict.kind == "interrupted" and self._stopping:
            self._events.notify("abandoned", **_describe_job(job))
            return None
        pending.tries += 1
        step = decisions.decide_after_try(verdict, pending.tries)
        if step == "retry":
            delay = decisions.compute_retry_delay(pending.tries)
            pending.due, pending.last_verdict = self._clock() + delay, verdict
            self._events.record(
                "put off", **_describe_job(job), **_describe_verdict(verdict), seconds=int(delay)
            )
            return None
        if step == "quarantine" and self._folder.has_changed(job):
            del self._pending[job.arrival]
            self._changed_before.add(f"{job.user}/{job.name}")
            self._events.record("changed", **_describe_job(job), **_describe_verdict(verdict))
            return None
        success: Outcome = "held" if self._options.hold else "imported"
        outcome = success if step == "done" else "quarantined"
        return self._make_record(job, outcome, verdict)

    def _run_job(self, job: Job) -> Verdict:
        operation: Operation = "verify" if self._options.hold else "import"
        event = "verifying" if self._options.hold else "importing"
        self._events.record(event, **_describe_job(job))
        self._events.write_status(self.describe(at_work=job))
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

    def _end_job(self, pending: _PendingJob, record: Mapping[str, Any]) -> Iterator[None]:
        """Save, log, finish: a crash between the steps repeats a log line and nothing else."""
        job = pending.job
        if not pending.saved:
            yield from self._folder.save_record(job, record)
            pending.saved = True
        if not pending.logged:
            self._events.record(**{key: value for key, value in record.items() if key != "at"})
            pending.logged = True
        yield from self._folder.finish(job, record)
        del self._pending[job.arrival]

    def _find_needed_packs(self, user: str) -> frozenset[Path]:
        """Return the packs of a user's bundles that are not complete yet."""
        return frozenset(
            Path(name)
            for tracked in self._tracked[user].values()
            if tracked.expected is not None
            for name, _ in tracked.expected.packs
        )

    def describe(self, at_work: Job | None = None, limit: int = MAX_LISTED) -> dict[str, Any]:
        """Return the contents of the status file (format §21): up to ``limit`` in each list."""
        return {
            "at_work": _describe_job(at_work) if at_work else None,
            "waiting": [
                {"name": key, **_describe_state(tracked.state)}
                for candidates in self._tracked.values()
                for key, tracked in islice(candidates.items(), limit)
            ],
            "put_off": [
                {
                    **_describe_job(pending.job),
                    **(_describe_verdict(pending.last_verdict) if pending.last_verdict else {}),
                    "tries": pending.tries,
                }
                for pending in islice(self._pending.values(), limit)
                if pending.job is not at_work
            ],
            **self._folder.describe(limit),
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
