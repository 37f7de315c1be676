"""Writes a line for each request into the log of a mirror (format §39)."""

import time
from collections.abc import Callable
from http import HTTPStatus

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airgap.errors import AirgapError
from airgap.flow.serving.request_log import RequestLog
from airgap.format.request_log import ServedRequest
from airgap.server.mirror.visitors import UPLOADS, VISITOR
from airgap.times import format_time

__all__ = ["RequestGate"]


class RequestGate:
    """Passes requests on, and notes how they ended; refuses all while nothing can be noted."""

    def __init__(
        self, app: ASGIApp, log: RequestLog, clock: Callable[[], float] = time.time
    ) -> None:
        """Take the application behind it; ``clock`` returns seconds since 1970."""
        self._app, self._log, self._clock = app, log, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._log.failure is not None:
            text = f"Requests cannot be logged. {self._log.failure.message}"
            await PlainTextResponse(text, HTTPStatus.SERVICE_UNAVAILABLE)(scope, receive, send)
            return
        visitor: dict[str, str] = {}
        status = sent = 0

        async def count(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            sent += len(message.get("body", b""))

        try:
            await self._app({**scope, VISITOR: visitor}, receive, count)
        finally:
            self._add(scope, visitor.get("who", ""), status, sent)

    def _add(self, scope: Scope, who: str, status: int, sent: int) -> None:
        client, path = scope.get("client"), scope["path"]
        if path.startswith(UPLOADS):
            path = f"{UPLOADS}-/{path.rpartition('/')[2]}"
        request = ServedRequest(
            format_time(int(self._clock())),
            who,
            client[0] if client else "",
            scope["method"],
            path,
            status,
            sent,
        )
        try:
            self._log.add(request)
        except AirgapError:
            return  # the next request is refused for this reason
