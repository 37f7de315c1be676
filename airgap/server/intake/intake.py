"""Looks at what arrives, and sees to it that each thing is imported, held or refused: once.

The same for the drop box and for `airgap watch`; what differs (folders that may be renamed, or a
medium that must not be touched) is the keeper's.
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
from airgap.server.intake import policy as intake_policy
from airgap.server.intake.discovery import DiscoveredBundle
from airgap.server.intake.event_log import EventLog
from airgap.server.intake.policy import Lacking, Ready, Refused, Seen, Unable, Verdict
from airgap.server.intake.worker import Work

__all__ = ["Candidate", "Ending", "Intake", "IntakeFolder", "IntakeOptions", "Job", "Run"]

Ending = Literal["imported", "held", "quarantined"]
Run = Callable[[Work, str], Verdict]


@dataclass(frozen=True, slots=True)
class IntakeOptions:
    """How to attend: whether to hold what is verified, and seconds before a refusal is final."""

    hold: bool
    settle: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A thing as it lies there. ``name`` and ``user`` are for people and records."""

    thing: DiscoveredBundle
    name: str
    user: str
    stamp: str
    finished: bool = False

    @property
    def key(self) -> str:
        """What tells it from others that are there at the same time."""
        return f"{self.user}/{self.name}"


@dataclass(frozen=True, slots=True)
class Job:
    """A thing that was taken: nobody but the keeper changes it any more, or it would be noticed.

    ``ended`` is the record of an ending that a crash came after.
    """

    arrival: str
    user: str
    name: str
    place: str
    bundle: str
    ended: Mapping[str, Any] | None = None


class IntakeFolder(Protocol):
    """Keeps the things and the records of them."""

    def begun(self) -> list[Job]:
        """Return what was taken before the service was last stopped, or killed."""
        ...

    def sightings(self) -> Iterable[Candidate]:
        """Look what is there."""
        ...

    def take(self, sighting: Candidate, arrival: Completeness | None) -> Job | None:
        """Put a thing beyond the reach of who brought it; None if it is not as it was any more."""
        ...

    def changed(self, job: Job) -> bool:
        """Tell whether somebody has changed it since it was taken."""
        ...

    def note(self, job: Job, record: Mapping[str, Any]) -> None:
        """Record how it ended, so that a crash changes nothing about that."""
        ...

    def put_away(self, job: Job, record: Mapping[str, Any]) -> None:
        """Bring it where it belongs after that. May be called again after a crash."""
        ...

    def tidy(self, needed: frozenset[Path]) -> None:
        """Remove what nobody needs; ``needed`` are packs that bundles wait with."""
        ...

    def kept(self) -> Mapping[str, Any]:
        """Say for the status file what is held and in quarantine."""
        ...


@dataclass(slots=True)
class _Known:
    """What is remembered of a thing between two looks."""

    stamp: str
    since: float
    seen: Seen
    arrival: Completeness | None


@dataclass(slots=True)
class _Pending:
    """A job that is not put away. ``refused`` is why, if that was clear before it was begun.

    ``ended`` is the record of its ending, as soon as that is known.
    """

    job: Job
    refused: Verdict | None = None
    ended: Mapping[str, Any] | None = None
    noted: bool = False
    logged: bool = False
    tries: int = 0
    due: float = 0.0
    why: Verdict | None = None


