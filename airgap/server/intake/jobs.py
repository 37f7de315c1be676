"""What becomes of the bundles that were taken: tried, postponed, waiting for others, or ended."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from math import inf
from typing import Any, Final, Literal

from airgap.errors import AirgapError
from airgap.flow.bundle import completeness
from airgap.flow.bundle.completeness import Age, Completeness
from airgap.flow.location.location import ArchiveFile, LocalDepot
from airgap.sealing.age_keys import AgeIdentity
from airgap.server.intake import decisions
from airgap.server.intake.check import check_bundle
from airgap.server.intake.decisions import Postponed, Ready, Refused, Verdict
from airgap.server.intake.event_log import EventLog
from airgap.server.intake.intake_folder import IntakeFolder, Job
from airgap.server.intake.pending import MAX_WAITING, PendingJob, PendingJobs
from airgap.server.intake.worker import Operation

__all__ = ["IntakeOptions", "Jobs", "Outcome", "Runner", "describe_job"]

MAX_COMPLETING: Final = 16
"""How many bundles that complete one other are given to its import."""

Outcome = Literal["imported", "held", "quarantined"]
Runner = Callable[
    [Operation, LocalDepot | ArchiveFile, Sequence[LocalDepot | ArchiveFile]], Verdict
]


@dataclass(frozen=True, slots=True)
class IntakeOptions:
    """Whether to hold verified bundles, and seconds before a refusal is final.

    ``patience``: for how many seconds a bundle waits for others that it builds on or completes.
    """

    hold: bool
    settle: float
    patience: float = inf
    identities: Sequence[AgeIdentity] = field(default=(), repr=False)
    """What opens sealed bundles, to see their numbers (format §34.5)."""


class _Others:
    """What the waiting bundles of a user wait for."""

    def __init__(
        self,
        installed: frozenset[str],
        present: frozenset[str],
        completing: Mapping[str, Sequence[PendingJob]],
    ) -> None:
        """Take the ids of installed bundles, and of the user's; the completing ones by id."""
        self.installed = installed
        self.present = present
        self._completing = completing
        self._digest = hashlib.sha256(repr(sorted(installed)).encode()).hexdigest()

    def list_sources(self, bundle: str) -> object:
        """Return what changes when there is more for a bundle to build on than before."""
        return self._digest, frozenset(
            pending.job.arrival for pending in self._completing.get(bundle, ())
        )


