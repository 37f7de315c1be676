"""Object stores that speak S3 (docs/adr/0029).

An object appears whole or not at all, so uploads need no temporary name, and only the parts within
one ``put`` can be resumed: an interrupted part is sent again, and after that the whole pack. Every
body is signed with its SHA-256, which the server checks.
"""

import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from airgap.errors import AirgapError, CorruptError, TransportError
from airgap.transport import names
from airgap.transport.object_lock import ObjectRetention
from airgap.transport.port import Capabilities, Pace, Sink, Stored, TransientError
from airgap.transport.s3 import client
from airgap.transport.s3 import errors as s3_errors
from airgap.transport.s3 import listing as s3_listing
from airgap.transport.s3.bucket import PAGE_KEYS, PART_BYTES, Body, Bucket, Head, ResponseError
from airgap.transport.s3.object_lock import SLACK_SECONDS, LockedWrites, S3ObjectLock
from airgap.transport.s3.options import S3Options
from airgap.transport.source_blocks import read_blocks

__all__ = ["S3Transport"]

_EMPTY_PAGES: Final = 100
_CONDITION_UNKNOWN: Final = ("NotImplemented", "NotSupported")


class S3Transport:
    """Files below a prefix of one bucket."""

    def __init__(
        self,
        options: S3Options,
        tls: ssl.SSLContext | None = None,
        locked: LockedWrites | None = None,
    ) -> None:
        """Take the bucket's options; nothing is sent yet.

        Args:
            options: the server, the bucket, the account.
            tls: the context of a transport with the same options.
            locked: what its options demand of locks.

        Raises:
            ConfigurationError: the CA file is invalid.
        """
        self.location = options.url
        self.capabilities = Capabilities(
            resumes_uploads=False,
            replaces_atomically=True,
            creates_exclusively=options.conditional and options.lock is None,
        )
        self._options = options
        self._probed = False
        self._tls = tls or client.make_tls(options)
        self._bucket: Bucket = client.S3Client(options, self._tls)
        self._locked = locked or LockedWrites(options)

    @property
    def object_lock(self) -> S3ObjectLock:
        """Locks and versions, over the same connection; see ``Transport``."""
        return S3ObjectLock(self._bucket, self._options, self._locked)

    def size(self, name: str) -> int | None:
        """Return an object's size, or None; see ``Transport``."""
        head = self._look_at(name)
        return None if head is None else head.size

    def list(self, folder: str, limit: int) -> list[str]:
        """Return the names in a folder; see ``Transport``.

        Page by page: after each, the rest of the last name's own folder is skipped.
        """
        top = "/".join(filter(None, (self._options.prefix, names.check_folder_name(folder))))
        listed: set[str] = set()
        after, token, empty_pages = "", "", 0
        while True:
            with self._explaining("list", folder):
                page = self._bucket.list_page(f"{top}/" if top else "", after, token)
            before, token = len(listed), page.token
            listed.update(self._extract_names(page.keys, top))
            if len(listed) > limit:
                raise CorruptError(
                    f"{self.location}/{folder} holds more than {limit:,} names.",
                    "Remove files that do not belong to a bundle.",
                )
            if not page.token and len(page.keys) < PAGE_KEYS:
                return sorted(listed)
            empty_pages = 0 if page.keys else empty_pages + 1
            if page.keys:
                after, token = s3_listing.skip_folder(page.keys[-1], top), ""
            if empty_pages > _EMPTY_PAGES or (page.keys and len(listed) == before):
                raise TransportError(
                    f"The listing of {self.location}/{folder} does not end.",
                    "Check the endpoint: S3 does not respond like this.",
                )

    def get(self, name: str, sink: Sink, offset: int = 0, length: int | None = None) -> int:
        """Send an object's bytes to the sink; see ``Transport``."""
        key = self._key(name)
        if length == 0:
            return 0
        with self._explaining("read", name):
            try:
                body = self._bucket.get(key, offset, length)
            except ResponseError as error:
                if error.status == s3_errors.PAST_THE_END:
                    return 0
                raise
        return _pass_on(body, sink)

    def put(
        self,
        name: str,
        source: Path,
        size: int,
        part: str | None = None,
        pace: Pace | None = None,
    ) -> Stored:
        """Upload a file, in parts if it is large; see ``Transport``.

        The parts of a failed upload are removed; those of a killed process stay, invisible.
        """
        names.check_name(part or name)
        if self.size(name) == size:
            return "exists"
        retention = self._choose_retention()
        lock = self._locked.choose_header(retention)
        blocks = read_blocks(source, size, pace)
        with self._explaining("write", name):
            if size <= PART_BYTES:
                self._bucket.put(self._key(name), b"".join(blocks), retention=lock)
            else:
                self._bucket.put_parts(self._key(name), blocks, size, lock)
        self._check_stored(name, size, retention)
        return "stored"

    def publish(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """Write a small object, whole or not at all; see ``Transport``.

        On a server without conditional writes airgap looks first, so that two writers can collide.
        What is to be locked is not written again if the same bytes are there (format §37.3).
        """
        if replace:
            if not (self._locked.is_demanded and self._holds(name, data)):
                self._write(name, data)
            return True
        if self.size(name) is not None or not self._create(name, data):
            return False
        if self.capabilities.creates_exclusively and not self._probed:
            self._probed = True  # repeat it: a server that accepts ignores conditions
            self._set_exclusive(exclusive=not self._create(name, data))
        return True

    def delete(self, name: str) -> None:
        """Remove an object; see ``Transport``. A locked one is refused (format §37.5)."""
        key = self._key(name)
        if self._locked.is_demanded:
            self.object_lock.remove(name)
            return
        try:
            self._bucket.delete(key)
        except ResponseError as error:
            if error.status != s3_errors.NOT_FOUND or error.code == "NoSuchBucket":
                raise self._explain(error, "delete", name) from None

    def clone(self) -> "S3Transport":
        """Return another of the same location."""
        other = S3Transport(self._options, self._tls, self._locked)
        other.capabilities, other._probed = self.capabilities, self._probed
        return other

    def close(self) -> None:
        """Close the connections."""
        self._bucket.close()

    def _key(self, name: str) -> str:
        return "/".join(filter(None, (self._options.prefix, names.check_name(name))))

    def _extract_names(self, keys: tuple[str, ...], top: str) -> set[str]:
        try:
            return s3_listing.extract_names(keys, top)
        except ValueError:
            raise TransportError(
                f"{self.location} contains names that are not a depot's.",
                "Use a folder of its own for the depot.",
            ) from None

    def _look_at(self, name: str) -> Head | None:
        """Return what the server says of an object; None if there is none."""
        key = self._key(name)
        try:
            return self._bucket.head(key)
        except ResponseError as error:
            if error.status == s3_errors.NOT_FOUND:
                return None
            if error.status not in s3_errors.FORBIDDEN:
                raise self._explain(error, "look at", name) from None
        with self._explaining("look at", name):  # a response to HEAD cannot contain the reason
            body = self._bucket.get(key, 0, 1)
        _pass_on(body, lambda _: None)  # or the connection could not be used again
        return Head(body.total)

    def _choose_retention(self) -> ObjectRetention | None:
        """Return how what is written now has to be locked; the bucket is asked once."""
        return self._locked.choose_retention(self.object_lock.read_settings)

    def _create(self, name: str, data: bytes) -> bool:
        """Write an object unless it exists; return whether it was written."""
        sends_condition = self._locked.is_demanded and self._options.conditional
        if not (sends_condition or self.capabilities.creates_exclusively):
            self._write(name, data)
            return True
        retention = self._choose_retention()
        lock = self._locked.choose_header(retention)
        try:
            self._bucket.put(self._key(name), data, create=True, retention=lock)
        except ResponseError as error:
            if error.status in s3_errors.CONFLICTS:
                return self._find_winner(name)
            if error.code not in _CONDITION_UNKNOWN:
                raise self._explain(error, "write", name) from None
            self._set_exclusive(exclusive=False)
            self._write(name, data)
            return True
        if retention is not None:
            self._check_stored(name, len(data), retention)
        return True

    def _find_winner(self, name: str) -> bool:
        """Return False if another client has written the object."""
        if self.size(name) is not None:
            return False
        raise TransientError(  # 409: another client's upload was in progress, and failed
            f"{self.location}/{name} is being written by another client.",
            "Run the same command again.",
        )

    def _write(self, name: str, data: bytes) -> None:
        retention = self._choose_retention()
        lock = self._locked.choose_header(retention)
        with self._explaining("write", name):
            self._bucket.put(self._key(name), data, retention=lock)
        self._check_stored(name, len(data), retention)

    def _holds(self, name: str, data: bytes) -> bool:
        if self.size(name) != len(data):
            return False
        stored = bytearray()
        self.get(name, stored.extend, 0, len(data) + 1)
        return stored == data

    def _set_exclusive(self, *, exclusive: bool) -> None:
        self.capabilities = replace(self.capabilities, creates_exclusively=exclusive)

    def _check_stored(self, name: str, size: int, retention: ObjectRetention | None) -> None:
        """Check that an object has arrived, and is locked, after the server confirmed it."""
        head = self._look_at(name)
        if head is None or head.size != size:
            raise TransientError(
                f"{self.location} confirmed {name}, but does not have it.",
                "Run the same command again.",
            )
        if retention is not None and not _is_enough(head.retention, retention):
            # Ceph forgets the lock of an upload in parts; and who may not see locks sees none here
            self.object_lock.retain(name, retention.until, retention.mode)

    @contextmanager
    def _explaining(self, verb: str, name: str) -> Iterator[None]:
        try:
            yield
        except ResponseError as error:
            raise self._explain(error, verb, name) from None

    def _explain(self, error: ResponseError, verb: str, name: str) -> AirgapError:
        return s3_errors.explain(error, verb, self._options, name)


def _is_enough(current: ObjectRetention | None, wanted: ObjectRetention) -> bool:
    if current is None or current.until < wanted.until - SLACK_SECONDS:
        return False
    return current.mode in ("COMPLIANCE", wanted.mode)


def _pass_on(body: Body, sink: Sink) -> int:
    sent = 0
    with closing(body.pieces):
        for piece in body.pieces:
            sink(piece)
            sent += len(piece)
    return sent
