"""What was read before, and what it was: digests of files that need not be read again.

An entry is for one file as it was, by device, inode, size and times. It is advice to the user who
read the file, on the machine where it lies, and proves nothing to others. So the cache is used only
where nobody else can write it; each entry has its own checksum; and whatever is wrong with the file
that holds them, there is no cache then.
"""

import hashlib
import os
import sqlite3
import stat
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Final, Literal

from airgap.disk import durable, sharing
from airgap.disk.digests import digest_file
from airgap.disk.file_state import Disks, FileState
from airgap.errors import AirgapError
from airgap.format import limits
from airgap.state.state_folder import own_folder, state_folder

__all__ = ["NO_CACHE", "DigestCache", "EntryKind", "find_cache_file", "open_cache"]

EntryKind = Literal["file", "pack", "stored", "digest", "clock"]
"""Of a file: its chunks. Of a sequence of chunks: its pack. Of a stored pack, or of an installed
file: its SHA-256."""

_SCHEMA: Final = 1
_NAME: Final = "digests.sqlite"
_MOST_BYTES: Final = 256 * limits.MIB
_MOST_ENTRY_BYTES: Final = 32 * limits.MIB
_WAIT_SECONDS: Final = 1.0
"""For another process that writes, which takes milliseconds."""
_YOUNG: Final = 60 * 10**9
"""In ns: what a program that maps a file can change without a trace is written before that."""
_DAY: Final = 86_400 * 10**9
_CHECK_BYTES: Final = 16
_TIME: Final = struct.Struct("<q")
_CLOCK: Final = b"latest"
_DAMAGE: Final = (sqlite3.Error, struct.error, TypeError, ValueError)
"""What reading a damaged file may raise: a text that is not UTF-8, a number for bytes."""
_NOT_PRIVATE: Final = stat.S_IRWXG | stat.S_IRWXO
_WRITABLE: Final = stat.S_IWGRP | stat.S_IWOTH


