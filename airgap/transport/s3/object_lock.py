"""Locks and versions of the objects below a prefix of one bucket (format §37, docs/adr/0066)."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Final

from airgap.errors import ConfigurationError, MissingError, StorageError, TransportError
from airgap.times import format_time
from airgap.transport import names
from airgap.transport.object_lock import (
    LockMode,
    LockSettings,
    ObjectRetention,
    Version,
    VersionPage,
    iterate_versions,
)
from airgap.transport.s3 import errors as s3_errors
from airgap.transport.s3.bucket import Bucket, Head, ResponseError
from airgap.transport.s3.options import S3Options

__all__ = ["SLACK_SECONDS", "LockedWrites", "S3ObjectLock"]

SLACK_SECONDS: Final = 24 * 3600
"""A lock that ends so much earlier than it should is left as it is: the server's clock differs from
this machine's, and what is there already is not locked anew on each day."""

_DAY_SECONDS: Final = 24 * 3600
_MODES: Final[dict[str, LockMode]] = {"compliance": "COMPLIANCE", "governance": "GOVERNANCE"}


class LockedWrites:
    """What the options of a location demand of each object that is written; clones share it.

    The bucket is asked once, before the first object is written.
    """

    def __init__(self, options: S3Options, clock: Callable[[], float] = time.time) -> None:
        """Take the options; nothing is sent yet. ``clock`` gives seconds since 1970."""
        self._options = options
        self._clock = clock
        self._lock: tuple[LockMode, int] | None = None

    @property
    def is_demanded(self) -> bool:
        """Whether what is written must be locked."""
        return self._options.lock is not None

    def choose_retention(self, read_settings: Callable[[], LockSettings]) -> ObjectRetention | None:
        """Return how an object that is written now has to be locked; None if it need not be.

        Raises:
            ConfigurationError: the bucket cannot do that.
        """
        if not self.is_demanded:
            return None
        if self._lock is None:
            self._lock = _choose_lock(self._options, read_settings())
        mode, days = self._lock
        return ObjectRetention(mode, int(self._clock()) + days * _DAY_SECONDS)

    def choose_mode(self, read_settings: Callable[[], LockSettings]) -> LockMode:
        """Return the mode of the options, or else the bucket's. Raises ConfigurationError."""
        if self._options.lock in _MODES:
            return _MODES[self._options.lock]
        settings = read_settings()
        if not settings.enabled:
            raise _no_lock(self._options.url)
        return settings.default[0] if settings.default else "COMPLIANCE"

    def choose_header(self, retention: ObjectRetention | None) -> ObjectRetention | None:
        """Return the lock that a request itself must ask for; None where the bucket gives it."""
        return None if self._options.lock == "bucket" else retention

    def now(self) -> int:
        """Return the time, in seconds since 1970."""
        return int(self._clock())


def _choose_lock(options: S3Options, settings: LockSettings) -> tuple[LockMode, int]:
    if not settings.enabled or not settings.versioning:
        raise _no_lock(options.url)
    if options.lock in _MODES:
        return _MODES[options.lock], options.retain_days
    if settings.default is None:
        raise ConfigurationError(
            f"The bucket of {options.url} has object lock, but no default retention: what is"
            " written there can be deleted.",
            "Set its default retention, or say how long: lock=compliance with retain_days.",
        )
    return settings.default


def _no_lock(url: str) -> ConfigurationError:
    return ConfigurationError(
        f"The bucket of {url} has no object lock: everything in it can be deleted.",
        "Use a bucket that was made with object lock, or leave out the option lock.",
    )


