"""The port that every protocol fills: files by name below one place, and nothing about trust.

A transport is used by one thread at a time; ``clone`` makes another for the next thread. It does
not retry: what may work at the next try is raised as ``BrokenOffError``, and whoever drives it
opens a fresh connection for that (``retrying``). Only where uploads are not resumed, a library may
send a part of one again by itself. Nothing a transport reports is a proof: the SHA-256 of what
arrived is the only one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from airgap.errors import TransportError

__all__ = ["Capabilities", "Pace", "Sink", "Stored", "TransientError", "Transport"]

Sink = Callable[[memoryview], object]
"""Takes the bytes of a download as they arrive; they are only valid during the call."""

Pace = Callable[[int], object]
"""Told how many bytes of an upload come next, before they are sent: it may wait, or raise."""

Stored = Literal["there", "stored", "resumed"]
"""What ``put`` did: nothing (right size, right name), all of it, or the part that was missing."""


class TransientError(TransportError):
    """The connection broke, stalled, or the server asked to come again: a new try may work."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a transport can do; the contract tests hold it to that."""

    resumes_uploads: bool
    """``put`` goes on where a broken one ended. If not, a file is the unit of resuming."""
    replaces_atomically: bool
    """A reader of a name that is published again sees the old or the new bytes, never a mix."""
    creates_exclusively: bool
    """``publish(replace=False)`` is decided by the server, not by asking first."""


class Transport(Protocol):
    """One place of one protocol.

    Names are as ``names.checked`` wants them: relative, ``/`` between, printable ASCII. Every
    method refuses others with a TransportError before anything is sent. The place itself may have
    any name.
    """

    place: str
    """Its URL for messages. It never holds a password."""
    capabilities: Capabilities

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None if it is not there.

        Raises:
            BrokenOffError, TransportError: it cannot be told.
        """
        ...

    def list(self, folder: str, limit: int) -> list[str]:
        """Return the sorted names of what is directly in a folder; none if it is not there.

        Files and folders alike, without a slash; the empty folder is the place itself. Names of
        unfinished uploads may be among them. Callers ignore every name they do not know.

        Raises:
            CorruptError: there are more than ``limit``.
            BrokenOffError, TransportError: it cannot be listed.
        """
        ...

    def get(self, name: str, sink: Sink, offset: int = 0, length: int | None = None) -> int:
        """Send a file's bytes from ``offset`` on, at most ``length``, to the sink; return how many.

        It may return fewer than there are: a server's word that all was sent is worth nothing.
        From the end on there are none. What the sink raises passes through as it is, an OSError
        too (its disk may be full); the connection is then good for ``close`` alone.

        Raises:
            MissingError: it is not there.
            BrokenOffError: it ended early; what the sink was given is good to be continued.
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
        """Upload a file that is named by its content: idempotent, resumed, renamed at its end.

        "There" is decided by name and size alone; another size is replaced. Folders on the way are
        made. Where the protocol renames, the bytes go to ``part`` first (``names.default_part`` if
        it is None), so that ``name`` is never there in part. What ``part`` holds already is taken
        for the file's beginning, unless it is longer than the file: two writers at once must name
        two parts.

        ``pace`` is told each block of at most 1 MiB before it is sent. What it raises (no OSError)
        passes through as it is, and what was sent is good to be continued; the connection is then
        good for ``close`` alone.

        Raises:
            StorageError: the other side is full.
            BrokenOffError: it ended early; putting it again goes on.
            TransportError: the server refused.
        """
        ...

    def publish(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """Store a small file, whole or not at all; return False if it is there and not replaced.

        Raises:
            StorageError, BrokenOffError, TransportError: as ``put``.
        """
        ...

    def delete(self, name: str) -> None:
        """Remove a file; that it is not there is fine. Folders that this empties may stay.

        Raises:
            BrokenOffError, TransportError: the server refused.
        """
        ...

    def clone(self) -> "Transport":
        """Return another of the same place, with its own connection, opened when it is used."""
        ...

    def close(self) -> None:
        """Close the connection, also one that is broken; may be called twice."""
        ...
