"""The jobs of an intake that have not finished: which go together, and which wait for others."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Final, TypeVar

from airgap.flow.bundle.completeness import Age, Completeness, newest_first
from airgap.server.intake.decisions import Verdict
from airgap.server.intake.intake_folder import Job

__all__ = ["MAX_WAITING", "PendingJob", "PendingJobs", "sort_oldest_first"]

MAX_WAITING: Final = 1000
"""How many bundles of one user may wait for others."""

T = TypeVar("T")


@dataclass(slots=True)
class PendingJob:
    """A job that is not finished. ``refusal`` is set if it was refused before it was taken.

    ``record`` is how it ended, as soon as that is known; ``due`` is when to try (again).
    """

    job: Job
    refusal: Verdict | None = None
    expected: Completeness | None = None
    """None until the bundle was looked at. Its packs and items are left out: memory is bounded."""
    record: Mapping[str, Any] | None = None
    saved: bool = False
    logged: bool = False
    tries: int = 0
    due: float = 0.0
    last_verdict: Verdict | None = None
    waits_since: float | None = None
    """When it began to wait for other bundles; None if it does not."""
    tried_with: object = None
    """What there was to build on at its last try; with the same, another would end the same."""

    @property
    def is_decided(self) -> bool:
        """Whether no try is needed any more to tell how it ends."""
        return self.record is not None or self.refusal is not None

    @property
    def completes(self) -> str:
        """The id of the bundle that this one completes; empty if there is none, or it is refused.

        From the record, if a daemon that was killed left it.
        """
        if self.refusal or (self.record and self.record["event"] == "quarantined"):
            return ""
        if self.expected:
            return self.expected.completes
        return str(self.record.get("completes", "")) if self.record else ""

    @property
    def age(self) -> Age | None:
        """The age of the bundle, if that is known."""
        return self.expected.age if self.expected else None

    @property
    def builds_on_others(self) -> bool:
        """Whether the bundle needs chunks that it does not carry."""
        return self.expected is not None and self.expected.builds_on_others

    @property
    def is_waiting(self) -> bool:
        """Whether the bundle waits for others, or for the one that it completes."""
        return self.waits_since is not None or bool(self.completes)

    def has_waited(self, now: float) -> float:
        """Return for how many seconds it has waited for others."""
        return 0.0 if self.waits_since is None else now - self.waits_since

    def refuse(self, verdict: Verdict) -> None:
        """Let it end soon with this verdict."""
        self.refusal, self.due = verdict, 0.0

    def end(self, record: Mapping[str, Any]) -> None:
        """Let it end soon with this record."""
        self.record, self.due = record, 0.0

    def expect(self, expected: Completeness | None) -> None:
        """Keep what a look at the bundle has shown."""
        if expected is not None:
            self.expected = replace(expected, packs=(), items=())
            self.job = replace(self.job, bundle_id=expected.bundle)

    def wait(self, verdict: Verdict, now: float) -> bool:
        """Wait for other bundles; tell whether this verdict is new."""
        is_new = self.last_verdict is None or self.last_verdict.message != verdict.message
        self.tries, self.due, self.last_verdict = 0, inf, verdict
        if self.waits_since is None:
            self.waits_since = now - self.job.waited
        return is_new


class PendingJobs(dict[str, PendingJob]):
    """All jobs that are not finished, by arrival. Bundles of different users never meet."""

    def of_user(self, user: str) -> list[PendingJob]:
        """Return the jobs of a user."""
        return [pending for pending in self.values() if pending.job.user == user]

    def count_waiting(self, user: str) -> int:
        """Count the bundles of a user that wait for others, or complete others."""
        return sum(pending.is_waiting and not pending.is_decided for pending in self.of_user(user))

    def list_bundles(self, user: str) -> frozenset[str]:
        """Return the ids of a user's bundles; the refused ones and those of unknown id left out."""
        jobs = (pending for pending in self.of_user(user) if not pending.refusal)
        return frozenset(pending.job.bundle_id for pending in jobs) - {""}

    def index_completing(self, user: str) -> defaultdict[str, list[PendingJob]]:
        """Return a user's bundles that complete others, by the id of the bundle they complete."""
        index: defaultdict[str, list[PendingJob]] = defaultdict(list)
        for pending in self.of_user(user):
            if pending.completes:
                index[pending.completes].append(pending)
        return index

    def find_completing(self, first: PendingJob) -> list[PendingJob]:
        """Return the jobs of the same user whose bundles complete this one."""
        return self.index_completing(first.job.user)[first.job.bundle_id]


def sort_oldest_first(entries: Iterable[tuple[Age | None, T]]) -> list[T]:
    """Sort from the oldest to the newest (format §8); what has no known age comes first."""
    listed = [*entries]
    undated = [entry for age, entry in listed if age is None]
    dated = [(age, entry) for age, entry in reversed(listed) if age is not None]
    return undated + [entry for _, entry in newest_first(dated, lambda pair: pair[0])][::-1]
