"""The port of a server that keeps files from being deleted before a date (format §37).

Such a server keeps every version of a name. One that was written stays until its date, whatever is
written or deleted afterwards under the same name.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from airgap.errors import TransportError

__all__ = [
    "LockMode",
    "LockSettings",
    "ObjectLock",
    "ObjectRetention",
    "Version",
    "VersionPage",
    "iterate_versions",
]

_MOST_PAGES: Final = 10_000  # of 1,000 versions

LockMode = Literal["COMPLIANCE", "GOVERNANCE"]
"""In the first, nobody can shorten a retention; in the second, accounts with a permission can."""


@dataclass(frozen=True, slots=True)
class ObjectRetention:
    """Until when a version cannot be deleted."""

    mode: LockMode
    until: int
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class LockSettings:
    """How a bucket is set up."""

    enabled: bool
    """Whether it has object lock at all."""
    versioning: bool
    """Whether it keeps versions; without that, nothing is locked."""
    default: tuple[LockMode, int] | None = None
    """The mode, and for how many days, a file is locked that is written without a lock."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a name, or a delete marker: a version without bytes that hides the others."""

    name: str
    id: str
    """The server's; for messages, quote it."""
    is_latest: bool
    size: int | None
    """Bytes; None for a delete marker."""
    tag: str = ""
    """The server's mark of the bytes (ETag): versions of one name with one tag are the same."""
    modified: str = ""
    """When it was written, by the server's clock (ISO 8601)."""


@dataclass(frozen=True, slots=True)
class VersionPage:
    """Versions in the order of the server, and where the next page begins; None at the end."""

    versions: tuple[Version, ...]
    cursor: tuple[str, str] | None


class ObjectLock(Protocol):
    """Versions and retentions of the files at one location.

    Every method raises ``TransientError`` or ``TransportError`` as those of ``Transport``.
    """

    def read_settings(self) -> LockSettings:
        """Return how the bucket is set up."""
        ...

    def read_period(self) -> int | None:
        """Return for how many seconds the location's options lock what is written; None: not.

        Raises:
            ConfigurationError: the bucket cannot do what the options demand.
        """
        ...

    def list_versions(self, prefix: str, cursor: tuple[str, str] | None = None) -> VersionPage:
        """Return versions of names that begin with ``prefix``, the newest first for each name.

        Names that are not a depot's are left out. ``cursor`` is that of the page before.
        """
        ...

    def get_version(
        self, version: Version, sink: Callable[[memoryview], object], offset: int = 0
    ) -> int:
        """Send the bytes of a version from ``offset`` on to the sink, and return how many.

        Raises:
            MissingError: it is gone, or is a delete marker.
        """
        ...

    def read_retention(self, name: str, version: str = "") -> ObjectRetention | None:
        """Return until when a version is locked, by default the latest; None if it is not.

        Raises:
            MissingError: there is no such file.
        """
        ...

    def retain(self, name: str, until: int, mode: LockMode | None = None) -> ObjectRetention:
        """Lock a file's latest version until at least then; return how it is locked.

        ``mode`` is that of the options, or else of the bucket. A retention is never shortened, and
        a mode never weakened. What is returned was read back from the server.

        Raises:
            MissingError: there is no such file.
            StorageError: the server confirmed, and does not lock it.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove all versions of a name, unless one of them is still locked.

        Raises:
            StorageError: one is; nothing was removed.
        """
        ...


def iterate_versions(lock: ObjectLock, prefix: str) -> Iterator[Version]:
    """Yield the versions of all names that begin with ``prefix``, page by page.

    Raises:
        TransportError: the listing does not end.
    """
    cursor: tuple[str, str] | None = None
    for _ in range(_MOST_PAGES):
        page = lock.list_versions(prefix, cursor)
        yield from page.versions
        if page.cursor is None or page.cursor == cursor:
            return
        cursor = page.cursor
    raise TransportError(
        f"The listing of versions does not end after {_MOST_PAGES:,} pages.",
        "Check the endpoint: S3 does not respond like this.",
    )
