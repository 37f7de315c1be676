"""Lets requests pass that have a token, if the mirror asks for one; and says who may push."""

import time
from http import HTTPStatus
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from airgap.server.mirror.console.routes import is_console
from airgap.server.mirror.tokens import Token, TokenFile, find_secret
from airgap.server.mirror.visitors import UPLOADS, note_visitor

__all__ = ["TokenGate", "find_pusher"]

_OPEN: Final = frozenset({"/-/health"})
_FOUND: Final = "airgap.token"
_ASK: Final = {"WWW-Authenticate": 'Basic realm="airgap"'}


class TokenGate:
    """Asks for a token before anything is looked up, so that nobody learns what there is."""

    def __init__(self, app: ASGIApp, tokens: TokenFile) -> None:
        """Take the application behind it."""
        self._app, self._tokens = app, tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401."""
        if scope["type"] != "http" or _is_open(scope["path"]):
            await self._app({**scope, _FOUND: None}, receive, send)
            return
        token = await self._find(scope)
        if token is not None:
            note_visitor(scope, token)
            await self._app({**scope, _FOUND: token}, receive, send)
            return
        text = "Give a token of this mirror: `airgap serve make-token`."
        await PlainTextResponse(text, HTTPStatus.UNAUTHORIZED, _ASK)(scope, receive, send)

    async def _find(self, scope: Scope) -> Token | None:
        secret = find_secret(Headers(scope=scope))
        if not secret:
            return None
        return await run_in_threadpool(self._tokens.find, secret, time.time())


def find_pusher(request: Request) -> str | None:
    """Return the name of who may push, empty where no tokens are asked for; None: may not."""
    if _FOUND not in request.scope:
        return ""
    token: Token | None = request.scope[_FOUND]
    return token.name if token is not None and token.scope == "push" else None


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(UPLOADS) or is_console(path)
