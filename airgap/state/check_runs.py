"""What a check of an archive has read so far, so that one that was killed goes on (format §36.4).

checks/<key>.run    a line of JSON, then 40 bytes for each pack that was read and found good

It belongs to one check, of the user who began it, and is removed at its end: no later check relies
on it. A file that another user could have written is refused, for it would say of packs that they
were read.
"""

import hashlib
import json
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from airgap.disk import locks, sharing
from airgap.disk.os_errors import translate_errors
from airgap.errors import ConflictError, StorageError
from airgap.state.state_folder import state_folder

__all__ = ["CheckRun", "RunStart"]

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HEADER: Final = re.compile(
    rb'\{"began":\d{1,12},"nonce":"[0-9a-f]{32}","seed":"[-._A-Za-z0-9]*"\}'
)
_HEADER_BYTES: Final = 256
_DIGEST_BYTES: Final = 32
_SEAL_BYTES: Final = 8
_RECORD_BYTES: Final = _DIGEST_BYTES + _SEAL_BYTES
_RECORDS_AT_ONCE: Final = 4096
_GOES_ON: Final = 30 * 86_400
"""In seconds: a check that began longer ago is begun again."""


@dataclass(frozen=True, slots=True)
class RunStart:
    """When a check began, in seconds since 1970, its seed, and 16 random bytes of its own."""

    began: int
    seed: str
    nonce: bytes

    def encode(self) -> bytes:
        """Return the first line of its file."""
        words = {"began": self.began, "nonce": self.nonce.hex(), "seed": self.seed}
        return json.dumps(words, separators=(",", ":"), sort_keys=True).encode() + b"\n"


class CheckRun:
    """A check that is under way; no other process makes the same one."""

    def __init__(self, path: Path, descriptor: int, start: RunStart, done: set[bytes]) -> None:
        """See ``begin``."""
        self.start = start
        self.done = done
        """The packs that were read and found good before."""
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def begin(cls, key: str, start: RunStart) -> Self:
        """Begin a check, or go on with the one of the same ``key`` (hex digits) that was killed.

        Raises:
            ConflictError: another process is making it.
            StorageError: the file cannot be written, or is another user's.
        """
        path = state_folder() / "checks" / f"{key}.run"
        with translate_errors(path):
            sharing.make_own_folder(path.parent)
            descriptor = os.open(path, _FLAGS, 0o600)
        try:
            with translate_errors(path):
                _demand_own(descriptor, path)
                _lock(descriptor, path)
                found = _read_start(descriptor)
                if found is None or not 0 <= start.began - found.began < _GOES_ON:
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, start.encode(), 0)
                    found = start
                return cls(path, descriptor, found, _read_done(descriptor, found))
        except BaseException:
            os.close(descriptor)
            raise

    def add(self, pack: bytes) -> None:
        """Note that a pack was read and found good.

        Raises:
            StorageError: the disk refused.
        """
        with translate_errors(self._path):
            os.write(self._descriptor, pack + _seal(self.start.nonce, pack))

    def close(self) -> None:
        """Leave the check: it can go on later. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def finish(self) -> None:
        """Forget the check, whose result is written."""
        with suppress(OSError):
            self._path.unlink()
        self.close()


def _demand_own(descriptor: int, path: Path) -> None:
    """Refuse a file that another user could have written.

    Raises:
        StorageError: it is one.
    """
    status = os.fstat(descriptor)
    others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    is_own = status.st_uid == os.geteuid() and status.st_nlink == 1 and not others
    if not (is_own and stat.S_ISREG(status.st_mode)):
        raise StorageError(
            f"{path} is not this user's own file (owner: uid {status.st_uid}, mode"
            f" {stat.S_IMODE(status.st_mode):o}): what it says was read may never have been.",
            "Remove it, and run the same command again.",
        )


def _lock(descriptor: int, path: Path) -> None:
    if not locks.try_lock(descriptor):
        raise ConflictError(
            f"Another process is making this check ({path}).",
            "Wait for its end, or give another --shard.",
        )


def _read_start(descriptor: int) -> RunStart | None:
    """Return the start of the check in a file; None if it has none."""
    line, newline, _ = os.pread(descriptor, _HEADER_BYTES, 0).partition(b"\n")
    if not newline or not _HEADER.fullmatch(line):
        return None
    words = json.loads(line)
    return RunStart(words["began"], words["seed"], bytes.fromhex(words["nonce"]))


def _read_done(descriptor: int, start: RunStart) -> set[bytes]:
    """Return the packs in a file, up to a record that is not whole, and cut off what follows."""
    done: set[bytes] = set()
    at = len(start.encode())
    while piece := os.pread(descriptor, _RECORDS_AT_ONCE * _RECORD_BYTES, at):
        for offset in range(0, len(piece), _RECORD_BYTES):
            record = piece[offset : offset + _RECORD_BYTES]
            pack = record[:_DIGEST_BYTES]
            if record[_DIGEST_BYTES:] != _seal(start.nonce, pack):
                os.ftruncate(descriptor, at + offset)
                os.lseek(descriptor, at + offset, os.SEEK_SET)
                return done
            done.add(pack)
        at += len(piece)
    os.lseek(descriptor, at, os.SEEK_SET)
    return done


def _seal(nonce: bytes, pack: bytes) -> bytes:
    """Return what tells a whole record from one that a crash cut off or filled with zeros."""
    return hashlib.sha256(nonce + pack).digest()[:_SEAL_BYTES]
