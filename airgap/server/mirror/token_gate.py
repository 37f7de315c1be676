"""Lets requests pass that have a token, if the mirror asks for one."""

import time
from http import HTTPStatus
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from airgap.server.mirror.console.routes import is_console
from airgap.server.mirror.tokens import TokenFile, find_secret

__all__ = ["TokenGate"]

_OPEN: Final = frozenset({"/-/health"})
_ASK: Final = {"WWW-Authenticate": 'Basic realm="airgap"'}


class TokenGate:
    """Asks for a token before anything is looked up, so that nobody learns what there is."""

    def __init__(self, app: ASGIApp, tokens: TokenFile) -> None:
        """Take the application behind it."""
        self._app, self._tokens = app, tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401."""
        is_open = scope["type"] != "http" or scope["path"] in _OPEN or is_console(scope["path"])
        if is_open or await self._may_pass(scope):
            await self._app(scope, receive, send)
            return
        text = "Give a token of this mirror: `airgap serve make-token`."
        await PlainTextResponse(text, HTTPStatus.UNAUTHORIZED, _ASK)(scope, receive, send)

    async def _may_pass(self, scope: Scope) -> bool:
        secret = find_secret(Headers(scope=scope))
        if not secret:
            return False
        return await run_in_threadpool(self._tokens.find, secret, time.time()) is not None
