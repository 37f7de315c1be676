"""Google's and Azure's stores, over the library obstore (docs/adr/0029).

The library provides neither status nor code of an error: both are parsed from its message. It
follows redirects, so every host but the vendor's own is sent through a proxy where nobody listens.
It reads a page of a listing, and the body of an error, whole into memory: these two vendors are
trusted not to send too much at once.
"""

import os
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal

from airgap.disk.named_files import TEXT_BYTES, read_named
from airgap.errors import AirgapError, ConfigurationError, TransportError
from airgap.format import limits
from airgap.transport.least_speed import LeastSpeed
from airgap.transport.port import TransientError
from airgap.transport.s3.bucket import (
    PAGE_KEYS,
    PART_BYTES,
    Body,
    Page,
    ResponseError,
    choose_part_bytes,
)
from airgap.transport.s3.options import S3Options

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

__all__ = ["VendorClient"]

_Use = Literal["ask", "read", "write", "parts"]
_FOREVER: Final = timedelta(days=365)
_CONNECT_SECONDS: Final = 20.0
_PART_RETRIES: Final = 5
_CONCURRENT_PARTS: Final = 2
_LEAST_BYTES_PER_SECOND: Final = 8 * 1024  # the library does not say how an upload advances
_DEAD_PROXY: Final = "127.0.0.1:0"
_METADATA: Final = "169.254.169.254"
_GOOGLE: Final = (
    "storage.googleapis.com",
    "oauth2.googleapis.com",
    "www.googleapis.com",
    "metadata.google.internal",
    _METADATA,
)
_ACCOUNT: Final = "AZURE_STORAGE_ACCOUNT_NAME"
_ACCOUNT_NAME: Final = re.compile(r"[a-z0-9]{3,24}")
_STATUS: Final = re.compile(r"\bstatus: ([1-5][0-9]{2})\b|status code: ([1-5][0-9]{2})\b")
_CODE: Final = re.compile(r"<Code>([A-Za-z][A-Za-z0-9]{0,39})</Code>")
_REDIRECTED: Final = re.compile(rf"{_DEAD_PROXY}|BareRedirect|following redirect|BadScheme")
_UNTRUSTED: Final = re.compile(r"InvalidCertificate\(|AlertReceived\(|InvalidMessage\(")