class DigestCache:
    """Entries by kind and key. Threads may use it at once, and so may processes.

    It reads from its file, and writes only when it is saved.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        rereads: bool = False,
        clock: Callable[[], int] = time.time_ns,
        disks: Disks | None = None,
    ) -> None:
        """Take the file; without one, nothing is kept. ``clock`` returns ns since 1970.

        If all is to be read again (``rereads``), nothing is in it, but all is kept.
        """
        self.clock = clock
        self._path = path
        self._rereads = rereads
        self._disks = disks or Disks()
        self._new: dict[tuple[EntryKind, bytes], bytes] = {}
        self._used: set[tuple[EntryKind, bytes]] = set()
        self._lock = Lock()
        self._opened_at = clock()
        self._connection = self._open() if path else None

    @property
    def is_usable(self) -> bool:
        """Whether anything is kept."""
        return self._path is not None

    def load(self, kind: EntryKind, key: bytes) -> bytes | None:
        """Return an entry; None if there is none, or none that is whole."""
        if self._rereads:
            return None
        with self._lock:
            if (kind, key) in self._new:
                return self._new[kind, key]
            row = self._select(kind, key)
        if row is None or row[1] != _checksum(kind, key, row[0]):
            return None
        self._used.add((kind, key))
        return bytes(row[0])

    def add(self, kind: EntryKind, key: bytes, value: bytes) -> None:
        """Keep an entry; ``save`` writes it."""
        if self.is_usable and len(value) <= _MOST_ENTRY_BYTES:
            with self._lock:
                self._new[kind, key] = value

    def load_for(self, kind: EntryKind, file: str | Path, state: FileState) -> bytes | None:
        """Return the entry for a file as it is now; None if it may have changed since."""
        if not self.is_usable or not self._disks.keeps_times(file, state):
            return None
        key, current = _split(state)
        value = self.load(kind, key)
        if value is None or value[: len(current)] != current:
            return None
        return value[len(current) :]

    def add_for(
        self, kind: EntryKind, file: str | Path, state: FileState, since: int, value: bytes
    ) -> None:
        """Keep an entry for a file whose content was read after ``since``, in ns since 1970.

        It is not kept if the file could change without a trace, because it is younger than the
        clock's grain, or not on a disk that stays here.
        """
        if self.is_usable and state.is_settled(since) and self._disks.keeps_times(file, state):
            key, current = _split(state)
            self.add(kind, key, current + value)

    def digest(self, file: Path) -> bytes:
        """Return the SHA-256 of a file; it is read only if it may have changed since it was.

        Raises:
            OSError: it cannot be read, or is not a file.
        """
        state, now = FileState.of(file.stat()), self.clock()
        digest = self.load_for("digest", file, state)
        if digest is None:
            digest = digest_file(file)
            if state.changed + _YOUNG < now and FileState.of(file.stat()) == state:
                self.add_for("digest", file, state, now, digest)
        return digest

    def save(self) -> None:
        """Write what is new, unless the disk refuses or another process writes for long.

        A file that is damaged, of another schema, or from the future is replaced: a clock that was
        set back gives files times that they had before.
        """
        with self._lock:
            new, self._new = self._new, {}
            now = self.clock()
            if not new or self._path is None or now < self._opened_at:
                return
            if sum(map(len, new.values())) > _MOST_BYTES:
                return
            with suppress(OSError, *_DAMAGE):
                if self._connection is None and _prepare(self._path):
                    self._connection = _connect(self._path, now) or _make_anew(self._path, now)
                if self._connection is not None:
                    _write(self._connection, new, self._used, now)

    def close(self) -> None:
        """Close the file; may be called twice. What was not saved is gone."""
        with self._lock:
            connection, self._connection, self._path = self._connection, None, None
            if connection is not None:
                with suppress(*_DAMAGE):
                    connection.close()

    def _open(self) -> sqlite3.Connection | None:
        """Open the file if it is there, and nobody else can write it."""
        with suppress(OSError):
            if self._path is not None and _is_private(self._path):
                return _connect(self._path, self._opened_at)
        return None

    def _select(self, kind: EntryKind, key: bytes) -> tuple[bytes, bytes] | None:
        """Return value and checksum. A damaged file has nothing from then on."""
        if self._connection is None:
            return None
        try:
            row: tuple[object, object] | None = self._connection.execute(
                "SELECT value, checksum FROM entries WHERE kind = ? AND key = ?", (kind, key)
            ).fetchone()
        except sqlite3.OperationalError:  # another process writes for long
            return None
        except _DAMAGE:
            self._connection.close()
            self._connection = None
            return None
        if row is None or not (isinstance(row[0], bytes) and isinstance(row[1], bytes)):
            return None
        return row[0], row[1]


NO_CACHE: Final = DigestCache()
"""Has nothing, and keeps nothing."""


def find_cache_file() -> Path | None:
    """Return where this user's cache is; None if this user has no folder of their own.

    Where a group shares the state folder, it is in ``~/.airgap``: what one operator writes there
    must not decide what another one signs.

    Raises:
        ConfigurationError: as ``state_folder``.
    """
    folder: Path | None = state_folder()
    if folder is not None and folder.exists() and not _is_own(folder, _WRITABLE):
        folder = own_folder()
    return folder / "cache" / _NAME if folder else None


@contextmanager
def open_cache(*, rereads: bool = False) -> Iterator[DigestCache]:
    """Open this user's cache. Nothing is raised: without one, more is read.

    With ``rereads``, what is in it is not used, and what is read takes its place.
    """
    path: Path | None = None
    with suppress(OSError, AirgapError):
        path = find_cache_file()
    cache = DigestCache(path, rereads=rereads)
    try:
        yield cache
    finally:
        cache.close()


def _prepare(path: Path) -> bool:
    """Make the file if it is not there; tell whether nobody else can write it. Raises OSError."""
    sharing.make_own_folder(path.parent)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        durable.sync_folder(path.parent)
    return _is_private(path)


def _is_private(path: Path) -> bool:
    """Tell whether nobody else can write a file, or put another in its place. Raises OSError."""
    if path.is_symlink() or not path.is_file() or path.stat().st_nlink != 1:
        return False
    folders = (path.parent, path.parent.parent)
    return _is_own(path, _NOT_PRIVATE) and all(_is_own(folder, _WRITABLE) for folder in folders)


def _is_own(path: Path, bits: int) -> bool:
    """Tell whether a file is this user's, and has none of these permission bits. Raises OSError."""
    status = path.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & bits


