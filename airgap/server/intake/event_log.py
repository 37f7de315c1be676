"""What happened, for people and programs: a line per event, and a status file (format §21)."""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Any, Final

from airgap.disk.part_file import write_atomically
from airgap.errors import AirgapError

__all__ = ["LOG_NAME", "STATUS_NAME", "EventLog", "moment", "write_json"]

LOG_NAME: Final = "log.jsonl"
STATUS_NAME: Final = "status.json"

Tell = Callable[[Mapping[str, Any]], None]


def moment(seconds: float) -> str:
    """Write a time as RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a small file of JSON, whole or not at all.

    Raises:
        StorageError: the disk refused.
    """
    data = json.dumps(value, indent=2, sort_keys=True).encode() + b"\n"
    write_atomically(path.parent, path.name, [data])


class EventLog:
    """Appends to the log, replaces the status, and tells whoever watches.

    A disk that is full must not end the service: what cannot be written is told on the terminal
    alone.
    """

    def __init__(self, folder: Path, tell: Tell, clock: Callable[[], float] = time) -> None:
        """Take the folder of both files, and where lines go besides."""
        self._folder = folder
        self._tell = tell
        self._clock = clock
        self._last: Mapping[str, Any] | None = None

    def now(self) -> str:
        """Return the time as the journal writes it."""
        return moment(self._clock())

    def told(self, event: str, **about: object) -> None:
        """Tell what is not about a bundle: sessions, beginnings and ends of the service."""
        self._tell({"at": self.now(), "event": event, **about})

    def event(self, event: str, **about: object) -> None:
        """Log what happened to a bundle, with one write, so that lines never mix."""
        line = {"at": self.now(), "event": event, **about}
        with suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            descriptor = os.open(self._folder / LOG_NAME, flags, 0o640)
            try:
                os.write(descriptor, json.dumps(line, sort_keys=True).encode() + b"\n")
            finally:
                os.close(descriptor)
        self._tell(line)

    def status(self, about: Mapping[str, Any]) -> None:
        """Replace the status file if anything has changed."""
        if about == self._last:
            return
        with suppress(AirgapError):
            write_json(self._folder / STATUS_NAME, {"format": 1, "at": self.now(), **about})
            self._last = dict(about)