class Jobs:
    """The jobs of all users. A user's jobs wait for, and meet, that user's bundles alone."""

    def __init__(  # noqa: PLR0913  (what an intake works with)
        self,
        folder: IntakeFolder,
        run: Runner,
        events: EventLog,
        options: IntakeOptions,
        *,
        clock: Callable[[], float],
        describe: Callable[[Job], Mapping[str, Any]],
    ) -> None:
        """Resume the jobs that an earlier intake left.

        Args:
            folder: where the bundles are.
            run: imports or verifies one bundle, with those that complete it.
            events: gets what happens.
            options: those of the intake.
            clock: returns seconds.
            describe: returns the status while a job is at work.
        """
        self._folder = folder
        self._run = run
        self._events = events
        self._options = options
        self._clock = clock
        self._describe = describe
        self._pending = PendingJobs((job.arrival, _resume(job)) for job in folder.recover_jobs())
        self.changed_before: set[str] = set()
        """The candidates that were changed while they were read."""
        self.stopping = False

    def add(self, job: Job, expected: Completeness | None, refusal: Verdict | None) -> PendingJob:
        """Begin a job, whose bundle was taken."""
        self._events.record("taken", **describe_job(job))
        pending = PendingJob(job, refusal)
        pending.expect(expected)
        self._pending[job.arrival] = pending
        return pending

    def has_room(self, user: str) -> bool:
        """Tell whether another bundle of a user may wait for others."""
        return self._pending.count_waiting(user) < MAX_WAITING

    def examine(self, user: str, ready: Collection[str]) -> None:
        """Look at the jobs that an earlier intake left, and at those that wait.

        ``ready`` has the ids of the user's bundles that could be imported now.
        """
        waiting = []
        for pending in self._pending.of_user(user):
            if pending.expected is None and not pending.is_decided:
                self._look(pending)
            if not pending.is_decided and pending.is_waiting:
                waiting.append(pending)
        if waiting:
            others = _Others(
                completeness.list_installed(),
                self._pending.list_bundles(user).union(ready),
                self._pending.index_completing(user),
            )
            for pending in waiting:
                self._examine_waiting(pending, others)

    def _examine_waiting(self, pending: PendingJob, others: _Others) -> None:
        """Let a job go on if what it waits for has come, or has not come for too long."""
        if self._folder.has_changed(pending.job):
            self._give_back(pending, _CHANGED)
        elif self._has_waited_too_long(pending):
            pending.refuse(pending.last_verdict or _CHANGED)
        elif not pending.completes:
            if pending.tried_with != others.list_sources(pending.job.bundle_id):
                pending.due = self._clock()
        elif pending.completes not in others.present:
            self._wait_for_first(pending, others.installed)

    def _has_waited_too_long(self, pending: PendingJob) -> bool:
        is_missing = pending.last_verdict is not None and pending.last_verdict.kind == "missing"
        return is_missing and pending.has_waited(self._clock()) >= self._options.patience

    def _wait_for_first(self, pending: PendingJob, installed: Collection[str]) -> None:
        """Let a bundle wait for the one that it completes, unless that one is installed."""
        if not self._options.hold and pending.completes in installed:
            pending.end(self._make_completing_record(pending, "imported"))
            return
        verdict = Verdict(
            "missing",
            f"It completes bundle {pending.completes}, which is not here.",
            "Deliver that bundle too: the two are imported together.",
        )
        self._put_off(pending, verdict)

    def end_decided(self, user: str, ready: Collection[str]) -> Iterator[bool]:
        """End the jobs that need no try; yield as ``try_if_due``.

        One that completes a bundle which is still to be imported stays: that import needs it.
        """
        present = self._pending.list_bundles(user).union(ready)
        for pending in self._pending.of_user(user):
            if pending.is_decided and pending.completes not in present:
                yield from self.try_if_due(pending)

    def list_due(self, user: str) -> list[tuple[Age | None, PendingJob]]:
        """Return the jobs of a user that can be tried now, each with the age of its bundle."""
        return [
            (pending.age, pending)
            for pending in self._pending.of_user(user)
            if pending.due <= self._clock() and not (pending.is_decided or pending.completes)
        ]

    def _put_off(self, pending: PendingJob, verdict: Verdict) -> None:
        """Let a bundle wait for others; report each reason once."""
        if pending.wait(verdict, self._clock()):
            self._events.record("put off", **describe_job(pending.job), **describe_verdict(verdict))

    def try_if_due(self, pending: PendingJob) -> Iterator[bool]:
        """Try a job that is due. A disk error postpones it."""
        if pending.due > self._clock() or self.stopping:
            return
        try:
            yield from self._try_job(pending)
        except (AirgapError, OSError) as error:
            pending.tries += 1
            pending.due = self._clock() + decisions.compute_retry_delay(pending.tries)
            self._events.notify("trouble", **describe_job(pending.job), message=str(error))
        yield True

    def _try_job(self, pending: PendingJob) -> Iterator[bool]:
        """Import or verify a bundle, then end the job or postpone it."""
        if pending.record is None:  # or it ended before a crash or a disk error
            pending.record = self._decide(pending)
        if pending.record is not None:
            for _ in self._end_job(pending, pending.record):
                yield False

    def _decide(self, pending: PendingJob) -> Mapping[str, Any] | None:
        """Import or verify a bundle; return the record of how the job ended, or None if not yet."""
        verdict = pending.refusal
        if verdict is None and pending.expected is None:
            verdict = self._look(pending)
        verdict = verdict or self._run_job(pending)
        job = pending.job
        if verdict.kind == "interrupted" and self.stopping:
            self._events.notify("abandoned", **describe_job(job))
            return None
        pending.tries += 1
        may_wait = pending.builds_on_others and not pending.refusal
        may_wait = may_wait and (pending.is_waiting or self.has_room(job.user))
        step = decisions.decide_after_try(verdict, pending.tries, may_wait=may_wait)
        if step == "retry":
            delay = decisions.compute_retry_delay(pending.tries)
            pending.due, pending.last_verdict = self._clock() + delay, verdict
            self._events.record(
                "put off", **describe_job(job), **describe_verdict(verdict), seconds=int(delay)
            )
            return None
        if step in ("wait", "quarantine") and self._folder.has_changed(job):
            self._give_back(pending, verdict)
            return None
        if step == "wait":
            self._put_off(pending, verdict)
            return None
        success: Outcome = "held" if self._options.hold else "imported"
        return self._make_record(job, success if step == "done" else "quarantined", verdict)

    def _look(self, pending: PendingJob) -> Verdict | None:
        """Look at a job that an earlier daemon left; return what stops it, if anything does."""
        state, expected = check_bundle(pending.job.location, None, self._options.identities)
        pending.expect(expected)
        if expected is None and not isinstance(state, Postponed):
            pending.refusal = decisions.explain_refusal(state)
        return decisions.explain_state(state) if expected is None else None

    def _give_back(self, pending: PendingJob, verdict: Verdict) -> None:
        """Forget a job whose bundle was changed; the bundle is found and checked again."""
        job = pending.job
        del self._pending[job.arrival]
        self.changed_before.add(f"{job.user}/{job.name}")
        self._events.record("changed", **describe_job(job), **describe_verdict(verdict))

    def _run_job(self, pending: PendingJob) -> Verdict:
        """Import or verify a bundle, together with those that complete it."""
        job = pending.job
        index = self._pending.index_completing(job.user)
        # Before the try: what is installed during it may have come too late for it.
        others = _Others(completeness.list_installed(), frozenset(), index)
        pending.tried_with = others.list_sources(job.bundle_id)
        completing = {
            other.job.bundle_id: other.job.location
            for other in index[job.bundle_id]
            if self._is_still_admitted(other)
        }
        operation: Operation = "verify" if self._options.hold else "import"
        if pending.waits_since is None:  # else it was reported before
            event = "verifying" if self._options.hold else "importing"
            self._events.record(event, **describe_job(job))
        self._events.write_status(self._describe(job))
        return self._run(operation, job.location, [*islice(completing.values(), MAX_COMPLETING)])

    def _is_still_admitted(self, completing: PendingJob) -> bool:
        """Tell whether a completing bundle may still be used: it must not be refused for it."""
        state, _ = check_bundle(completing.job.location, None, self._options.identities)
        refusal = decisions.explain_refusal(state) if isinstance(state, Refused) else None
        if refusal:
            completing.refuse(refusal)
        return isinstance(state, Ready)

    def _make_record(self, job: Job, outcome: Outcome, verdict: Verdict) -> dict[str, Any]:
        """Describe how a job ended, for the log and for ``reason.json`` (format §21)."""
        record = {"at": self._events.now(), "event": outcome, **describe_job(job)}
        if outcome == "quarantined":
            record |= describe_verdict(verdict)
        else:
            record["items"] = [
                {key: item[key] for key in ("tag", "kind", "outcome") if key in item}
                for item in verdict.report.get("items", ())
            ]
            record["signed_by"] = verdict.report.get("signed_by", [])
            record["bundle"] = verdict.report.get("bundle") or job.bundle_id
            if unchecked := verdict.report.get("not_checked"):
                record["not_checked"] = unchecked
        return record

    def _make_completing_record(self, pending: PendingJob, outcome: Outcome) -> dict[str, Any]:
        """Describe the end of a job whose bundle has only completed another."""
        record = self._make_record(pending.job, outcome, Verdict("done"))
        return {**record, "completes": pending.completes}

    def _end_job(self, pending: PendingJob, record: Mapping[str, Any]) -> Iterator[None]:
        """Save, log, finish: a crash between the steps repeats a log line and nothing else.

        Before a bundle's own end is saved, that of those which complete it is: a crash in between
        must not leave one that waits for a bundle which has gone.
        """
        job = pending.job
        outcome = record["event"]
        others = self._pending.find_completing(pending) if outcome != "quarantined" else []
        for other in others:
            if not other.saved:
                other.record = other.record or self._make_completing_record(other, outcome)
                yield from self._folder.save_record(other.job, other.record)
                other.saved, other.due = True, 0.0
        if not pending.saved:
            yield from self._folder.save_record(job, record)
            pending.saved = True
        if not pending.logged:
            self._events.record(**{key: value for key, value in record.items() if key != "at"})
            pending.logged = True
        yield from self._folder.finish(job, record)
        del self._pending[job.arrival]

    def describe_pending(self, at_work: Job | None, limit: int) -> list[dict[str, Any]]:
        """Return up to ``limit`` unfinished jobs of each user, for the status file (format §21)."""
        jobs = chain.from_iterable(
            islice(self._pending.of_user(user), limit) for user in self._folder.users()
        )
        return [
            {
                **describe_job(pending.job),
                **(describe_verdict(pending.last_verdict) if pending.last_verdict else {}),
                "tries": pending.tries,
            }
            for pending in jobs
            if pending.job is not at_work
        ]


def _resume(job: Job) -> PendingJob:
    return PendingJob(job, record=job.record, saved=job.record is not None)


def describe_job(job: Job) -> dict[str, Any]:
    """Return what the log and the status say of a job (format §21)."""
    return {"arrival": job.arrival, "user": job.user, "name": job.name, "bundle": job.bundle_id}


def describe_verdict(verdict: Verdict) -> dict[str, Any]:
    """Return what the log and the status say of a verdict (format §21)."""
    return {"kind": verdict.kind, "message": verdict.message, "hint": verdict.hint}


_CHANGED: Final = Verdict(
    "storage", "It was changed or removed while it waited for others.", "It is checked again."
)
