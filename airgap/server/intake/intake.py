"""Imports, holds or quarantines every delivered bundle, exactly once.

Shared by the drop box and `airgap watch`. What differs between them (folders whose files may be
renamed, or a medium that must not be modified) is behind ``IntakeFolder``.

Users get turns: a slice of time and at most one import each. So no account, whatever it delivers,
delays the bundle of another by more than one turn. Work that may take long is a generator that
yields after each of its steps.

Of the bundles of one user, the oldest is imported first: an older one would be refused after a
newer one (format §17.1). A bundle that lacks what others carry waits for them, and one that only
completes another (format §22) waits for that, to be imported together with it.
"""

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, Final, Literal

from airgap.errors import AirgapError
from airgap.flow.bundle.completeness import Age, Completeness
from airgap.server.intake import decisions
from airgap.server.intake.check import check_bundle
from airgap.server.intake.decisions import (
    CandidateState,
    Incomplete,
    Postponed,
    Ready,
    Refused,
    Verdict,
)
from airgap.server.intake.discovery import UnsearchedFolderError
from airgap.server.intake.event_log import EventLog
from airgap.server.intake.intake_folder import Candidate, IntakeFolder, Job
from airgap.server.intake.jobs import IntakeOptions, Jobs, Outcome, Runner, describe_job
from airgap.server.intake.pending import PendingJob, sort_oldest_first

__all__ = ["Intake", "IntakeOptions", "Outcome", "Runner"]

TURN_SECONDS: Final = 0.5
MAX_LISTED: Final = 100


