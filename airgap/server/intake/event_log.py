"""Events for people and programs: one line per event, and a status file (format §21)."""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import time
from typing import Any, Final

from airgap.disk.part_file import write_atomically
from airgap.errors import AirgapError
from airgap.times import format_time

__all__ = ["LOG_NAME", "STATUS_NAME", "EventLog", "EventSink", "format_json", "write_json"]

LOG_NAME: Final = "log.jsonl"
STATUS_NAME: Final = "status.json"
LOG_BYTES: Final = 64 * 1024 * 1024

EventSink = Callable[[Mapping[str, Any]], None]


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a small JSON file atomically.

    Raises:
        StorageError: the disk refused.
    """
    write_atomically(path.parent, path.name, [format_json(value)])


def format_json(value: Mapping[str, Any]) -> bytes:
    """Return the content of a small JSON file, for people and programs."""
    return json.dumps(value, indent=2, sort_keys=True).encode() + b"\n"


class EventLog:
    """Appends to the log file, replaces the status file, and passes events to a sink.

    A full disk must not stop the service: events that cannot be written still reach the sink. And
    the log must not fill the disk: beyond ``LOG_BYTES`` it is renamed, in place of the one before.
    """

    def __init__(self, folder: Path, sink: EventSink, clock: Callable[[], float] = time) -> None:
        """Write both files in ``folder``; ``sink`` receives all events, also unwritten ones."""
        self._folder = folder
        self._sink = sink
        self._clock = clock
        self._last_status: Mapping[str, Any] | None = None

    def now(self) -> str:
        """Return the time as events have it: RFC 3339, UTC, to the second."""
        return format_time(int(self._clock()))

    def notify(self, event: str, **fields: object) -> None:
        """Report an event that is not about a bundle, to the sink only: sessions, start, stop."""
        self._sink({"at": self.now(), "event": event, **fields})

    def record(self, event: str, **fields: object) -> None:
        """Log what happened to a bundle. A line is one write, so that lines never mix."""
        line = {"at": self.now(), "event": event, **fields}
        with suppress(OSError):
            path = self._folder / LOG_NAME
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o640)
            try:
                os.write(descriptor, json.dumps(line, sort_keys=True).encode() + b"\n")
                if os.fstat(descriptor).st_size > LOG_BYTES:
                    path.replace(path.with_name(f"{LOG_NAME}.1"))
            finally:
                os.close(descriptor)
        self._sink(line)

    def write_status(self, status: Mapping[str, Any]) -> None:
        """Replace the status file if the status has changed."""
        if status == self._last_status:
            return
        with suppress(AirgapError):
            write_json(self._folder / STATUS_NAME, {"format": 1, "at": self.now(), **status})
            self._last_status = dict(status)
