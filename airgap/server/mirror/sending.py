"""Sends content, whole or a range of it (RFC 9110 §13 and §14), and breaks off what is damaged."""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from airgap.errors import AirgapError

__all__ = ["Download", "Sendable", "parse_range"]

_PIECE: Final = 1024 * 1024
_RANGE: Final = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")
_OK, _PARTIAL, _NOT_MODIFIED, _NOT_SATISFIABLE = 200, 206, 304, 416


@dataclass(frozen=True, slots=True)
class Sendable:
    """What can be sent: its length in bytes, and ``read(start, stop)``.

    ``etag`` is without its quotes. ``note`` takes a line if what is read is damaged.
    """

    etag: str
    length: int
    read: Callable[[int, int], Iterator[bytes | memoryview]]
    note: Callable[[str], object]


class Download(Response):
    """An answer to GET or HEAD.

    Most clients compare no digest, but all compare the length. So if what is read is damaged, the
    connection is broken before the promised length is reached, and the client keeps nothing.
    """

    def __init__(
        self,
        content: Sendable,
        headers: Mapping[str, str] | None = None,
        media_type: str = "application/octet-stream",
    ) -> None:
        """Take what is sent; nothing is read before the answer begins."""
        super().__init__(None, headers=headers, media_type=media_type)
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        status, part = self._choose(Headers(scope=scope))
        self.headers["etag"] = f'"{self._content.etag}"'
        self.headers["accept-ranges"] = "bytes"
        self.headers["content-length"] = str(len(part))
        if status == _PARTIAL:
            span = f"{part.start}-{part.stop - 1}"
            self.headers["content-range"] = f"bytes {span}/{self._content.length}"
        elif status == _NOT_SATISFIABLE:
            self.headers["content-range"] = f"bytes */{self._content.length}"
        elif status == _NOT_MODIFIED:
            del self.headers["content-length"]
        await send({"type": "http.response.start", "status": status, "headers": self.raw_headers})
        if scope["method"] == "HEAD" or not part:
            await send({"type": "http.response.body", "body": b""})
        else:
            await self._stream(part, receive, send)

    def _choose(self, headers: Headers) -> tuple[int, range]:
        """Return the status, and the positions that are sent."""
        etag, whole = f'"{self._content.etag}"', range(self._content.length)
        remembered = {tag.strip() for tag in headers.get("if-none-match", "").split(",")}
        if remembered & {etag, "*"}:
            return _NOT_MODIFIED, range(0)
        if headers.get("if-range", etag) != etag:
            return _OK, whole
        part = parse_range(headers.get("range", ""), self._content.length)
        if part is None:
            return _OK, whole
        return (_PARTIAL if part else _NOT_SATISFIABLE), part

    async def _stream(self, part: range, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_wait_until_gone(receive))
        pieces = self._content.read(part.start, part.stop)
        try:
            while (piece := await run_in_threadpool(next, pieces, None)) is not None:
                for start in range(0, len(piece), _PIECE):
                    if gone.done():
                        return
                    data = bytes(piece[start : start + _PIECE])
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except AirgapError as error:  # to return before the end breaks the connection
            self._content.note(f"A download was broken off. {error.message}")
        finally:
            gone.cancel()


def parse_range(text: str, length: int) -> range | None:
    """Return the positions of a ``Range`` header within ``length`` bytes.

    None if it is not a single range of bytes, which then is ignored; empty if it is beyond the end.
    """
    match = _RANGE.fullmatch(text.strip())
    if match is None or match[1] == match[2] == "":
        return None
    if not match[1]:
        return range(max(length - int(match[2]), 0), length)
    start, stop = int(match[1]), min(int(match[2] or length) + 1, length)
    if match[2] and int(match[2]) < start:
        return None
    return range(start, stop) if start < stop else range(0)


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
