"""The requests of S3 that a depot needs (docs/adr/0029).

Nothing but the one server is connected to, no redirect is followed, and every response except the
body of an object has a limit in bytes and in time.
"""

import base64
import hashlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Final, TypeVar
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from airgap.errors import AirgapError, ConfigurationError, TransportError
from airgap.times import format_time
from airgap.transport.content_range import parse_content_range
from airgap.transport.http import HttpConnection, Response, Route
from airgap.transport.least_speed import LeastSpeed
from airgap.transport.object_lock import LockSettings, ObjectRetention
from airgap.transport.port import TransientError
from airgap.transport.proxy import name_ignored_variable
from airgap.transport.s3 import answers, lock_answers
from airgap.transport.s3.bucket import (
    PAGE_KEYS,
    Body,
    Head,
    ListedVersions,
    Page,
    ResponseError,
    choose_part_bytes,
)
from airgap.transport.s3.errors import is_busy
from airgap.transport.s3.options import S3Options
from airgap.transport.s3.parts import PartSender
from airgap.transport.s3.signature import encode_path, encode_query, hash_body, sign
from airgap.transport.tls import explain_client_alert, make_client_context

__all__ = ["S3Client", "make_tls"]

_ERROR_BYTES: Final = 64 * 1024
_LISTING_BYTES: Final = 8 * 1024 * 1024  # 1,000 keys of 1,024 bytes, escaped, with all attributes
_CONCURRENT_PARTS: Final = 2
_TRIES: Final = 6  # then an interruption costs a part, not the whole object
_STORING_BYTES_PER_SECOND: Final = 64 * 1024  # of a server that was sent everything
_INSPECTION: Final = " If the proxy opens TLS to inspect it, have this host exempted."
_EMPTY: Final = hashlib.sha256().hexdigest()
_PORTS: Final = {"https": 443, "http": 80}
_NOT_LOCKED: Final = ("ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration")
_OK, _PARTIAL, _MULTIPLE_CHOICES, _SERVER_ERROR = 200, 206, 300, 500
T = TypeVar("T")


