"""Files below a folder of a web server, over HTTPS (docs/adr/0071).

Any server that answers GET and HEAD and lists folders can be read; what it sends is proof of
nothing, as with every transport. Uploads are plain PUTs, which an interruption begins anew.
"""

import ssl
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from airgap.errors import CorruptError
from airgap.transport import names
from airgap.transport.content_range import parse_content_range
from airgap.transport.http import HttpConnection, Response, Route
from airgap.transport.https import explain_failures, load_tls
from airgap.transport.least_speed import LeastSpeed
from airgap.transport.port import Capabilities, Pace, Sink, Stored, TransientError
from airgap.transport.source_blocks import read_blocks
from airgap.transport.web.listing import parse_listing
from airgap.transport.web.options import WebOptions
from airgap.transport.web.refusals import MISSING, PAST_THE_END, Refusals

__all__ = ["WebTransport"]

_ERROR_BYTES: Final = 64 * 1024
_LISTING_BYTES: Final = 32 * 1024 * 1024  # of 100,000 names, with all that nginx says of each
_STORING_BYTES_PER_SECOND: Final = 64 * 1024  # of a server that was sent everything
_OK, _PARTIAL, _MULTIPLE_CHOICES, _EXISTS = 200, 206, 300, 412
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_PAGES: Final = (".html", ".htm")
_TLS_HINT: Final = "Check the host and its port; the server needs TLS 1.2 or newer."
_CA_HINT: Final = (
    "Give the certificate of its CA, or its own, to a named remote: airgap remote add NAME URL"
    " --option ca=FILE."
)


