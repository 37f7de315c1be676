"""The routes of the console: who may look, and what each page is made of."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from shutil import disk_usage
from typing import Final
from urllib.parse import parse_qsl, quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from airgap.errors import AirgapError, CorruptError, MissingError, UsageError
from airgap.flow.admission.policy import require_root
from airgap.flow.describe.root import describe_root, rule_lines
from airgap.flow.inbox.inbox import Inbox, PushedItem
from airgap.flow.installed.import_log import LogFilter, describe_log, read_log
from airgap.flow.installed.item_name import parse_item_name
from airgap.flow.serving.catalog import STATUSES, Catalog
from airgap.flow.serving.mirror import Mirror
from airgap.format.root import fingerprint
from airgap.server.mirror.console import (
    approvals_page,
    bundle_page,
    compare_page,
    connect_page,
    depot_page,
    health_page,
    inbox_page,
    ledger_page,
    sign_in_page,
    trust_page,
)
from airgap.server.mirror.console.frame import TOP, Visit
from airgap.server.mirror.console.health_page import MirrorHealth
from airgap.server.mirror.console.sessions import SESSION_SECONDS, Sessions
from airgap.server.mirror.tokens import Token, TokenFile, find_secret
from airgap.server.mirror.visitors import note_visitor

__all__ = ["is_console", "make_routes"]

_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_OWN_PATHS: Final = re.compile(f"/|{TOP}(/[a-z.-]*|/bundles/[^/]*)?")
_FORM_BYTES: Final = 16 * 1024
_FORM_FIELDS: Final = 20
_WORDS: Final = 200
_NOT_FOUND: Final = 404
_NOT_NOW: Final = 503
_FIRST: Final = 1_000_000_000

Render = Callable[[Request, Visit], "str | Response"]


def is_console(path: str) -> bool:
    """Tell whether a path is the console's, which asks visitors itself who they are.

    No other one below ``TOP`` is: a repository may be of an organization that has this name.
    """
    return _OWN_PATHS.fullmatch(path) is not None


def make_routes(
    mirror: Mirror, tokens: TokenFile | None, inbox: Inbox | None = None
) -> list[Route]:
    """Return the routes; with a file of tokens, visitors sign in with one of them."""
    console = _Console(mirror, tokens, inbox)
    pages: Mapping[str, Render] = {
        "/": console.show_depot,
        "/bundles/{bundle}": console.show_bundle,
        "/approvals": console.show_approvals,
        "/inbox": console.show_inbox,
        "/compare": console.show_compare,
        "/ledger": console.show_ledger,
        "/ledger.csv": console.send_ledger,
        "/trust": console.show_trust,
        "/connect": console.show_connect,
        "/health": console.show_health,
    }
    routes = [Route(f"{TOP}{path}", console.guard(render)) for path, render in pages.items()]
    return [
        Route("/", _redirect),
        Route(TOP, _redirect),
        Route(f"{TOP}/console.css", _send_style),
        Route(f"{TOP}/icon.svg", _send_icon),
        Route(f"{TOP}/sign-in", console.ask_token, methods=["GET"]),
        Route(f"{TOP}/sign-in", console.sign_in, methods=["POST"]),
        Route(f"{TOP}/sign-out", console.sign_out, methods=["POST"]),
        *routes,
    ]


class _Console:
    """Answers requests for pages."""

    def __init__(self, mirror: Mirror, tokens: TokenFile | None, inbox: Inbox | None) -> None:
        self._mirror, self._tokens, self._inbox = mirror, tokens, inbox
        self._catalog = Catalog(mirror)
        self._sessions = None if tokens is None else Sessions(tokens)

    def guard(self, render: Render) -> Callable[[Request], Awaitable[Response]]:
        """Let only those see a page who have signed in, where that is needed."""

        async def answer(request: Request) -> Response:
            return await run_in_threadpool(self._answer, request, render)

        return answer

    def _answer(self, request: Request, render: Render) -> Response:
        token = self._find_visitor(request)
        if self._tokens is not None and token is None:
            target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return _send_to(f"{TOP}/sign-in?next={quote(target, safe='')}")
        if token is not None:
            note_visitor(request.scope, token)
        visit = self._make_visit(request, token)
        try:
            answer = render(request, visit)
        except AirgapError as error:
            is_lasting = error.kind in {"missing", "usage"}
            title = "Not found" if is_lasting else "Not now"
            page = sign_in_page.render_error(visit, title, f"{error.message} {error.hint}")
            return _send_page(page, _NOT_FOUND if is_lasting else _NOT_NOW)
        return answer if isinstance(answer, Response) else _send_page(answer)

    def _find_visitor(self, request: Request) -> Token | None:
        """Return the token that a visitor has shown; None if there is none."""
        if self._tokens is None or self._sessions is None:
            return None
        now = time.time()
        token = self._sessions.find(request.cookies.get(_name_cookie(request), ""), now)
        secret = find_secret(request.headers)
        if token is None and secret:
            token = self._tokens.find(secret, now)
        return token

    def _make_visit(self, request: Request, token: Token | None) -> Visit:
        base = str(request.base_url).rstrip("/")
        waiting = self._catalog.survey().statuses.get("waits", 0)
        try:
            people = require_root().value.rules.people
        except AirgapError:
            people = {}
        may_push = self._tokens is None or (token is not None and token.scope == "push")
        pushed = len(self._list_pushed()) if self._inbox is not None and may_push else None
        return Visit(base, None if token is None else token.name, waiting, people, pushed)

    def show_depot(self, request: Request, visit: Visit) -> str:
        """Answer with the first page."""
        words = request.query_params.get("words", "")[:_WORDS]
        what = request.query_params.get("what", "all")
        first = request.query_params.get("first", "0")
        if what not in STATUSES or not (first.isascii() and first.isdecimal()):
            raise UsageError("There is no such page.", "Go back to the list of bundles.")
        page = self._catalog.list_page(words, what, min(int(first[:12]), _FIRST))
        survey = self._catalog.survey()
        return depot_page.render_depot(visit, self._location, page, survey, words, what)

    def show_bundle(self, request: Request, visit: Visit) -> str:
        """Answer with the page of one bundle."""
        bundle = self._catalog.find(request.path_params["bundle"])
        return bundle_page.render_bundle(visit, self._location, bundle)

    def show_approvals(self, request: Request, visit: Visit) -> str:
        """Answer with what waits for approvals or scans."""
        del request
        waiting = self._catalog.list_waiting()
        return approvals_page.render_approvals(visit, self._location, waiting)

    def show_inbox(self, request: Request, visit: Visit) -> str:
        """Answer with what was pushed, to who may push."""
        del request
        if self._inbox is None or visit.pushed is None:
            raise MissingError(
                "There is no inbox, or this token may only pull.",
                "Sign in with a token of the scope push.",
            )
        folder = str(self._inbox.folder)
        return inbox_page.render_inbox(visit, folder, self._location, self._list_pushed())

    def show_compare(self, request: Request, visit: Visit) -> str:
        """Answer with what changed between two bundles."""
        choices = self._catalog.list_page()
        old, new = (request.query_params.get(name, "") for name in ("old", "new"))
        difference = None
        if old and new:
            pair = self._catalog.find(old), self._catalog.find(new)
            difference = self._catalog.compare(*pair)
        return compare_page.render_compare(visit, choices, (old, new), difference)

    def show_ledger(self, request: Request, visit: Visit) -> str:
        """Answer with what happened here."""
        tag = request.query_params.get("tag", "")[:_WORDS]
        return ledger_page.render_ledger(visit, _read_ledger(tag, ledger_page.ENTRIES), tag)

    def send_ledger(self, request: Request, visit: Visit) -> Response:
        """Answer with the same as CSV, whole."""
        del visit
        text = ledger_page.write_csv(
            _read_ledger(request.query_params.get("tag", "")[:_WORDS], None)
        )
        headers = {**_HEADERS, "Content-Disposition": 'attachment; filename="ledger.csv"'}
        return Response(text, media_type="text/csv", headers=headers)

    def show_trust(self, request: Request, visit: Visit) -> str:
        """Answer with the root of the site."""
        del request
        verified = require_root()
        root = verified.value
        digits = fingerprint(verified.raw)
        return trust_page.render_trust(visit, describe_root(root), digits, rule_lines(root))

    def show_connect(self, request: Request, visit: Visit) -> str:
        """Answer with how to connect clients."""
        del request
        return connect_page.render_connect(visit)

    def show_health(self, request: Request, visit: Visit) -> str:
        """Answer with how the mirror is."""
        del request
        problem, ends = "", None
        try:
            ends = require_root().value.not_after
            self._mirror.list_items("bento")
        except AirgapError as error:
            problem = error.message
        folder = Path(self._location)
        free = disk_usage(folder).free if folder.is_dir() else None
        tokens = None if self._tokens is None else self._tokens.list_tokens()
        listed = (
            None if tokens is None else [(one.name, one.scope, one.expires_at) for one in tokens]
        )
        statuses = self._catalog.survey().statuses
        status = MirrorHealth(self._location, problem, statuses, ends, free, listed)
        return health_page.render_health(visit, status)

    def ask_token(self, request: Request) -> Response:
        """Answer with the form for signing in."""
        target = _choose_target(request.query_params.get("next", ""))
        if self._tokens is None:
            return _send_to(target)
        return _send_page(sign_in_page.render_sign_in(_make_bare_visit(request), target))

    async def sign_in(self, request: Request) -> Response:
        """Take a token, and begin a session."""
        form = await _read_form(request)
        if form is None or self._tokens is None or self._sessions is None:
            return PlainTextResponse("Sign in on this server's own page.", 403, _HEADERS)
        target, now = _choose_target(form.get("next", "")), time.time()
        token = await run_in_threadpool(self._tokens.find, form.get("token", "").strip(), now)
        if token is None:
            problem = "This mirror does not know this token, or it has ended."
            page = sign_in_page.render_sign_in(_make_bare_visit(request), target, problem)
            return _send_page(page, 401)
        answer = _send_to(target)
        answer.set_cookie(
            _name_cookie(request),
            self._sessions.begin(token, now),
            max_age=SESSION_SECONDS,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return answer

    async def sign_out(self, request: Request) -> Response:
        """Forget the cookie."""
        if await _read_form(request) is None:
            return PlainTextResponse("Sign out on this server's own page.", 403, _HEADERS)
        answer = _send_to(f"{TOP}/sign-in")
        is_secure = request.url.scheme == "https"
        answer.delete_cookie(
            _name_cookie(request), secure=is_secure, httponly=True, samesite="strict"
        )
        return answer

    def _list_pushed(self) -> list[PushedItem]:
        """Return what nobody has signed; nothing where a record is damaged."""
        try:
            items = [] if self._inbox is None else self._inbox.list_items()
        except CorruptError as error:
            self._mirror.note(error.message)
            return []
        return [item for item in items if not item.bundle]

    @property
    def _location(self) -> str:
        return str(self._mirror.location)


def _read_ledger(tag: str, limit: int | None) -> Mapping[str, object]:
    item = parse_item_name(tag) if tag.strip() else None
    return describe_log(read_log(LogFilter(item, limit=limit)))


async def _read_form(request: Request) -> Mapping[str, str] | None:
    """Read a form that a page of this server has sent; None if another site sent it."""
    if not _comes_from_here(request):
        return None
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _FORM_BYTES:
            return None
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=_FORM_FIELDS))
    except ValueError:  # there are more
        return None


def _comes_from_here(request: Request) -> bool:
    """Tell whether a page of this server has sent a request, as the browser says."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    _, mark, origin = request.headers.get("origin", "").partition("://")
    return bool(mark) and origin == request.headers.get("host")