@dataclass(slots=True)
class _Tracked:
    """What is known of a candidate between two looks. ``since``: when it last changed."""

    stamp: str
    since: float
    state: CandidateState
    expected: Completeness | None


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
        self._events = events
        self._options = options
        self._clock = clock
        self._tracked: defaultdict[str, dict[str, _Tracked]] = defaultdict(dict)
        self._jobs = Jobs(folder, run, events, options, clock=clock, describe=self.describe)
        self._passes: dict[str, Iterator[bool]] = {}
        self._taken_now: defaultdict[str, set[str]] = defaultdict(set)
        self._troubles: dict[str, str] = {}
        self._unsearched: defaultdict[str, set[str]] = defaultdict(set)

    def stop(self) -> None:
        """Start nothing more; may be called from another thread."""
        self._jobs.stopping = True

    def tick(self) -> bool:
        """Give every user one turn; tell whether there is more to do without waiting."""
        turns = [self._take_turn(user) for user in self._folder.users()]
        self._events.write_status(self.describe())
        return any(turns) and not self._jobs.stopping

    def _take_turn(self, user: str) -> bool:
        """Go on with a user's work, up to the end of a job or for ``TURN_SECONDS``.

        Returns whether some of it is left.
        """
        end = self._clock() + TURN_SECONDS
        steps = self._passes.setdefault(user, self._pass(user))
        try:
            while not self._jobs.stopping:
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

        Yields True when a job has ended or was postponed. After an import it searches again: an
        older bundle may have arrived meanwhile, and others may have waited for this one. It takes
        each bundle once, so that one which something changes again and again does not keep it busy.
        """
        self._taken_now[user].clear()
        while True:
            ready = yield from self._search(user)
            ids = frozenset(expected.bundle for _, expected in ready)
            self._jobs.examine(user, ids)
            yield from self._jobs.end_decided(user, ids)
            for _ in self._folder.clean_up(user, self._find_needed_packs(user)):
                yield False
            pending = self._choose_next(user, ready)
            if pending is None:
                return
            yield from self._jobs.try_if_due(pending)

    def _search(self, user: str) -> Generator[bool, None, list[tuple[Candidate, Completeness]]]:
        """Look at all that has arrived; return the bundles that could be imported now.

        Takes those that are finally refused, or only complete others.
        """
        keys, unsearched = set[str](), set[str]()
        ready: list[tuple[Candidate, Completeness]] = []
        for candidate in self._folder.find_candidates(user):
            if isinstance(candidate, UnsearchedFolderError):
                unsearched.add(candidate.message)
                self._report_unsearched(user, candidate)
            elif candidate is not None:
                keys.add(candidate.key)
                is_new = candidate.key not in self._taken_now[user]
                expected = self._consider(candidate) if is_new else None
                if expected is not None:
                    ready.append((candidate, expected))
            yield False
        self._unsearched[user] = unsearched
        tracked = self._tracked[user]
        for key in tracked.keys() - keys:
            del tracked[key]
        return ready

    def _report_unsearched(self, user: str, error: UnsearchedFolderError) -> None:
        """Report that a folder is not searched, unless the last search reported the same."""
        if error.message not in self._unsearched[user]:
            self._events.notify("trouble", user=user, message=error.message, hint=error.hint)

    def _report_trouble(self, key: str, error: Exception, **fields: object) -> None:
        """Report an error of this machine, unless it was the last one there."""
        if self._troubles.get(key) != str(error):
            self._troubles[key] = str(error)
            self._events.notify("trouble", **fields, message=str(error))

    def _consider(self, candidate: Candidate) -> Completeness | None:
        """Check a candidate; take it if it is finally refused, or only completes another.

        Returns what it is if it could be imported now.
        """
        try:
            tracked = self._track(candidate)
            step = self._choose_step(candidate, tracked)
            if step == "refuse":
                self._take(candidate, tracked, decisions.explain_refusal(tracked.state))
            elif step == "take" and tracked.expected and tracked.expected.completes:
                if self._jobs.has_room(candidate.user):
                    self._take(candidate, tracked)
            elif step == "take":
                return tracked.expected
        except (AirgapError, OSError) as error:
            self._report_candidate(candidate, error)
            return None
        self._troubles.pop(candidate.key, None)
        return None

    def _choose_step(
        self, candidate: Candidate, tracked: _Tracked
    ) -> Literal["take", "wait", "refuse"]:
        return decisions.choose_step(
            tracked.state,
            self._clock() - tracked.since,
            self._options.settle,
            finished=candidate.finished,
            changed_before=candidate.key in self._jobs.changed_before,
        )

    def _report_candidate(self, candidate: Candidate, error: Exception) -> None:
        self._report_trouble(candidate.key, error, user=candidate.user, name=candidate.name)

    def _take(
        self, candidate: Candidate, tracked: _Tracked, refusal: Verdict | None = None
    ) -> PendingJob | None:
        """Take a bundle out of its sender's reach; return None if it has changed meanwhile."""
        job = self._folder.take(candidate, tracked.expected)
        if job is None:
            return None
        del self._tracked[candidate.user][candidate.key]
        self._taken_now[candidate.user].add(candidate.key)
        self._jobs.changed_before.discard(candidate.key)
        return self._jobs.add(job, tracked.expected, refusal)

    def _track(self, candidate: Candidate) -> _Tracked:
        """Check a candidate, unless it was refused before and has not changed since."""
        tracked_candidates = self._tracked[candidate.user]
        tracked = tracked_candidates.get(candidate.key)
        if tracked is None or tracked.stamp != candidate.stamp:
            since = self._clock() - candidate.unchanged if tracked is None else self._clock()
            checked = check_bundle(candidate.bundle.location, None, self._options.identities)
            tracked = _Tracked(candidate.stamp, since, *checked)
            if candidate.key not in tracked_candidates:
                self._events.record("seen", user=candidate.user, name=candidate.name)
            tracked_candidates[candidate.key] = tracked
        elif tracked.expected is not None or isinstance(tracked.state, Postponed):
            before = tracked.state
            state, expected = check_bundle(
                candidate.bundle.location, tracked.expected, self._options.identities
            )
            if isinstance(before, Incomplete) and state != before:
                tracked.since = self._clock()
            tracked.state, tracked.expected = state, expected
        return tracked

    def _choose_next(
        self, user: str, ready: Sequence[tuple[Candidate, Completeness]]
    ) -> PendingJob | None:
        """Return the oldest bundle that can be tried now; take it if it is not taken yet."""
        entries: list[tuple[Age | None, PendingJob | Candidate]] = [*self._jobs.list_due(user)]
        entries += [
            (expected.age, candidate)
            for candidate, expected in ready
            if not self._is_older_arriving(user, expected)
        ]
        for entry in sort_oldest_first(entries):
            pending = entry if isinstance(entry, PendingJob) else self._take_again(entry)
            if pending is not None:
                return pending
        return None

    def _is_older_arriving(self, user: str, expected: Completeness) -> bool:
        now, settle = self._clock(), self._options.settle
        return any(
            decisions.is_in_the_way(
                other.state, other.expected, expected, now - other.since, settle
            )
            for other in self._tracked[user].values()
        )

    def _take_again(self, candidate: Candidate) -> PendingJob | None:
        """Take a bundle that was ready; None if it has changed since: then it is checked again."""
        tracked = self._tracked[candidate.user].get(candidate.key)
        try:
            if tracked is None:
                return None
            state, _ = check_bundle(
                candidate.bundle.location, tracked.expected, self._options.identities
            )
            pending = self._take(candidate, tracked) if isinstance(state, Ready) else None
        except (AirgapError, OSError) as error:
            self._report_candidate(candidate, error)
            return None
        self._troubles.pop(candidate.key, None)
        return pending

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
            "at_work": describe_job(at_work) if at_work else None,
            "waiting": [
                {"name": key, **_describe_state(tracked.state)}
                for candidates in self._tracked.values()
                for key, tracked in islice(candidates.items(), limit)
            ],
            "put_off": self._jobs.describe_pending(at_work, limit),
            **self._folder.describe(limit),
        }


def _describe_state(state: CandidateState) -> dict[str, Any]:
    match state:
        case Incomplete(missing, bundle_id, items):
            return {"state": "arriving", "what": missing, "bundle": bundle_id, "items": list(items)}
        case Refused(error) | Postponed(error):
            word = "refused" if isinstance(state, Refused) else "put off"
            return {"state": word, "kind": error.kind, "what": error.message}
        case Ready(expected):
            return {"state": "ready", "bundle": expected.bundle, "items": list(expected.items)}
