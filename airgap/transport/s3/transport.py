"""Object stores that speak S3, over ``obstore``; docs/adr says why, and what it cannot do.

An object appears whole or not at all, so there is no temporary name, and no resuming but of parts
within one ``put``: a part that breaks off is sent again, and after that the pack is. Every body
is signed with its SHA-256, which the server checks.
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
_PART_BYTES: Final = 8 * _BLOCK_BYTES  # a server's least is 5; one connection holds two of them
_CONCURRENT_PARTS: Final = 2
_PART_RETRIES: Final = 5  # times: what a cut costs is a part, not the pack
_LEAST_BYTES_PER_SECOND: Final = 64 * 1024  # bytes per second, below which an upload is given up
_CONDITION_UNKNOWN: Final = ("NotImplemented", "NotSupported")


class S3Transport:
    """A depot in a bucket."""

    def __init__(self, options: S3Options) -> None:
        """Name the bucket; nothing is sent yet.

        Raises:
            ConfigurationError: obstore is not installed, or the CA cannot be read.
        """
        client.require_library()
        self.place = options.place
        self.capabilities = Capabilities(
            resumes_uploads=False,
            replaces_atomically=True,
            creates_exclusively=options.conditional,
        )
        self._options = options
        self._asked = False
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
                raise self._meaning(error, "look at", name) from None
        with self._told("look at", name):  # the answer to HEAD has no room for the reason
            return int(self._client("read").get(key, options={"range": (0, 1)}).meta["size"])

    def list(self, folder: str, limit: int) -> list[str]:
        """Return the names in a folder; see ``Transport``.

        Page by page: after each, what is left of the last name's own folder is skipped.
        """
        top = "/".join(filter(None, (self._options.prefix, names.check_folder_name(folder))))
        found: set[str] = set()
        after = ""
        while True:
            with self._told("list", folder):
                page = s3_listing.fetch_page(
                    self._client("read"), top, after, self._options.timeout
                )
            known = len(found)
            found.update(s3_listing.extract_names(page, top))
            if len(found) > limit:
                raise CorruptError(
                    f"{self.place}/{folder} holds more than {limit:,} names.",
                    "Remove what is not a bundle's.",
                )
            if len(page) < s3_listing.PAGE_KEYS:
                return sorted(found)
            if len(found) == known:
                raise TransportError(
                    f"{self.place}/{folder} is listed without an end.",
                    "Check the endpoint: this is no answer of S3.",
                )
            after = s3_listing.skip_folder(page[-1], top)

    def get(self, name: str, sink: Sink, offset: int = 0, length: int | None = None) -> int:
        """Send an object's bytes to the sink; see ``Transport``."""
        key = self._key(name)
        if length == 0:
            return 0
        with self._told("read", name):
            try:
                answer = self._ask(key, offset, length)
            except Exception as error:
                if s3_errors.parse_status(error) == s3_errors.PAST_THE_END:
                    return 0
                raise
            begin, end = answer.range
            stream = answer.stream(min_chunk_size=1)  # what came goes on at once
        sent = 0
        while (piece := self._next(stream, name)) is not None:
            if sent + len(piece) > end - begin:
                raise TransportError(
                    f"{self.place} sends more of {name} than it says.", "Check the endpoint."
                )
            sink(piece)
            sent += len(piece)
        if sent < end - begin:
            raise TransientError(f"{self.place} ended {name} early.", "Run the same command again.")
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

        The parts of an upload that fails are removed; those of one that is killed stay, invisible.
        """
        names.check_name(part or name)
        if self.size(name) == size:
            return "there"
        blocks = _read_blocks(source, size, pace)
        with self._told("write", name):
            if size <= _PART_BYTES:
                self._client("write").put(self._key(name), b"".join(blocks), use_multipart=False)
            else:
                self._client("parts").put(
                    self._key(name),
                    blocks,
                    chunk_size=_PART_BYTES,
                    max_concurrency=_CONCURRENT_PARTS,
                )
        self._demand(name, size)
        return "stored"

    def publish(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """Write a small object, whole or not at all; see ``Transport``.

        A server that knows no conditions is asked first, which others can do at the same time.
        """
        if replace:
            self._write(name, data)
            return True
        if self.size(name) is not None or not self._create(name, data):
            return False
        if self.capabilities.creates_exclusively and not self._asked:
            self._asked = True  # the same bytes once more: who takes them knows no conditions
            self._set_exclusive(exclusive=not self._create(name, data))
        return True

    def delete(self, name: str) -> None:
        """Remove an object; see ``Transport``."""
        key = self._key(name)
        with self._told("delete", name):
            try:
                self._client("write").delete(key)
            except FileNotFoundError as error:
                if s3_errors.parse_code(error) == "NoSuchBucket":
                    raise

    def clone(self) -> "S3Transport":
        """Return another of the same bucket."""
        other = S3Transport(self._options)
        other.capabilities, other._asked = self.capabilities, self._asked
        return other

    def close(self) -> None:
        """Let go of the connections."""
        self._clients.clear()

    def _client(self, use: _Use) -> "ObjectStore":
        """Return connections for one use; they are opened when they are needed.

        Those to read from are given up when nothing comes for a while. Silence is usual for those
        to write to: there it counts how long a whole part takes.
        """
        if use not in self._clients:
            longest = self._options.timeout + _PART_BYTES / _LEAST_BYTES_PER_SECOND
            self._clients[use] = client.make_client(
                self._options,
                longest=None if use == "read" else longest,
                again=_PART_RETRIES if use == "parts" else 0,
            )
        return self._clients[use]

    def _key(self, name: str) -> str:
        return "/".join(filter(None, (self._options.prefix, names.check_name(name))))

    def _ask(self, key: str, offset: int, length: int | None) -> "GetResult":
        if length is not None:
            return self._client("read").get(key, options={"range": (offset, offset + length)})
        if offset:
            return self._client("read").get(key, options={"range": {"offset": offset}})
        return self._client("read").get(key)

    def _next(self, stream: "BytesStream", name: str) -> memoryview | None:
        with self._told("read", name):
            piece = next(stream, None)
        return None if piece is None else memoryview(piece)

    def _create(self, name: str, data: bytes) -> bool:
        """Write an object unless it is there; return whether it was written."""
        from obstore.exceptions import AlreadyExistsError, BaseError

        if not self.capabilities.creates_exclusively:
            self._write(name, data)
            return True
        try:
            self._client("write").put(self._key(name), data, mode="create")
        except AlreadyExistsError:
            if self.size(name) is not None:
                return False
            raise TransientError(  # 409: another's upload was under way, and did not end well
                f"{self.place}/{name} was written by somebody else.", "Run the same command again."
            ) from None
        except (BaseError, FileNotFoundError) as error:
            if s3_errors.parse_code(error) not in _CONDITION_UNKNOWN:
                raise self._meaning(error, "write", name) from None
            self._set_exclusive(exclusive=False)
            self._write(name, data)
        return True

    def _write(self, name: str, data: bytes) -> None:
        with self._told("write", name):
            self._client("write").put(self._key(name), data, use_multipart=False)
        self._demand(name, len(data))

    def _set_exclusive(self, *, exclusive: bool) -> None:
        self.capabilities = replace(self.capabilities, creates_exclusively=exclusive)

    def _demand(self, name: str, size: int) -> None:
        """Look whether what was answered with "done" is there."""
        if self.size(name) != size:
            raise TransientError(
                f"{self.place} took {name}, and does not have it.", "Run the same command again."
            )

    @contextmanager
    def _told(self, verb: str, name: str) -> Iterator[None]:
        """Turn the library's errors into ours; without a cause, which would repeat the answer."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            raise self._meaning(error, verb, name) from None

    def _meaning(self, error: Exception, verb: str, name: str) -> Exception:
        return s3_errors.explain(error, verb, self._options, name)


def _read_blocks(source: Path, size: int, pace: Pace | None) -> Iterator[bytes]:
    """Read a file of exactly ``size`` bytes in blocks, each told before it is sent."""
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