class Intake:
    """Not for two threads at once."""

    def __init__(
        self,
        keeper: IntakeFolder,
        run: Run,
        journal: EventLog,
        choices: IntakeOptions,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Take up what an earlier one has left."""
        self._keeper = keeper
        self._run = run
        self._journal = journal
        self._choices = choices
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._pending = {job.arrival: _taken_up(job) for job in keeper.begun()}
        self._wary: set[str] = set()
        self._stopping = False

    def stop(self) -> None:
        """Begin nothing more; may be called by another thread."""
        self._stopping = True

    def tick(self) -> None:
        """Do everything that can be done now."""
        self._attempt_due()
        there = list(self._keeper.sightings())
        for gone in self._known.keys() - {one.key for one in there}:
            del self._known[gone]
        for sighting in there:
            if not self._stopping:
                self._attend(sighting)
        self._attempt_due()
        if not self._stopping:
            self._keeper.tidy(self._needed())
        self._journal.status(self._status())

    def _attend(self, sighting: Candidate) -> None:
        """Look at a thing, and take it if its time has come."""
        known = self._look(sighting)
        step = intake_policy.next_step(
            known.seen,
            self._clock() - known.since,
            self._choices.settle,
            finished=sighting.finished,
            wary=sighting.key in self._wary,
        )
        if step == "wait":
            return
        refused = intake_policy.refusal(known.seen) if step == "refuse" else None
        job = self._keeper.take(sighting, known.arrival)
        if job is None:
            return
        del self._known[sighting.key]
        self._wary.discard(sighting.key)
        self._journal.event("taken", **_about(job))
        self._pending[job.arrival] = _Pending(job, refused)
        self._attempt_due()

    def _look(self, sighting: Candidate) -> _Known:
        """Look at a thing again if it has changed, or if it was not whole."""
        known = self._known.get(sighting.key)
        if known is None or known.stamp != sighting.stamp:
            known = _Known(sighting.stamp, self._clock(), *_seen(sighting.thing))
            if sighting.key not in self._known:
                self._journal.event("seen", user=sighting.user, name=sighting.name)
            self._known[sighting.key] = known
        elif known.arrival is not None or isinstance(known.seen, Unable):
            known.seen, known.arrival = _seen(sighting.thing, known.arrival)
        return known

    def _attempt_due(self) -> None:
        """Try every job whose time has come. What the disk refuses is tried again later."""
        for pending in [*self._pending.values()]:
            if pending.due > self._clock() or self._stopping:
                continue
            try:
                self._attempt(pending)
            except (AirgapError, OSError) as error:
                pending.tries += 1
                pending.due = self._clock() + intake_policy.pause(pending.tries)
                self._journal.told("trouble", **_about(pending.job), message=str(error))

    def _attempt(self, pending: _Pending) -> None:
        """Import (or verify) what was taken, and end it or put it off."""
        job = pending.job
        if pending.ended is not None:  # a crash, or the disk, came between
            self._end(pending, pending.ended)
            return
        verdict = pending.refused or self._work(job)
        if verdict.kind == "interrupted" and self._stopping:
            self._journal.told("abandoned", **_about(job))
            return
        pending.tries += 1
        step = intake_policy.after(verdict, pending.tries)
        if step == "again":
            wait = intake_policy.pause(pending.tries)
            pending.due, pending.why = self._clock() + wait, verdict
            self._journal.event("put off", **_about(job), **_why(verdict), seconds=int(wait))
        elif step == "quarantine" and self._keeper.changed(job):
            del self._pending[job.arrival]
            self._wary.add(f"{job.user}/{job.name}")
            self._journal.event("changed", **_about(job), **_why(verdict))
        else:
            good: Ending = "held" if self._choices.hold else "imported"
            ending = good if step == "done" else "quarantined"
            self._end(pending, self._record(job, ending, verdict))

    def _work(self, job: Job) -> Verdict:
        work: Work = "verify" if self._choices.hold else "import"
        self._journal.event("verifying" if self._choices.hold else "importing", **_about(job))
        self._journal.status(self._status(at_work=job))
        return self._run(work, job.place)

    def _record(self, job: Job, ending: Ending, verdict: Verdict) -> dict[str, Any]:
        """Say how a job ended. It is the line of the log, and the reason file."""
        record = {"at": self._journal.now(), "event": ending, **_about(job)}
        if ending == "quarantined":
            record |= _why(verdict)
        else:
            record["items"] = [
                {key: item[key] for key in ("tag", "kind", "outcome") if key in item}
                for item in verdict.report.get("items", ())
            ]
            record["signed_by"] = verdict.report.get("signed_by", [])
            record["bundle"] = verdict.report.get("bundle") or job.bundle
        return record

    def _end(self, pending: _Pending, record: Mapping[str, Any]) -> None:
        """Record, log, put away: a crash between them repeats a line of the log, and no more."""
        job = pending.job
        pending.ended = record
        if not pending.noted:
            self._keeper.note(job, record)
            pending.noted = True
        if not pending.logged:
            self._journal.event(**{key: value for key, value in record.items() if key != "at"})
            pending.logged = True
        self._keeper.put_away(job, record)
        del self._pending[job.arrival]

    def _needed(self) -> frozenset[Path]:
        """Return the packs that bundles wait with, whose other packs are still to come."""
        return frozenset(
            Path(name)
            for known in self._known.values()
            if known.arrival is not None
            for name, _ in known.arrival.packs
        )

    def _status(self, at_work: Job | None = None) -> dict[str, Any]:
        return {
            "at_work": _about(at_work) if at_work else None,
            "waiting": [{"name": key, **_state(one.seen)} for key, one in self._known.items()],
            "put_off": [
                {**_about(one.job), **(_why(one.why) if one.why else {}), "tries": one.tries}
                for one in self._pending.values()
                if one.job is not at_work
            ],
            **self._keeper.kept(),
        }


def _seen(
    thing: DiscoveredBundle, arrival: Completeness | None = None
) -> tuple[Seen, Completeness | None]:
    """Look at a thing: admit it, unless that was done before, and see what is still to come."""
    try:
        arrival = arrival or completeness.look(thing.place, _judge())
        what = completeness.lacking(thing.path, arrival)
    except _UnfitError as error:
        return Unable(error.cause), None
    except CutOffError:
        return Lacking("it ends before its first pack"), None
    except AirgapError as error:
        return intake_policy.seen_as(error), None
    if what is None:
        return Ready(arrival), arrival
    return Lacking(what, arrival.bundle, arrival.items), arrival


class _UnfitError(Exception):
    """This machine cannot judge now (no root, a damaged memory), which is no bundle's fault."""

    def __init__(self, cause: AirgapError) -> None:
        super().__init__(cause.message)
        self.cause = cause


def _judge() -> policy.AdmissionPolicy:
    try:
        return policy.load()
    except AirgapError as error:
        raise _UnfitError(error) from error


def _taken_up(job: Job) -> _Pending:
    """Go on with what an earlier service has left."""
    return _Pending(job, ended=job.ended, noted=job.ended is not None)


def _about(job: Job) -> dict[str, Any]:
    return {"arrival": job.arrival, "user": job.user, "name": job.name, "bundle": job.bundle}


def _why(verdict: Verdict) -> dict[str, Any]:
    return {"kind": verdict.kind, "message": verdict.message, "hint": verdict.hint}


def _state(seen: Seen) -> dict[str, Any]:
    match seen:
        case Lacking(what, bundle, items):
            return {"state": "arriving", "what": what, "bundle": bundle, "items": list(items)}
        case Refused(error) | Unable(error):
            state = "refused" if isinstance(seen, Refused) else "put off"
            return {"state": state, "kind": error.kind, "what": error.message}
        case Ready(arrival):
            return {"state": "ready", "bundle": arrival.bundle, "items": list(arrival.items)}