class S3ObjectLock:
    """Fills ``ObjectLock`` over the connection of a transport."""

    def __init__(self, bucket: Bucket, options: S3Options, writes: LockedWrites) -> None:
        """Take what a transport has; nothing is sent yet."""
        self._bucket = bucket
        self._options = options
        self._writes = writes

    def read_settings(self) -> LockSettings:
        """Return how the bucket is set up; see ``ObjectLock``."""
        with self._explaining("read the settings of", ""):
            return self._bucket.read_lock_settings()

    def read_period(self) -> int | None:
        """Return for how long what is written is locked; see ``ObjectLock``."""
        retention = self._writes.choose_retention(self.read_settings)
        return None if retention is None else retention.until - self._writes.now()

    def list_versions(self, prefix: str, cursor: tuple[str, str] | None = None) -> VersionPage:
        """Return versions; see ``ObjectLock``."""
        top = f"{self._options.prefix}/" if self._options.prefix else ""
        with self._explaining("list the versions of", prefix):
            page = self._bucket.list_versions(top + prefix, cursor)
        return VersionPage(
            tuple(
                Version(
                    listed.key.removeprefix(top),
                    listed.id,
                    listed.is_latest,
                    listed.size,
                    listed.tag,
                    listed.modified,
                )
                for listed in page.versions
                if listed.key.startswith(top + prefix) and _is_name(listed.key.removeprefix(top))
            ),
            page.cursor,
        )

    def get_version(
        self, version: Version, sink: Callable[[memoryview], object], offset: int = 0
    ) -> int:
        """Send the bytes of a version to the sink; see ``ObjectLock``."""
        sent = 0
        if version.size is not None and offset >= version.size:
            return 0
        with self._explaining("read a version of", version.name):
            body = self._bucket.get(self._key(version.name), offset, None, version.id)
        with closing(body.pieces):
            for piece in body.pieces:
                sink(piece)
                sent += len(piece)
        return sent

    def read_retention(self, name: str, version: str = "") -> ObjectRetention | None:
        """Return until when a version is locked; see ``ObjectLock``."""
        head = self._read_head(name, version)
        return head.retention or self._get_retention(name, version)

    def retain(self, name: str, until: int, mode: LockMode | None = None) -> ObjectRetention:
        """Lock a file until at least then; see ``ObjectLock``."""
        found = self.read_retention(name)
        mode = mode or (found.mode if found else self._writes.choose_mode(self.read_settings))
        longer = _lengthen(found, ObjectRetention(mode, until))
        if longer == found:
            return found
        with self._explaining("lock", name):
            self._bucket.put_retention(self._key(name), longer)
        locked = self._get_retention(name)
        if locked is None or locked.until < longer.until:
            raise _not_locked(self._options.url, name, locked)
        return locked

    def remove(self, name: str) -> None:
        """Remove all versions of a name; see ``ObjectLock``."""
        versions = [one for one in iterate_versions(self, name) if one.name == name]
        for version in versions:
            if version.size is not None:
                self._refuse_locked(name, version)
        with self._explaining("delete a version of", name):
            for version in sorted(versions, key=lambda version: version.size is None):
                self._bucket.delete(self._key(name), version.id)  # markers last: they hide it

    def _refuse_locked(self, name: str, version: Version) -> None:
        head = self._read_head(name, version.id)
        retention = head.retention or self._get_retention(name, version.id)
        file = f"{self._options.url}/{name}"
        if head.held:
            raise StorageError(
                f"{file} is under a legal hold of the bucket, and cannot be deleted.",
                "Lift it with the account that set it.",
            )
        if retention and retention.until > self._writes.now():
            raise StorageError(
                f"{file} is locked until {format_time(retention.until)} ({retention.mode}), and"
                " cannot be deleted before.",
                "Delete it then.",
            )

    def _read_head(self, name: str, version: str) -> Head:
        with self._explaining("read the lock of", name):
            return self._bucket.head(self._key(name), version)

    def _get_retention(self, name: str, version: str = "") -> ObjectRetention | None:
        with self._explaining("read the lock of", name):
            return self._bucket.get_retention(self._key(name), version)

    def _key(self, name: str) -> str:
        return "/".join(filter(None, (self._options.prefix, names.check_name(name))))

    @contextmanager
    def _explaining(self, verb: str, name: str) -> Iterator[None]:
        try:
            yield
        except ResponseError as error:
            if error.status == s3_errors.HIDDEN:  # the latest version is a delete marker
                raise MissingError(
                    f"{self._options.url}/{name} is hidden by a delete marker.",
                    "Remove the marker by its version id: the file is still there.",
                ) from None
            raise s3_errors.explain(error, verb, self._options, name) from None


def _lengthen(current: ObjectRetention | None, wanted: ObjectRetention) -> ObjectRetention:
    """Return a retention that is neither shorter nor weaker than either."""
    if current is None:
        return wanted
    mode: LockMode = "COMPLIANCE" if "COMPLIANCE" in (current.mode, wanted.mode) else "GOVERNANCE"
    return ObjectRetention(mode, max(current.until, wanted.until))


def _not_locked(url: str, name: str, current: ObjectRetention | None) -> StorageError:
    """Make the error of a server that has confirmed a lock, and has none, or a shorter one."""
    end = f"only until {format_time(current.until)}" if current else "not at all"
    return StorageError(
        f"{url}/{name} was written, and the server locks it {end}.",
        "Do not rely on this server for an archive: it confirms locks that it does not keep.",
    )


def _is_name(name: str) -> bool:
    try:
        return bool(names.check_name(name))
    except TransportError:
        return False