def _choose_target(text: str) -> str:
    """Return where to go after signing in: a page of the console, whatever a link says."""
    return text if text.startswith(f"{TOP}/") and "\\" not in text else f"{TOP}/"


def _name_cookie(request: Request) -> str:
    """Name the cookie: browsers take one named so only over TLS, and for this host alone."""
    return "__Host-airgap" if request.url.scheme == "https" else "airgap-console"


def _make_bare_visit(request: Request) -> Visit:
    return Visit(str(request.base_url).rstrip("/"))


def _send_page(page: str, status: int = 200) -> Response:
    return HTMLResponse(page, status, _HEADERS)


def _send_to(path: str) -> RedirectResponse:
    return RedirectResponse(path, 303, _HEADERS)


def _redirect(request: Request) -> Response:
    del request
    return _send_to(f"{TOP}/")


def _send_style(request: Request) -> Response:
    del request
    headers = {**_HEADERS, "Cache-Control": "max-age=3600"}
    return Response(_load("console.css"), media_type="text/css", headers=headers)


def _send_icon(request: Request) -> Response:
    del request
    headers = {**_HEADERS, "Cache-Control": "max-age=3600"}
    return Response(_load("icon.svg"), media_type="image/svg+xml", headers=headers)


@cache
def _load(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()
