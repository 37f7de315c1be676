"""The port that every protocol fills: files by name at one location, and nothing about trust.

A transport is used by one thread at a time; ``clone`` makes another for the next thread. It does
not retry: an error that a new attempt may cure is raised as ``TransientError``, and the caller
opens a new connection for that attempt (``retry``). Only where uploads are not resumed may a
library send a part of one again by itself. Nothing that a transport reports is proof: only the
SHA-256 of the bytes that arrived is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from airgap.errors import TransportError
from airgap.transport.object_lock import ObjectLock

__all__ = [
    "Capabilities",
    "Pace",
    "ProtocolError",
    "Sink",
    "Stored",
    "TransientError",
    "Transport",
]

Sink = Callable[[memoryview], object]
"""Takes the bytes of a download as they arrive; they are only valid during the call."""

Pace = Callable[[int], object]
"""Called with the size of each block of an upload before it is sent: it may wait, or raise."""

Stored = Literal["exists", "stored", "resumed"]
"""What ``put`` sent: nothing (name and size were there), the whole file, or the missing part."""


class TransientError(TransportError):
    """The connection broke or stalled, or the server is busy: a new attempt may succeed."""


class ProtocolError(TransientError):
    """The server, or a damaged connection, breaks the protocol.

    What came before in the same attempt may be anything: it does not count as progress.
    """


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a transport can do. The contract tests check each claim."""

    resumes_uploads: bool
    """``put`` continues an interrupted upload. If not, it sends the file from its beginning."""
    replaces_atomically: bool
    """A reader of a name that is published again sees the old or the new bytes, never a mix."""
    creates_exclusively: bool
    """The server itself decides ``publish(replace=False)``; the client does not ask first."""


class Transport(Protocol):
    """One location over one protocol.

    Names are as ``names.check_name`` demands: relative, ``/`` between segments, printable ASCII.
    Every method refuses others with a TransportError before anything is sent. The location itself
    may have any name.
    """

    location: str
    """Its URL or path, for messages. It never contains a password."""
    capabilities: Capabilities

    @property
    def object_lock(self) -> ObjectLock | None:
        """What keeps files from being deleted before a date (format §37); None without that."""
        ...

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None if it does not exist.

        Raises:
            TransientError, TransportError: the server does not say.
        """
        ...

    def list(self, folder: str, limit: int) -> list[str]:
        """Return the sorted names directly in a folder; none if the folder does not exist.

        Files and folders alike, without a slash; the empty folder is the location itself. Names of
        unfinished uploads may be among them. Callers ignore every name they do not know.

        Raises:
            CorruptError: there are more than ``limit``.
            TransientError, TransportError: it cannot be listed.
        """
        ...

    def get(self, name: str, sink: Sink, offset: int = 0, length: int | None = None) -> int:
        """Send a file's bytes from ``offset`` on, at most ``length``, to the sink; return how many.

        It may return fewer than there are: a server's statement that it sent everything is not
        relied on. At or after the end there are none. What the sink raises passes through
        unchanged, also an OSError (its disk may be full); after that only ``close`` may be called.

        Raises:
            MissingError: the file does not exist.
            TransientError: it ended early; what the sink received is a correct beginning.
            TransportError: the server refused.
        """
        ...

    def put(
        self,
        name: str,
        source: Path,
        size: int,
        part: str | None = None,
        pace: Pace | None = None,
    ) -> Stored:
        """Upload a file that is named by its content: idempotent, resumed, renamed at the end.

        Name and size alone decide whether it exists already; a file of another size is replaced.
        Parent folders are made. Where the protocol can rename, the bytes go to ``part`` first
        (``names.name_part`` if it is None), so that ``name`` is never there in part. What ``part``
        contains already counts as the file's beginning, unless it is longer than the file: two
        writers at once must use two part names.

        ``pace`` is called before each block of at most 1 MiB. What it raises (no OSError) passes
        through unchanged, and what was sent can be resumed; after that only ``close`` may be
        called.

        Raises:
            StorageError: the remote disk is full.
            TransientError: it ended early; a new ``put`` resumes it.
            TransportError: the server refused.
        """
        ...

    def publish(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """Store a small file, whole or not at all; return False if it exists and is not replaced.

        Raises:
            StorageError, TransientError, TransportError: as ``put``.
        """
        ...

    def delete(self, name: str) -> None:
        """Remove a file; a missing one is not an error. Folders that this empties may stay.

        Raises:
            TransientError, TransportError: the server refused.
        """
        ...

    def clone(self) -> "Transport":
        """Return another of the same location, whose own connection opens at its first use."""
        ...

    def close(self) -> None:
        """Close the connection, also one that is broken; may be called twice."""
        ...