class WebTransport:
    """Files below a folder of one web server, over one connection."""

    object_lock: None = None
    capabilities = Capabilities(
        resumes_uploads=False, replaces_atomically=True, creates_exclusively=False
    )

    def __init__(self, options: WebOptions, tls: ssl.SSLContext | None = None) -> None:
        """Take the server; nothing is sent yet.

        Args:
            options: the server, the folder, the login.
            tls: the context of a transport with the same options.

        Raises:
            ConfigurationError: the CA file or the client's certificate is invalid.
        """
        self.location = options.url
        self._options = options
        self._refusals = Refusals(options)
        if options.encrypted and tls is None:
            tls = load_tls(options.ca_file, options.client)
        self._tls = tls
        route = Route(options.address, tls, options.proxy)
        self._connection = HttpConnection(route, options.url, options.timeout)

    def size(self, name: str) -> int | None:
        """Return a file's size, or None; see ``Transport``."""
        response = self._send("HEAD", names.check_name(name))
        self._drain(response)
        if response.status in MISSING:
            return None
        if response.status != _OK:
            raise self._refusals.explain(response, "read", name)
        return self._demand_size(response, name)

    def list(self, folder: str, limit: int) -> list[str]:
        """Return the names in a folder; see ``Transport``."""
        name = names.check_folder_name(folder)
        accept = {"accept": "application/json, text/html;q=0.5"}
        response = self._send("GET", f"{name}/" if name else "", accept)
        if response.status in MISSING:
            self._drain(response)
            return []
        if response.status != _OK:
            raise self._refusals.explain(response, "list", name)
        try:
            listed = parse_listing(response.read_small(_LISTING_BYTES), _media_type(response))
        except ValueError:
            self._connection.close()
            raise self._refusals.not_listing(name) from None
        if len(listed) > limit:
            raise CorruptError(
                f"{self.location}/{folder} holds more than {limit:,} names.",
                "Remove files that do not belong to a bundle.",
            )
        return listed

    def get(self, name: str, sink: Sink, offset: int = 0, length: int | None = None) -> int:
        """Send a file's bytes to the sink; see ``Transport``.

        Of a server that does not know ranges, the file is read from its beginning.
        """
        target = names.check_name(name)
        if length == 0:
            return 0
        end = None if length is None else offset + length
        headers = {}
        if offset or end is not None:
            headers["range"] = f"bytes={offset}-{'' if end is None else end - 1}"
        response = self._send("GET", target, headers)
        if response.status == PAST_THE_END:
            self._drain(response)
            return 0
        if response.status not in (_OK, _PARTIAL):
            self._drain(response)
            raise self._refusals.explain(response, "read", name)
        size = self._demand_size(response, name)
        if response.status == _PARTIAL:
            self._demand_range(response, name, offset, end)
            return self._receive(response, sink, 0, size)
        sent = self._receive(response, sink, offset, size if end is None else min(end, size))
        if end is not None and end < size:  # the rest would be taken for the next response
            self._connection.close()
        return sent

    def put(
        self,
        name: str,
        source: Path,
        size: int,
        part: str | None = None,
        pace: Pace | None = None,
    ) -> Stored:
        """Upload a file; see ``Transport``. The server has it whole, or not at all."""
        names.check_name(part or name)
        if self.size(name) == size:
            return "exists"
        with closing(read_blocks(source, size, pace)) as blocks:
            headers = {"content-length": str(size)}
            self._demand_success(self._send("PUT", name, headers, blocks, size), "write", name)
        if self.size(name) != size:
            raise TransientError(
                f"{self.location} confirmed {name}, but does not have it.",
                "Run the same command again.",
            )
        return "stored"

    def publish(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """Write a small file; see ``Transport``. A server may ignore that it must be new."""
        if not replace and self.size(name) is not None:
            return False
        headers = {"content-length": str(len(data))} | ({} if replace else {"if-none-match": "*"})
        response = self._send("PUT", names.check_name(name), headers, [data], len(data))
        if response.status == _EXISTS and not replace:
            self._drain(response)
            return False
        self._demand_success(response, "write", name)
        return True

    def delete(self, name: str) -> None:
        """Remove a file; see ``Transport``."""
        response = self._send("DELETE", names.check_name(name))
        if response.status in MISSING:
            self._drain(response)
        else:
            self._demand_success(response, "delete", name)

    def clone(self) -> "WebTransport":
        """Return another of the same location."""
        return WebTransport(self._options, self._tls)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _send(
        self,
        method: str,
        name: str,
        headers: Mapping[str, str] = _NO_HEADERS,
        body: Iterable[bytes] = (),
        size: int = 0,
    ) -> Response:
        """Send a request about a file or folder; ``size`` is that of the body in bytes."""
        options = self._options
        own = {"host": options.authority, "user-agent": "airgap", "accept-encoding": "identity"}
        if options.authorization:
            own["authorization"] = options.authorization
        path = "/".join(filter(None, (options.folder, name)))
        if not name and path:
            path += "/"
        seconds = options.timeout + size / _STORING_BYTES_PER_SECOND
        with explain_failures(self.location, _TLS_HINT, _CA_HINT):
            return self._connection.request(
                method, f"/{quote(path, safe='/-_.~')}", {**own, **headers}, body, seconds
            )

    def _receive(self, response: Response, sink: Sink, begin: int, end: int) -> int:
        """Pass on what lies between two positions of a body; return how many bytes it was."""
        position = 0
        with closing(response.read_pieces(end, LeastSpeed(self.location))) as pieces:
            for piece in pieces:
                skipped = min(max(begin - position, 0), len(piece))
                position += len(piece)
                if skipped < len(piece):
                    sink(piece[skipped:])
        return max(end - begin, 0)

    def _demand_success(self, response: Response, verb: str, name: str) -> None:
        self._drain(response)
        if not _OK <= response.status < _MULTIPLE_CHOICES:
            raise self._refusals.explain(response, verb, name)

    def _demand_size(self, response: Response, name: str) -> int:
        """Return the length of a body that is a file's bytes. Raises TransportError."""
        if _media_type(response) == "text/html" and not name.lower().endswith(_PAGES):
            problem = "is answered with a web page"
        elif response.header("content-encoding") not in ("", "identity"):
            problem = "is sent compressed, though it was asked for as it is"
        elif response.size is None or response.encoded:
            problem = "is sent without its length"
        else:
            return response.size
        self._connection.close()
        raise self._refusals.not_file(name, problem)

    def _demand_range(self, response: Response, name: str, offset: int, end: int | None) -> None:
        """Refuse another range than was asked for. Raises TransportError."""
        with suppress(ValueError):
            begin, stop, _ = parse_content_range(response.header("content-range"))
            is_asked = begin == offset and (end is None or stop <= end)
            if is_asked and response.size == stop - begin:
                return
        self._connection.close()
        raise self._refusals.not_file(name, "is answered with another range")

    def _drain(self, response: Response) -> None:
        """Read what nobody needs, so that the connection can be used again."""
        try:
            response.read_small(_ERROR_BYTES)
        except (ValueError, TransientError):
            self._connection.close()


def _media_type(response: Response) -> str:
    return response.header("content-type").partition(";")[0].strip().lower()
