"""Object stores that speak S3, over ``obstore`` (docs/adr/0015).

An object appears whole or not at all, so uploads need no temporary name, and only the parts within
one ``put`` can be resumed: an interrupted part is sent again, and after that the whole pack. Every
body is signed with its SHA-256, which the server checks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from airgap.disk.os_errors import translate_errors
from airgap.errors import CorruptError, StorageError, TransportError
from airgap.transport import names
from airgap.transport.port import Capabilities, Pace, Sink, Stored, TransientError
from airgap.transport.s3 import client
from airgap.transport.s3 import errors as s3_errors
from airgap.transport.s3 import listing as s3_listing
from airgap.transport.s3.options import S3Options

if TYPE_CHECKING:
    from obstore import BytesStream, GetResult
    from obstore.store import ObjectStore

__all__ = ["S3Transport"]

_Use = Literal["read", "write", "parts"]
_BLOCK_BYTES: Final = 1024 * 1024
_PART_BYTES: Final = 8 * _BLOCK_BYTES  # servers demand at least 5 MiB; a connection holds two parts
_CONCURRENT_PARTS: Final = 2
_PART_RETRIES: Final = 5  # then an interruption costs a part, not the whole pack
_LEAST_BYTES_PER_SECOND: Final = 64 * 1024  # below this rate an upload is given up
_CONDITION_UNKNOWN: Final = ("NotImplemented", "NotSupported")


class S3Transport:
    """Files below a prefix of one bucket."""

    def __init__(self, options: S3Options) -> None:
        """Take the bucket's options; nothing is sent yet.

        Raises:
            ConfigurationError: obstore is not installed, or the CA cannot be read.
        """
        client.require_library()
        self.location = options.url
        self.capabilities = Capabilities(
            resumes_uploads=False,
            replaces_atomically=True,
            creates_exclusively=options.conditional,
        )
        self._options = options
        self._probed = False
        self._clients: dict[_Use, ObjectStore] = {}

    def size(self, name: str) -> int | None:
        """Return an object's size, or None; see ``Transport``."""
        from obstore.exceptions import BaseError

        key = self._key(name)
        try:
            return int(self._client("read").head(key)["size"])
        except FileNotFoundError:
            return None
        except BaseError as error:
            if s3_errors.parse_status(error) not in s3_errors.FORBIDDEN:
                raise self._explain(error, "look at", name) from None
        with self._translate_errors(
            "look at", name
        ):  # a response to HEAD cannot contain the reason
            return int(self._client("read").get(key, options={"range": (0, 1)}).meta["size"])

    def list(self, folder: str, limit: int) -> list[str]:
        """Return the listed in a folder; see ``Transport``.

        Page by page: after each, the rest of the last name's own folder is skipped.
        """
        top = "/".join(filter(None, (self._options.prefix, names.check_folder_name(folder))))
        listed: set[str] = set()
        after = ""
        while True:
            with self._translate_errors("list", folder):
                page = s3_listing.fetch_page(
                    self._client("read"), top, after, self._options.timeout
                )
            before = len(listed)
            listed.update(s3_listing.extract_names(page, top))
            if len(listed) > limit:
                raise CorruptError(
                    f"{self.location}/{folder} holds more than {limit:,} listed.",
                    "Remove files that do not belong to a bundle.",
                )
            if len(page) < s3_listing.PAGE_KEYS:
                return sorted(listed)
            if len(listed) == before:
                raise TransportError(
                    f"The listing of {self.location}/{folder} does not end.",
                    "Check the endpoint: S3 does not respond like this.",
                )
            after = s3_listing.skip_folder(page[-1], top)

    def get(self, name: str, sink: Sink, offset: int = 0, length: int | None = None) -> int:
        """Send an object's bytes to the sink; see ``Transport``."""
        key = self._key(name)
        if length == 0:
            return 0
        with self._translate_errors("read", name):
            try:
                response = self._request(key, offset, length)
            except Exception as error:
                if s3_errors.parse_status(error) == s3_errors.PAST_THE_END:
                    return 0
                raise
            begin, end = response.range
            stream = response.stream(min_chunk_size=1)  # pass on what has arrived at once
        sent = 0
        while (piece := self._next_piece(stream, name)) is not None:
            if sent + len(piece) > end - begin:
                raise TransportError(
                    f"{self.location} sent more of {name} than it announced.", "Check the endpoint."
                )
            sink(piece)
            sent += len(piece)
        if sent < end - begin:
            raise TransientError(
                f"{self.location} ended {name} early.", "Run the same command again."
            )
        return sent

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
        blocks = _read_blocks(source, size, pace)
        with self._translate_errors("write", name):
            if size <= _PART_BYTES:
                self._client("write").put(self._key(name), b"".join(blocks), use_multipart=False)
            else:
                self._client("parts").put(
                    self._key(name),
                    blocks,
                    chunk_size=_PART_BYTES,
                    max_concurrency=_CONCURRENT_PARTS,
                )
        self._check_stored(name, size)
        return "stored"

    def publish(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """Write a small object, whole or not at all; see ``Transport``.

        On a server without conditional writes airgap looks first, so that two writers can collide.
        """
        if replace:
            self._write(name, data)
            return True
        if self.size(name) is not None or not self._create(name, data):
            return False
        if self.capabilities.creates_exclusively and not self._probed:
            self._probed = True  # repeat it: a server that accepts ignores conditions
            self._set_exclusive(exclusive=not self._create(name, data))
        return True

    def delete(self, name: str) -> None:
        """Remove an object; see ``Transport``."""
        key = self._key(name)
        with self._translate_errors("delete", name):
            try:
                self._client("write").delete(key)
            except FileNotFoundError as error:
                if s3_errors.parse_code(error) == "NoSuchBucket":
                    raise

    def clone(self) -> "S3Transport":
        """Return another of the same location."""
        other = S3Transport(self._options)
        other.capabilities, other._probed = self.capabilities, self._probed
        return other

    def close(self) -> None:
        """Close the connections."""
        self._clients.clear()

    def _client(self, use: _Use) -> "ObjectStore":
        """Return the client for one use; its connections open when they are needed.

        Reading is given up when nothing arrives for a while. While writing silence is usual: there
        the time for a whole part is limited.
        """
        if use not in self._clients:
            request_seconds = self._options.timeout + _PART_BYTES / _LEAST_BYTES_PER_SECOND
            self._clients[use] = client.make_client(
                self._options,
                request_seconds=None if use == "read" else request_seconds,
                retries=_PART_RETRIES if use == "parts" else 0,
            )
        return self._clients[use]

    def _key(self, name: str) -> str:
        return "/".join(filter(None, (self._options.prefix, names.check_name(name))))

    def _request(self, key: str, offset: int, length: int | None) -> "GetResult":
        if length is not None:
            return self._client("read").get(key, options={"range": (offset, offset + length)})
        if offset:
            return self._client("read").get(key, options={"range": {"offset": offset}})
        return self._client("read").get(key)

    def _next_piece(self, stream: "BytesStream", name: str) -> memoryview | None:
        with self._translate_errors("read", name):
            piece = next(stream, None)
        return None if piece is None else memoryview(piece)

    def _create(self, name: str, data: bytes) -> bool:
        """Write an object unless it exists; return whether it was written."""
        from obstore.exceptions import AlreadyExistsError, BaseError

        if not self.capabilities.creates_exclusively:
            self._write(name, data)
            return True
        try:
            self._client("write").put(self._key(name), data, mode="create")
        except AlreadyExistsError:
            if self.size(name) is not None:
                return False
            raise TransientError(  # 409: another client's upload was in progress, and failed
                f"{self.location}/{name} is being written by another client.",
                "Run the same command again.",
            ) from None
        except (BaseError, FileNotFoundError) as error:
            if s3_errors.parse_code(error) not in _CONDITION_UNKNOWN:
                raise self._explain(error, "write", name) from None
            self._set_exclusive(exclusive=False)
            self._write(name, data)
        return True

    def _write(self, name: str, data: bytes) -> None:
        with self._translate_errors("write", name):
            self._client("write").put(self._key(name), data, use_multipart=False)
        self._check_stored(name, len(data))

    def _set_exclusive(self, *, exclusive: bool) -> None:
        self.capabilities = replace(self.capabilities, creates_exclusively=exclusive)

    def _check_stored(self, name: str, size: int) -> None:
        """Check that an object has arrived after the server confirmed it."""
        if self.size(name) != size:
            raise TransientError(
                f"{self.location} confirmed {name}, but does not have it.",
                "Run the same command again.",
            )

    @contextmanager
    def _translate_errors(self, verb: str, name: str) -> Iterator[None]:
        """Translate the library's errors, without a cause that repeats the server's response."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            raise self._explain(error, verb, name) from None

    def _explain(self, error: Exception, verb: str, name: str) -> Exception:
        return s3_errors.explain(error, verb, self._options, name)


def _read_blocks(source: Path, size: int, pace: Pace | None) -> Iterator[bytes]:
    """Read a file of exactly ``size`` bytes in blocks; ``pace`` is called before each."""
    with translate_errors(source):
        file = source.open("rb", buffering=0)
    with file:
        left = size
        while left:
            with translate_errors(source):
                block = file.read(min(left, _BLOCK_BYTES))
            if not block:
                break
            if pace is not None:
                pace(len(block))
            left -= len(block)
            yield block
        if left or file.read(1):
            raise StorageError(
                f"{source} changed while it was copied.", "Run the same command again."
            )
