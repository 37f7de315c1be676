"""Writes and checks the log of a mirror's requests (format §39)."""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import BinaryIO, Final

from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError, CorruptError, StorageError
from airgap.flow.admission import history
from airgap.flow.admission.policy import require_root
from airgap.flow.ledger.record import EventRecord, record_event
from airgap.flow.progress import Silent
from airgap.format.request_log import (
    LINE_BYTES,
    ServedRequest,
    check_lines,
    encode_line,
    hash_line,
    read_previous,
)
from airgap.state import pinned_root
from airgap.times import format_time

__all__ = ["CheckedLog", "RequestLog", "check_log", "record_log"]

_MOST_WAITING: Final = 10_000
_RETRY_SECONDS: Final = 1.0


class RequestLog:
    """Appends to a log; each line is on the disk soon, and its order is that of ``add``.

    If the file is moved away, a new one goes on where it ended.
    """

    def __init__(self, path: Path) -> None:
        """Open the log, or begin one.

        Raises:
            StorageError: it cannot be written.
            CorruptError: its last line was changed.
        """
        self._path = path
        self._queue: SimpleQueue[ServedRequest | None] = SimpleQueue()
        self.failure: AirgapError | None = None
        """Why lines cannot be written; None while they are."""
        with translate_errors(path):
            self._file = self._open()
            self._head = _read_head(self._file) or secrets.token_bytes(32)
        self._thread = Thread(target=self._run, name="airgap-request-log", daemon=True)
        self._thread.start()

    def add(self, request: ServedRequest) -> None:
        """Append a line.

        Raises:
            StorageError: lines cannot be written: what nobody can record is not served.
        """
        if self.failure is not None:
            raise self.failure
        if self._queue.qsize() > _MOST_WAITING:
            raise StorageError(f"{self._path} takes lines too slowly.", "Check the disk.")
        self._queue.put(request)

    def close(self) -> None:
        """Write what waits, and close the log."""
        self._queue.put(None)
        self._thread.join()
        self._file.close()

    def _run(self) -> None:
        waiting: list[ServedRequest] = []
        is_closing = False
        while not is_closing:
            with suppress(Empty):  # what could not be written is tried again
                batch = [self._queue.get(timeout=_RETRY_SECONDS if waiting else None)]
                while not self._queue.empty():
                    batch.append(self._queue.get())
                is_closing = None in batch
                waiting += [request for request in batch if request is not None]
            try:
                with translate_errors(self._path):
                    self._append(waiting)
                waiting, self.failure = [], None
            except AirgapError as error:
                self.failure = error

    def _append(self, requests: Sequence[ServedRequest]) -> None:
        if self._was_moved():
            self._file.close()
            self._file = self._open()
        head, lines = self._head, bytearray()
        for request in requests:
            line = encode_line(request, head)
            head = hash_line(line)
            lines += line
        end = self._file.seek(0, os.SEEK_END)
        try:
            self._file.write(lines)
            os.fsync(self._file.fileno())
        except OSError:
            with suppress(OSError):  # no line is torn
                os.ftruncate(self._file.fileno(), end)
            raise
        self._head = head

    def _was_moved(self) -> bool:
        try:
            return not os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return True

    def _open(self) -> BinaryIO:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return os.fdopen(descriptor, "r+b", buffering=0)


@dataclass(frozen=True, slots=True)
class CheckedLog:
    """What a check of a log has found. ``begins`` and ``ends`` are times; empty without lines."""

    start: bytes
    """What the first line names: by this, the ledger knows the log."""
    head: bytes
    """The hash of the last line."""
    lines: int
    begins: str
    ends: str
    recorded: tuple[int, ...]
    """The numbers of the ledger's entries that name a line of the log, from 1 on."""


def check_log(files: Sequence[Path]) -> CheckedLog:
    """Check a log, whose files are given in their order, also against this machine's ledger.

    Raises:
        CorruptError: a line was changed, removed or added; or the ledger names one that is absent.
        StorageError: a file cannot be read.
    """
    start = _read_start(files[0])
    hashes: dict[bytes, str] = {}
    previous = start
    for path in files:
        with translate_errors(path), path.open("rb") as file:
            for head, at in check_lines(_read_lines(file, path), previous):
                hashes[head] = at
                previous = head
    times = list(hashes.values())
    recorded = []
    for number, head, at in _list_recorded(start):
        if head not in hashes:
            raise CorruptError(
                f"The ledger's entry {number} of {at} names a line that is not in {files[-1]}.",
                "Lines were cut off, or a file of the log is absent: give all of them, in order.",
            )
        recorded.append(number)
    ends = (times[0], times[-1]) if times else ("", "")
    return CheckedLog(start, previous, len(hashes), *ends, tuple(recorded))


def record_log(log: CheckedLog) -> int:
    """Put the end of a log into the ledger of this machine's site; return the entry's number.

    Raises:
        PolicyError, StorageError: it cannot be recorded.
        ConfigurationError: this machine trusts nobody.
    """
    documents = {"log": log.start, "requests": log.head}
    record = EventRecord("logged", documents=documents, note=f"{log.lines:,} lines")
    return record_event(require_root().value.site, "importing", record, Silent())


def _list_recorded(start: bytes) -> Iterator[tuple[int, bytes, str]]:
    """Yield number, head and time of each entry that names a log."""
    if pinned_root.load_root() is None:
        return
    for number, entry in enumerate(history.read_entries(require_root().value.site), 1):
        if entry.event == "logged" and entry.documents.get("log") == start:
            yield number, entry.documents["requests"], format_time(entry.at)


def _read_start(path: Path) -> bytes:
    with translate_errors(path), path.open("rb") as file:
        line = file.readline(LINE_BYTES)
    if not line:
        raise CorruptError(f"{path} is empty.", "Give the log that `serve mirror` writes.")
    return read_previous(line)


def _read_lines(file: BinaryIO, path: Path) -> Iterator[bytes]:
    while line := file.readline(LINE_BYTES):
        if not line.endswith(b"\n") and len(line) < LINE_BYTES:
            raise CorruptError(
                f"The last line of {path} is cut off.", "Give the log as the mirror wrote it."
            )
        yield line


def _read_head(file: BinaryIO) -> bytes | None:
    """Return the hash of the last line; a line that a killed server left torn is removed."""
    size = file.seek(0, os.SEEK_END)
    begin = max(size - 2 * LINE_BYTES, 0)
    file.seek(begin)
    data = file.read(size - begin)
    whole = data.rpartition(b"\n")[0]
    os.ftruncate(file.fileno(), begin + len(whole) + (1 if b"\n" in data else 0))
    if not whole:
        return None
    line = whole.rpartition(b"\n")[2] + b"\n"
    ((head, _),) = check_lines([line])
    return head