class VendorClient:
    """Fills ``Bucket``. Keys and account come from the variables of the vendor's own tools."""

    def __init__(self, options: S3Options) -> None:
        """Take the options; nothing is sent yet.

        Raises:
            ConfigurationError: obstore is not installed, or Azure's account is not named.
        """
        try:
            import obstore  # noqa: F401  (an optional extra)
        except ImportError as error:
            raise ConfigurationError(
                f"{options.scheme}:// needs the package obstore, which is not installed.",
                "Run: pip install 'bento-airgap[cloud]'",
            ) from error
        self._options = options
        self._hosts = _find_hosts(options)
        self._stores: dict[tuple[_Use, int], ObjectStore] = {}
        self._keys: Iterator[str] = iter(())

    def size(self, key: str) -> int:
        """Return the size of an object; see ``Bucket``."""
        with self._translating():
            return int(self._store("ask").head(key)["size"])

    def list_page(self, prefix: str, after: str, token: str) -> Page:
        """Return keys; see ``Bucket``."""
        del token  # the library keeps it to itself
        if not after:
            self._keys = self._receive_keys(prefix)
        return Page(tuple(islice(self._skip_keys(after), PAGE_KEYS)))

    def get(self, key: str, offset: int, length: int | None) -> Body:
        """Return an object's bytes; see ``Bucket``."""
        store = self._store("read")
        with self._translating():
            if length is not None:
                response = store.get(key, options={"range": (offset, offset + length)})
            elif offset:
                response = store.get(key, options={"range": {"offset": offset}})
            else:
                response = store.get(key)
            begin, end = response.range
            stream = response.stream(min_chunk_size=1)  # pass on what has arrived at once
        size = end - begin
        return Body(size, int(response.meta["size"]), self._read(iter(stream), size))

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        """Store an object; see ``Bucket``."""
        with self._translating():
            if create:
                self._store("write").put(key, data, mode="create")
            else:
                self._store("write").put(key, data, use_multipart=False)

    def put_parts(self, key: str, blocks: Iterable[bytes], size: int) -> None:
        """Store a large object; see ``Bucket``."""
        part_bytes = choose_part_bytes(size)
        with self._translating():
            self._store("parts", part_bytes).put(
                key, iter(blocks), chunk_size=part_bytes, max_concurrency=_CONCURRENT_PARTS
            )

    def delete(self, key: str) -> None:
        """Remove an object; see ``Bucket``."""
        with self._translating():
            self._store("write").delete(key)

    def close(self) -> None:
        """Close the connections; see ``Bucket``."""
        self._stores.clear()

    def _receive_keys(self, prefix: str) -> Iterator[str]:
        """Yield all keys of a prefix, from one listing.

        The library would pass over the keys before an offset by itself, however many arrive.
        """
        with self._translating():
            stream = self._store("ask").list(prefix.rstrip("/") or None, chunk_size=PAGE_KEYS)
            pages = iter(stream)
        while True:
            with self._translating():
                page = next(pages, None)
            if page is None:
                return
            yield from (str(entry["path"]) for entry in page)

    def _skip_keys(self, after: str) -> Iterator[str]:
        """Yield the keys that follow ``after``; those before it are received and counted too."""
        skipped = 0
        for key in self._keys:
            if key > after:
                yield key
                continue
            skipped += 1
            if skipped > limits.FOLDER_NAMES:
                raise TransportError(
                    f"The listing of {self._options.url} does not end: more than"
                    f" {limits.FOLDER_NAMES:,} names below {after.rpartition('/')[0]}.",
                    "Remove files that do not belong to a bundle.",
                )

    def _read(self, stream: "Iterator[object]", size: int) -> Generator[memoryview]:
        speed, left = LeastSpeed(self._options.url), size
        while True:
            with self._translating(), speed.waiting():
                piece = next(stream, None)
            if piece is None:
                break
            view = memoryview(piece)  # type: ignore[arg-type]  # it has the buffer protocol
            left -= len(view)
            if left < 0:
                raise TransportError(
                    f"{self._options.url} sent more than it announced.", "Check the options."
                )
            speed.count(len(view))
            yield view
        if left:
            raise TransientError(
                f"{self._options.url} ended an object early.", "Run the same command again."
            )

    def _store(self, use: _Use, part_bytes: int = PART_BYTES) -> "ObjectStore":
        """Return the library's object for one use; its connections open when they are needed.

        Reading is given up when nothing arrives for a while. While writing silence is usual: there
        the time for a whole part is limited.
        """
        if (use, part_bytes) not in self._stores:
            seconds: float | None = self._options.timeout
            if use == "read":
                seconds = None
            elif use != "ask":
                seconds = self._options.timeout + part_bytes / _LEAST_BYTES_PER_SECOND
            retries = _PART_RETRIES if use == "parts" else 0
            self._stores[use, part_bytes] = self._open(seconds, retries)
        return self._stores[use, part_bytes]

    def _open(self, seconds: float | None, retries: int) -> "ObjectStore":
        from obstore.exceptions import BaseError
        from obstore.store import AzureStore, GCSStore

        options = self._options
        config = _make_client_config(options, seconds, self._hosts)
        retry: RetryConfig = {
            "max_retries": retries,
            "retry_timeout": timedelta(seconds=seconds or options.timeout),
        }
        try:
            if options.scheme == "gs":
                return GCSStore(options.bucket, client_options=config, retry_config=retry)
            return AzureStore(options.bucket, client_options=config, retry_config=retry)
        except (BaseError, ValueError):
            raise ConfigurationError(
                f"{options.url} cannot be opened with these options.",
                "Check the CA's PEM file and the environment.",
            ) from None

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Translate the library's errors, without a cause that repeats the server's response."""
        from obstore.exceptions import AlreadyExistsError, BaseError

        try:
            yield
        except AlreadyExistsError:
            raise ResponseError(412, "PreconditionFailed") from None
        except FileNotFoundError as error:
            raise ResponseError(404, _parse_code(str(error))) from None
        except BaseError as error:
            text = str(error)
            match = _STATUS.search(text)
            if match:
                raise ResponseError(int(match[1] or match[2]), _parse_code(text)) from None
            raise _explain_no_answer(text, self._options.url) from None


def _find_hosts(options: S3Options) -> tuple[str, ...]:
    """Return the only hosts that may be connected to."""
    if options.scheme == "gs":
        return _GOOGLE
    account = os.environ.get(_ACCOUNT, "")
    if not _ACCOUNT_NAME.fullmatch(account):
        raise ConfigurationError(
            f"{_ACCOUNT} does not name an account of Azure's storage.",
            "Set it, together with a key: the variables that Azure's tools use.",
        )
    return (f"{account}.blob.core.windows.net", "login.microsoftonline.com", _METADATA)


def _make_client_config(
    options: S3Options, seconds: float | None, hosts: tuple[str, ...]
) -> "ClientConfig":
    """Configure connections; without ``seconds`` only silence is limited."""
    config: ClientConfig = {
        "allow_http": False,
        "allow_invalid_certificates": False,
        "connect_timeout": timedelta(seconds=min(options.timeout, _CONNECT_SECONDS)),
        "timeout": _FOREVER if seconds is None else timedelta(seconds=seconds),
        "user_agent": "airgap",
        "proxy_url": f"http://{_DEAD_PROXY}",
        "proxy_excludes": ",".join(hosts),
    }
    if seconds is None:
        config["read_timeout"] = timedelta(seconds=options.timeout)
    if options.ca_file is not None:
        try:
            config["root_certificate"] = read_named(options.ca_file, TEXT_BYTES)
        except OSError as error:
            raise ConfigurationError(
                f"The CA file {options.ca_file} cannot be read ({error.strerror}).",
                "Check its path.",
            ) from error
    return config


def _parse_code(text: str) -> str:
    match = _CODE.search(text)
    return match[1] if match else ""


def _explain_no_answer(text: str, url: str) -> AirgapError:
    """Translate an error without a status: a refusal by the client, or a broken connection."""
    if _REDIRECTED.search(text):
        return TransportError(
            f"{url} redirects to another address, which is not followed.",
            "Check the account and the bucket.",
        )
    if _UNTRUSTED.search(text):
        return TransportError(
            f"{url} has no certificate that is trusted for its host name.",
            "Check the network: something between here and the store may read everything.",
        )
    if "HttpError" in text or "Http(" in text or "timed out" in text or '"dns error"' in text:
        return TransientError(
            f"The connection to {url} broke or stalled.",
            "Check the network, then run the same command again.",
        )
    return TransportError(
        f"{url} does not answer as an object store.", "Check the account and the bucket."
    )
