"""Lets requests pass that ask for this machine by a name of its own.

Without tokens, anything on this machine may ask, a browser too. A page of another site can let its
own name lead to the loopback, and would then read what the mirror answers: the browser takes it for
the page's own server. But it still sends that name.
"""

import ipaddress
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["HostGate"]

_NAMES: Final = frozenset({"localhost", "localhost.localdomain"})


class HostGate:
    """Refuses every other name with 421."""

    def __init__(self, app: ASGIApp) -> None:
        """Take the application behind it."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or _is_local(Headers(scope=scope).get("host", "")):
            await self._app(scope, receive, send)
            return
        text = (
            "A mirror without tokens answers to addresses of the loopback and localhost alone."
            " To use another name, give it --tokens."
        )
        await PlainTextResponse(text, HTTPStatus.MISDIRECTED_REQUEST)(scope, receive, send)


def _is_local(host: str) -> bool:
    """Tell whether a Host header names the loopback; one is missing only from old programs."""
    name = host.rpartition(":")[0] if host.rpartition("]")[2].count(":") == 1 else host
    if not host or name.lower().rstrip(".") in _NAMES:
        return True
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
