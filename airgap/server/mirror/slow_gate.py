"""Breaks connections of clients that take no more, or send no more, so that others are answered."""

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SlowGate"]

STALL_SECONDS: Final = 60.0
"""For so long a client may take nothing of an answer, or send nothing of a request's body."""


class SlowGate:
    """Limits how long one message from or to a client takes."""

    def __init__(self, app: ASGIApp, seconds: float = STALL_SECONDS) -> None:
        """Take the application behind it."""
        self._app, self._seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; the connection ends if it stalls."""
        is_whole = False

        async def receive_in_time() -> Message:
            nonlocal is_whole
            if is_whole:  # what comes next is the end of the connection, whenever that is
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self._seconds)
            except TimeoutError:
                return {"type": "http.disconnect"}
            is_whole = not message.get("more_body", False)
            return message

        async def send_in_time(message: Message) -> None:
            await asyncio.wait_for(send(message), self._seconds)

        try:
            await self._app(scope, receive_in_time, send_in_time)
        except TimeoutError:
            return  # before the end of the answer: that breaks the connection