def _connect(path: Path, now: int) -> sqlite3.Connection | None:
    """Open the file; None if it cannot be used any more. Raises OSError if it is in use."""
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(
            path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        if _is_current(connection) and _read_clock(connection) <= now:
            return connection
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise BlockingIOError from error  # it is whole: another process writes for long
    except _DAMAGE:
        pass
    if connection is not None:
        connection.close()
    return None


def _make_anew(path: Path, now: int) -> sqlite3.Connection | None:
    """Remove the file, and the journal of a write that was cut off. Raises OSError."""
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
    return _connect(path, now) if _prepare(path) else None


def _write(
    connection: sqlite3.Connection,
    new: dict[tuple[EntryKind, bytes], bytes],
    used: Iterable[tuple[EntryKind, bytes]],
    now: int,
) -> None:
    """Write entries in one transaction. Raises sqlite3.Error."""
    new["clock", _CLOCK] = _TIME.pack(now)
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        _make_room(connection, sum(map(len, new.values())))
        _mark_used(connection, used, now // _DAY)
        connection.executemany(
            "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)",
            (
                (kind, key, value, _checksum(kind, key, value), now // _DAY)
                for (kind, key), value in new.items()
            ),
        )


def _is_current(connection: sqlite3.Connection) -> bool:
    """Set up an empty file; tell whether it is of this schema. Raises sqlite3.Error."""
    connection.execute("PRAGMA trusted_schema = OFF")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    if version == 0 and pages == 0:
        connection.execute("PRAGMA auto_vacuum = FULL")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS entries (kind TEXT, key BLOB, value BLOB, checksum"
                " BLOB, day INTEGER, PRIMARY KEY (kind, key)) WITHOUT ROWID"
            )
            connection.execute(f"PRAGMA user_version = {_SCHEMA}")
        version = _SCHEMA
    return bool(version == _SCHEMA)


def _read_clock(connection: sqlite3.Connection) -> int:
    """Return when the cache was last written, in ns since 1970; 0: never. Raises sqlite3.Error."""
    row = connection.execute(
        "SELECT value, checksum FROM entries WHERE kind = 'clock' AND key = ?", (_CLOCK,)
    ).fetchone()
    if row is None:
        return 0
    if row[1] != _checksum("clock", _CLOCK, row[0]):
        raise sqlite3.DatabaseError
    (latest,) = _TIME.unpack(row[0])
    return int(latest)


def _make_room(connection: sqlite3.Connection, size: int) -> None:
    """Remove half of the entries, those that were not used for longest, if it grows too large."""
    (page,) = connection.execute("PRAGMA page_size").fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    if page * pages + size > _MOST_BYTES:
        (count,) = connection.execute("SELECT count(*) FROM entries").fetchone()
        connection.execute(
            "DELETE FROM entries WHERE (kind, key) IN"
            " (SELECT kind, key FROM entries ORDER BY day LIMIT ?)",
            (count // 2,),
        )


def _mark_used(
    connection: sqlite3.Connection, used: Iterable[tuple[EntryKind, bytes]], day: int
) -> None:
    connection.executemany(
        "UPDATE entries SET day = ? WHERE kind = ? AND key = ? AND day < ?",
        ((day, kind, key, day) for kind, key in used),
    )


def _split(state: FileState) -> tuple[bytes, bytes]:
    """Return by what a file is found, and what must be the same."""
    encoded = state.encode()
    return encoded[:16], encoded[16:]


def _checksum(kind: str, key: bytes, value: bytes) -> bytes:
    """Return what tells that an entry is whole, and lies where it belongs."""
    digest = hashlib.sha256(f"{_SCHEMA} {kind} {len(key)} ".encode())
    digest.update(key)
    digest.update(value)
    return digest.digest()[:_CHECK_BYTES]
