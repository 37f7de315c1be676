"""What the intake works on: a folder of delivered bundles."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from airgap.flow.bundle.completeness import Completeness
from airgap.flow.location.location import ArchiveFile, LocalDepot
from airgap.server.intake.discovery import DiscoveredBundle, UnsearchedFolderError

__all__ = ["Candidate", "IntakeFolder", "Job"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A delivered bundle as found. ``name`` and ``user`` are for people and records.

    ``finished``: whether the sender has declared it complete. ``unchanged``: for how many seconds
    it has not changed, according to the file system; 0 if that is unknown.
    """

    bundle: DiscoveredBundle
    name: str
    user: str
    stamp: str
    finished: bool = False
    unchanged: float = 0.0

    @property
    def key(self) -> str:
        """Identifies it among all current candidates."""
        return f"{self.user}/{self.name}"


@dataclass(frozen=True, slots=True)
class Job:
    """A bundle that was taken: nothing else changes it now, or the change would be detected.

    ``arrival`` identifies this arrival of the bundle. ``record`` is how the job ended, if a crash
    came after that was saved. ``waited``: for how many seconds it has been there, if an earlier
    daemon took it.
    """

    arrival: str
    user: str
    name: str
    location: LocalDepot | ArchiveFile
    bundle_id: str
    record: Mapping[str, Any] | None = None
    waited: float = 0.0


class IntakeFolder(Protocol):
    """Holds the delivered bundles, and the records of what became of them."""

    def users(self) -> Sequence[str]:
        """Return who delivers: each gets turns of their own."""
        ...

    def recover_jobs(self) -> list[Job]:
        """Return the jobs that were left when the daemon was last stopped or killed."""
        ...

    def find_candidates(self, user: str) -> Iterator[Candidate | UnsearchedFolderError | None]:
        """Yield the bundles of a user that are waiting; None after a step of other work.

        Yields an error for each folder that is not searched.
        """
        ...

    def take(self, candidate: Candidate, expected: Completeness | None) -> Job | None:
        """Put a bundle beyond its sender's reach; return None if it has changed meanwhile."""
        ...

    def has_changed(self, job: Job) -> bool:
        """Tell whether a bundle was changed after it was taken."""
        ...

    def save_record(self, job: Job, record: Mapping[str, Any]) -> Iterator[None]:
        """Save how a job ended, so that a crash does not change it; yield after each step."""
        ...

    def finish(self, job: Job, record: Mapping[str, Any]) -> Iterator[None]:
        """Move the bundle to where it belongs after that. May run again after a crash."""
        ...

    def clean_up(self, user: str, needed: frozenset[Path]) -> Iterator[None]:
        """Remove a user's old leftovers; ``needed``: packs of incomplete bundles, which stay."""
        ...

    def describe(self, limit: int) -> Mapping[str, Any]:
        """Return the entries of the status file about held and quarantined bundles.

        Of each user's, the newest ``limit`` are listed.
        """
        ...
