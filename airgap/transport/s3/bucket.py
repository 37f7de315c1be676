"""The port between the transport and a client: requests about the objects of one bucket.

``client`` fills it for S3.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from airgap.transport.object_lock import LockSettings, ObjectRetention

__all__ = [
    "PAGE_KEYS",
    "PART_BYTES",
    "Body",
    "Bucket",
    "Head",
    "ListedVersion",
    "ListedVersions",
    "Page",
    "ResponseError",
    "choose_part_bytes",
]

PAGE_KEYS: Final = 1000
"""The most keys that a server returns at once."""

PART_BYTES: Final = 8 * 1024 * 1024
"""Servers demand at least 5 MiB; a connection holds two parts in memory."""

_MOST_PARTS: Final = 10_000  # of one object
_MIB: Final = 1024 * 1024


def choose_part_bytes(size: int) -> int:
    """Return the bytes of each part but the last of an object of ``size`` bytes, in whole MiB."""
    return max(PART_BYTES, -(-size // (_MOST_PARTS * _MIB)) * _MIB)


class ResponseError(Exception):
    """The server refused a request. Nothing else of its response is kept: it may echo secrets."""

    def __init__(self, status: int, code: str = "") -> None:
        """Take the HTTP status, and the code of S3 if there is one."""
        super().__init__(f"{status} {code}".rstrip())
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Page:
    """Keys in the order of the server."""

    keys: tuple[str, ...]
    token: str = ""
    """Where the next page begins, for the server; empty at the end."""


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes of an object, or of a range of it."""

    size: int
    total: int
    """The size of the whole object."""
    pieces: Generator[memoryview]
    """A piece is only valid until the next one."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a server says of an object."""

    size: int
    retention: ObjectRetention | None = None
    held: bool = False
    """Whether it is under a legal hold: it cannot be deleted until that is lifted."""


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """A version of a key, or a delete marker, of which the size is None."""

    key: str
    id: str
    is_latest: bool
    size: int | None
    tag: str
    modified: str


@dataclass(frozen=True, slots=True)
class ListedVersions:
    """Versions in the order of the server, and where the next page begins: a key and an id."""

    versions: tuple[ListedVersion, ...]
    cursor: tuple[str, str] | None


class Bucket(Protocol):
    """The objects of one bucket.

    Every method raises ``ResponseError`` if the server refuses, ``TransientError`` if the
    connection breaks or stalls, and ``TransportError`` for a response that is not one of S3.
    """

    def head(self, key: str, version: str = "") -> Head:
        """Return what the server says of an object, by default of its latest version."""
        ...

    def list_page(self, prefix: str, after: str, token: str) -> Page:
        """Return at most ``PAGE_KEYS`` keys that begin with ``prefix`` and follow ``after``.

        With the ``token`` of a page, the keys that follow that page.
        """
        ...

    def get(self, key: str, offset: int, length: int | None, version: str = "") -> Body:
        """Return the bytes from ``offset`` on, at most ``length``, which is not 0."""
        ...

    def put(
        self,
        key: str,
        data: bytes,
        *,
        create: bool = False,
        retention: ObjectRetention | None = None,
    ) -> None:
        """Store an object, locked if so; with ``create``, only if there is none."""
        ...

    def put_parts(
        self, key: str, blocks: Iterable[bytes], size: int, retention: ObjectRetention | None = None
    ) -> None:
        """Store an object of ``size`` bytes in parts; those of a failed upload are removed.

        The lock is asked for at the beginning; some servers forget it (docs/adr/0066).
        """
        ...

    def delete(self, key: str, version: str = "") -> None:
        """Remove an object, or one version of it."""
        ...

    def read_lock_settings(self) -> LockSettings:
        """Return how the bucket is set up: object lock and versioning."""
        ...

    def list_versions(self, prefix: str, cursor: tuple[str, str] | None) -> ListedVersions:
        """Return at most ``PAGE_KEYS`` versions of keys that begin with ``prefix``."""
        ...

    def get_retention(self, key: str, version: str) -> ObjectRetention | None:
        """Return the lock of a version, by default the latest."""
        ...

    def put_retention(self, key: str, retention: ObjectRetention) -> None:
        """Set the lock of an object's latest version."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