class S3Client:
    """Fills ``Bucket`` for one thread, over one connection, and two more for large uploads."""

    def __init__(
        self,
        options: S3Options,
        tls: ssl.SSLContext | None,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        """Take the options; nothing is sent yet.

        ``wait`` pauses before a part is sent again, until the event is set.
        """
        url = urlsplit(options.endpoint_url)
        usual = _PORTS[url.scheme]
        self._options = options
        self._tls = tls
        self._wait = wait
        self._address = url.hostname or "", url.port or usual
        self._host = url.netloc.removesuffix(f":{usual}")
        self._connection = self._make_connection()
        self._part_connections: list[HttpConnection] = []

    def head(self, key: str, version: str = "") -> Head:
        """Return what the server says of an object; see ``Bucket``."""
        response = self._send(_Request("HEAD", key, _name_version(version)))
        self._read(response, 0)
        try:
            retention = lock_answers.parse_retention_headers(response.header)
        except ValueError:
            raise self._not_s3() from None
        if response.size is None:
            raise self._not_s3()
        held = response.header("x-amz-object-lock-legal-hold") == "ON"
        return Head(response.size, retention, held)

    def list_page(self, prefix: str, after: str, token: str) -> Page:
        """Return keys; see ``Bucket``."""
        query = {
            "list-type": "2",
            "max-keys": str(PAGE_KEYS),
            "prefix": prefix,
            "start-after": "" if token else after,
            "continuation-token": token,
        }
        query = {name: text for name, text in query.items() if text}
        response = self._send(_Request("GET", query=query))
        try:
            return answers.parse_listing(self._read(response, _LISTING_BYTES))
        except ValueError:
            raise self._not_s3() from None

    def get(self, key: str, offset: int, length: int | None, version: str = "") -> Body:
        """Return an object's bytes; see ``Bucket``."""
        ranged = bool(offset) or length is not None
        last = "" if length is None else offset + length - 1
        headers = {"range": f"bytes={offset}-{last}"} if ranged else {}
        response = self._send(_Request("GET", key, _name_version(version), headers))
        try:
            size, total = (
                _check_range(response, offset, length) if ranged else _check_whole(response)
            )
        except ValueError:
            self._connection.close()
            raise self._not_s3() from None
        return Body(size, total, response.read_pieces(size, LeastSpeed(self._options.url)))

    def put(
        self,
        key: str,
        data: bytes,
        *,
        create: bool = False,
        retention: ObjectRetention | None = None,
    ) -> None:
        """Store an object; see ``Bucket``."""
        headers = {"if-none-match": "*"} if create else {}
        headers |= _lock_headers(retention) | self._checksum_headers(data)
        self._read(self._send(_Request("PUT", key, headers=headers, body=data)))

    def put_parts(
        self, key: str, blocks: Iterable[bytes], size: int, retention: ObjectRetention | None = None
    ) -> None:
        """Store a large object; see ``Bucket``."""
        headers = _lock_headers(retention)
        if self._options.stores_checksums:
            headers["x-amz-checksum-algorithm"] = "SHA256"
        response = self._send(_Request("POST", key, {"uploads": ""}, headers))
        try:
            upload = answers.parse_upload_id(self._read(response))
        except ValueError:
            raise self._not_s3() from None
        try:
            parts = self._send_parts(key, upload, _join_blocks(blocks, choose_part_bytes(size)))
            self._complete(_MultipartUpload(key, upload, size), parts)
        except BaseException:
            self._connection.close()  # it may have been idle for so long that it is dead
            with suppress(AirgapError, ResponseError, OSError):
                removal = _Request("DELETE", key, {"uploadId": upload})
                self._read(self._send(removal))
            raise

    def delete(self, key: str, version: str = "") -> None:
        """Remove an object, or one version of it; see ``Bucket``."""
        self._read(self._send(_Request("DELETE", key, _name_version(version))))

    def read_lock_settings(self) -> LockSettings:
        """Return how the bucket is set up; see ``Bucket``."""
        try:
            body = self._read(self._send(_Request("GET", query={"object-lock": ""})))
            enabled, default = lock_answers.parse_lock_settings(body)
        except ResponseError as error:
            if error.code not in _NOT_LOCKED:
                raise
            enabled, default = False, None
        except ValueError:
            raise self._not_s3() from None
        try:
            body = self._read(self._send(_Request("GET", query={"versioning": ""})))
            return LockSettings(enabled, lock_answers.parse_versioning(body), default)
        except ValueError:
            raise self._not_s3() from None

    def list_versions(self, prefix: str, cursor: tuple[str, str] | None) -> ListedVersions:
        """Return versions; see ``Bucket``."""
        key, version = cursor or ("", "")
        query = {
            "max-keys": str(PAGE_KEYS),
            "prefix": prefix,
            "key-marker": key,
            "version-id-marker": version,
        }
        query = {"versions": "", **{name: text for name, text in query.items() if text}}
        response = self._send(_Request("GET", query=query))
        try:
            return lock_answers.parse_versions(self._read(response, _LISTING_BYTES))
        except ValueError:
            raise self._not_s3() from None

    def get_retention(self, key: str, version: str) -> ObjectRetention | None:
        """Return the lock of a version; see ``Bucket``."""
        query = {"retention": "", **_name_version(version)}
        try:
            return lock_answers.parse_retention(self._read(self._send(_Request("GET", key, query))))
        except ResponseError as error:
            if error.code not in _NOT_LOCKED:
                raise
            return None
        except ValueError:
            raise self._not_s3() from None

    def put_retention(self, key: str, retention: ObjectRetention) -> None:
        """Set the lock of an object's latest version; see ``Bucket``."""
        body = lock_answers.encode_retention(retention)
        headers = self._checksum_headers(body, is_demanded=True)
        self._read(self._send(_Request("PUT", key, {"retention": ""}, headers, body)))

    def close(self) -> None:
        """Close the connections; see ``Bucket``."""
        for connection in (self._connection, *self._part_connections):
            connection.close()

    def _checksum_headers(self, data: bytes, *, is_demanded: bool = False) -> dict[str, str]:
        """Return the checksum to be stored, or where that is not wanted, what a lock demands."""
        if self._options.stores_checksums:
            return {"x-amz-checksum-sha256": _checksum(data)}
        if self._options.lock is None and not is_demanded:
            return {}
        digest = hashlib.md5(data, usedforsecurity=False).digest()  # of the interface, not for us
        return {"content-md5": base64.b64encode(digest).decode()}

    def _make_connection(self) -> HttpConnection:
        options = self._options
        route = Route(self._address, self._tls, options.proxy)
        return HttpConnection(route, options.endpoint_url, options.timeout)

    def _send_parts(self, key: str, upload: str, parts: Iterable[bytes]) -> list[str]:
        """Send all parts, and return what completes the upload: an XML element for each."""

        def send(
            connection: HttpConnection, number: int, part: bytes, stopped: threading.Event
        ) -> str:
            query = {"partNumber": str(number), "uploadId": upload}
            return self._send_part(connection, _Request("PUT", key, query, body=part), stopped)

        while len(self._part_connections) < _CONCURRENT_PARTS:
            self._part_connections.append(self._make_connection())
        sender = PartSender(send, self._part_connections)
        try:
            for number, part in enumerate(parts, 1):
                sender.submit(number, part)
            elements = sender.finish()
        except BaseException:
            sender.stop()
            self._part_connections.clear()  # a thread may still use one
            raise
        # A firewall may have forgotten the connection that was idle while parts were sent.
        idle, self._connection = self._connection, self._part_connections.pop()
        idle.close()
        return elements

    def _send_part(
        self, connection: HttpConnection, request: "_Request", stopped: threading.Event
    ) -> str:
        """Send a part, again if the connection breaks; return its element in the list of parts."""
        headers = self._checksum_headers(request.body)
        checksum = headers.get("x-amz-checksum-sha256", "")
        request = replace(request, headers=headers)
        tag = self._try(lambda: self._send_once(request, connection), stopped)
        more = f"<ChecksumSHA256>{checksum}</ChecksumSHA256>" if checksum else ""
        number = request.query["partNumber"]
        return f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(tag)}</ETag>{more}</Part>"

    def _try(self, attempt: Callable[[], T], stopped: threading.Event) -> T:
        """Attempt a request until it succeeds, a few times.

        Raises:
            InterruptedError: ``stopped`` was set.
        """
        for number in count(1):
            if stopped.is_set():
                break
            try:
                return attempt()
            except (TransientError, ResponseError) as error:
                if number == _TRIES or not _may_succeed(error):
                    raise
            self._wait(stopped, 0.1 * 2**number)
        raise InterruptedError

    def _send_once(self, request: "_Request", connection: HttpConnection) -> str:
        response = self._send(request, connection)
        self._read(response)
        return response.header("etag")

    def _complete(self, upload: "_MultipartUpload", parts: Iterable[str]) -> None:
        """Make an object of the parts.

        A try that broke may have made it all the same: then the upload no longer exists.
        """
        text = f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>"
        request = _Request("POST", upload.key, {"uploadId": upload.id}, body=text.encode())
        broke = False

        def attempt() -> None:
            nonlocal broke
            try:
                self._complete_once(request)
            except (TransientError, ResponseError) as error:
                missing = isinstance(error, ResponseError) and error.code == "NoSuchUpload"
                if missing and broke and self._holds(upload.key, upload.size):
                    return
                broke = broke or _may_succeed(error)
                raise

        self._try(attempt, threading.Event())

    def _complete_once(self, request: "_Request") -> None:
        """Send the request. An error may come with status 200, after a long wait."""
        if code := answers.parse_code(self._read(self._send(request))):
            raise ResponseError(_SERVER_ERROR, code)

    def _holds(self, key: str, size: int) -> bool:
        try:
            return self.head(key).size == size
        except ResponseError:
            return False

    def _send(self, request: "_Request", connection: HttpConnection | None = None) -> Response:
        """Send a request, and return the response if it is a success.

        Raises:
            ResponseError: it is not.
        """
        connection = connection or self._connection
        size = len(request.body)
        path, search = self._path(request.key), encode_query(request.query)
        seconds = self._options.timeout + size / _STORING_BYTES_PER_SECOND
        with self._explaining():
            response = connection.request(
                request.method,
                f"{path}?{search}" if search else path,
                self._make_headers(request, path, search),
                request.body,
                seconds,
            )
        if not _OK <= response.status < _MULTIPLE_CHOICES:
            raise _read_error(response)
        return response

    def _read(self, response: Response, limit: int = _ERROR_BYTES) -> bytes:
        try:
            return response.read_small(limit)
        except ValueError:
            raise self._not_s3() from None

    def _path(self, key: str) -> str:
        bucket = "" if self._options.virtual_hosted else f"/{self._options.bucket}"
        return encode_path(f"{bucket}/{key}" if key else bucket or "/")

    def _make_headers(self, request: "_Request", path: str, search: str) -> dict[str, str]:
        keys, region = self._options.keys, self._options.region
        headers = {
            "host": self._host,
            "user-agent": "airgap",
            "x-amz-content-sha256": _hash_request(request),
            **request.headers,
        }
        if keys is not None:
            headers = sign(keys, region, (request.method, path, search), headers, datetime.now(UTC))
        if request.method in ("PUT", "POST"):
            headers["content-length"] = str(len(request.body))
        return headers

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Translate what can go wrong before the server has received anything."""
        server = self._options.endpoint_url
        try:
            yield
        except socket.gaierror:
            raise TransientError(
                f"The host of {server} cannot be resolved.",
                "Check the endpoint, and DNS." + name_ignored_variable(os.environ),
            ) from None
        except ssl.SSLCertVerificationError as error:
            raise TransportError(
                f"{server} has no certificate that is trusted for this host name"
                f" ({error.verify_message.rstrip('.')}).",
                "Give the CA's certificate as a PEM file, and the host name of the certificate."
                + (_INSPECTION if self._options.proxy else ""),
            ) from None
        except ssl.SSLError as error:
            if refusal := explain_client_alert(error, server):
                raise refusal from None
            reason = (error.reason or "closed by the server").replace("_", " ").lower()
            raise TransportError(
                f"{server} does not speak TLS as is required ({reason}).",
                "Check the endpoint and its port; the server needs TLS 1.2 or newer.",
            ) from None
        except OSError as error:
            reason = "timed out" if isinstance(error, TimeoutError) else error.strerror or "broke"
            raise TransientError(
                f"The connection to {server} cannot be opened ({reason}).",
                "Check the endpoint and the network, then run the same command again."
                + ("" if self._options.proxy else name_ignored_variable(os.environ)),
            ) from None

    def _not_s3(self) -> TransportError:
        return TransportError(
            f"{self._options.endpoint_url} does not answer as an S3 server.",
            "Check the endpoint and its port.",
        )


@dataclass(frozen=True, slots=True)
class _Request:
    """A request about an object, or about the bucket if the key is empty."""

    method: str
    key: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """With names in lower case."""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class _MultipartUpload:
    """An upload in parts that has begun."""

    key: str
    id: str
    size: int
    """The bytes of all parts together."""


def make_tls(options: S3Options) -> ssl.SSLContext | None:
    """Return how to encrypt connections to the server; None for ``http://``.

    Raises:
        ConfigurationError: the CA file, or the client's certificate, is missing or invalid.
    """
    if options.unencrypted:
        return None
    try:
        return make_client_context(options.ca_file, options.client)
    except ValueError as error:
        raise ConfigurationError(
            f"The CA file {options.ca_file} contains no certificate in PEM form.",
            "Convert it: openssl x509 -in FILE -inform DER -out FILE.pem",
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"The CA file {options.ca_file} cannot be read ({error.strerror}).", "Check its path."
        ) from error


def _may_succeed(error: TransientError | ResponseError) -> bool:
    """Return whether the same request may succeed if it is sent again."""
    return isinstance(error, TransientError) or is_busy(error.status)


def _read_error(response: Response) -> ResponseError:
    """Read the code of an error. The rest, which may be endless, is not read."""
    try:
        body = response.read_small(_ERROR_BYTES)
    except (ValueError, TransientError):
        body = b""
    return ResponseError(response.status, answers.parse_code(body))


def _check_whole(response: Response) -> tuple[int, int]:
    """Return the size of a body that is a whole object, twice. Raises ValueError if it is not."""
    if response.size is None or response.encoded or response.status != _OK:
        raise ValueError("not a whole object")
    return response.size, response.size


def _check_range(response: Response, offset: int, length: int | None) -> tuple[int, int]:
    """Return the size of the range that was requested, and of the object; raises ValueError."""
    begin, end, total = parse_content_range(response.header("content-range"))
    size = end - begin
    if response.status != _PARTIAL or response.encoded or (begin, response.size) != (offset, size):
        raise ValueError("another range")
    if length is not None and size > length:
        raise ValueError("a longer range")
    return size, total


def _name_version(version: str) -> dict[str, str]:
    return {"versionId": version} if version else {}


def _lock_headers(retention: ObjectRetention | None) -> dict[str, str]:
    if retention is None:
        return {}
    return {
        "x-amz-object-lock-mode": retention.mode,
        "x-amz-object-lock-retain-until-date": format_time(retention.until),
    }


def _hash_request(request: _Request) -> str:
    """Return the SHA-256 of the body, in hexadecimal digits; its checksum is the same number."""
    checksum = request.headers.get("x-amz-checksum-sha256")
    if checksum is not None:
        return base64.b64decode(checksum).hex()
    return hash_body(request.body) if request.body else _EMPTY


def _checksum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _join_blocks(blocks: Iterable[bytes], part_bytes: int) -> Iterator[bytes]:
    """Join blocks to parts of ``part_bytes``; the last one is shorter, perhaps."""
    part: list[bytes] = []
    for block in blocks:
        part.append(block)
        if sum(map(len, part)) >= part_bytes:
            yield b"".join(part)
            part.clear()
    if part:
        yield b"".join(part)
