"""The console: what people see of a mirror, who may see it, and that nothing runs in its pages."""

import csv
import http.client
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import pytest

from airgap.flow.inbox.inbox import Inbox
from airgap.flow.location.location import parse_depot
from airgap.flow.serving.index import BundleRow, ServingIndex, Status
from airgap.flow.serving.mirror import index_path
from airgap.server.mirror.console.ledger_page import write_csv
from airgap.server.mirror.console.sessions import SESSION_SECONDS, Sessions
from airgap.server.mirror.server import ClientTerms
from airgap.server.mirror.tokens import TokenFile, describe_token, make_secret
from tests.support.browsers import Look, require_accessible
from tests.support.console_site import MARKED, ConsoleSite, make_console_site
from tests.support.mirrors import RunningMirror, revoke_bundle, running
from tests.support.pushes import push_model
from tests.support.sides import Site

HERE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> ConsoleSite:
    return make_console_site(tmp_path_factory.mktemp("console"))


@pytest.fixture(scope="module")
def mirror(console: ConsoleSite) -> Iterator[RunningMirror]:
    """A mirror with an inbox, in which a model waits."""
    terms = ClientTerms(inbox=console.folder / "inbox")
    with running(console.side, console.depot, terms) as mirror:
        push_model(mirror, {"stage": MARKED})
        yield mirror


@pytest.fixture(scope="module")
def secret() -> str:
    return make_secret()


@pytest.fixture
def tokens(secret: str, tmp_path: Path) -> Path:
    path = tmp_path / "tokens.toml"
    path.write_text("\n".join(describe_token("maria", secret, None)) + "\n")
    return path


@pytest.fixture
def closed(console: ConsoleSite, tokens: Path) -> Iterator[RunningMirror]:
    """A mirror that asks for tokens."""
    with running(console.side, console.depot, ClientTerms(tokens=tokens)) as mirror:
        yield mirror


class Answer:
    """The status, headers and text of an answer."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status, self.text = answer.status, answer.read().decode()
        self.headers = answer.headers

    @property
    def cookie(self) -> str:
        return (self.headers["Set-Cookie"] or "").partition(";")[0]


def ask(
    mirror: RunningMirror,
    path: str,
    headers: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(mirror.url).netloc, timeout=60)
    try:
        body = None if form is None else urlencode(form)
        connection.request("GET" if body is None else "POST", path, body, dict(headers or {}))
        return Answer(connection.getresponse())
    finally:
        connection.close()


def list_paths(console: ConsoleSite) -> dict[str, str]:
    return {
        "depot": "/console/",
        "served": f"/console/bundles/{console.served}",
        "waiting": f"/console/bundles/{console.waiting}",
        "refused": f"/console/bundles/{console.refused}",
        "approvals": "/console/approvals",
        "inbox": "/console/inbox",
        "compare": f"/console/compare?old={console.served}&new={console.newer}",
        "ledger": "/console/ledger",
        "trust": "/console/trust",
        "connect": "/console/connect",
        "health": "/console/health",
        "error": "/console/bundles/00000000",
    }


def show_rows(text: str) -> list[str]:
    """Return the rows of the table of bundles, as text."""
    return [re.sub(r"<[^>]*>", " ", row) for row in text.split('<tr role="row"')[2:]]


def test_no_page_has_a_script_or_what_others_wrote_as_an_element(
    mirror: RunningMirror, console: ConsoleSite
) -> None:
    for name, path in list_paths(console).items():
        answer = ask(mirror, path)
        assert answer.status == (404 if name == "error" else 200), path
        assert "<img" not in answer.text
        assert "<script" not in answer.text
        assert " style=" not in answer.text
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
    assert MARKED.replace("<", "&lt;").replace(">", "&gt;") in ask(mirror, "/console/").text


def test_the_first_page_says_of_each_bundle_whether_it_is_served_and_why_not(
    mirror: RunningMirror,
) -> None:
    rows = show_rows(ask(mirror, "/console/").text)
    by_tag = {re.findall(r"(\S+:v\d)", row)[0]: row for row in rows}
    assert "served" in by_tag["shop:v1"]
    assert "Carol" in by_tag["shop:v1"]
    assert "waits" in by_tag["triage:v7"]
    assert "0 of the 1 approver signatures" in by_tag["triage:v7"]
    assert "refused" in by_tag["helper:v1"]
    assert "claimed, not verified" in by_tag["helper:v1"]


@pytest.mark.parametrize(
    ("query", "tags"),
    [
        ("words=shop", {"shop:v1", "shop:v2"}),
        ("words=SHOP:V2", {"shop:v2"}),
        ("words=ranker", {"shop:v1", "shop:v2"}),
        ("words=%25", set()),
        ("words=_hop", set()),
        ("what=waits", {"triage:v7"}),
        ("what=refused", {"helper:v1"}),
        ("what=served&words=triage", set()),
        ("first=3", 1),
        ("first=99", 0),
    ],
)
def test_bundles_are_found_by_words_and_standing(
    mirror: RunningMirror, query: str, tags: set[str] | int
) -> None:
    text = ask(mirror, f"/console/?{query}").text
    shown = set(re.findall(r'class="tag"[^>]*>([^<]*)<', text))
    assert (len(shown) if isinstance(tags, int) else shown) == tags


@pytest.mark.parametrize("query", ["what=all'--", "first=-1", "first=x", "first=%C2%B2"])
def test_a_page_that_does_not_exist_is_not_found(mirror: RunningMirror, query: str) -> None:
    assert ask(mirror, f"/console/?{query}").status == 404


def test_the_page_of_a_bundle_is_found_by_the_beginning_of_its_id(
    mirror: RunningMirror, console: ConsoleSite
) -> None:
    page = ask(mirror, f"/console/bundles/{console.served[:8]}")
    assert page.status == 200
    assert "weights.bin" in page.text
    assert "src/service.py" in page.text
    assert f"airgap import {console.depot}#{console.served[:16]}" in page.text
    for beginning in (console.served[:7], "%27%20or%201%3D1", "0" * 64, console.served[:8].upper()):
        assert ask(mirror, f"/console/bundles/{beginning}").status == 404


def test_approvals_say_what_is_missing_and_which_command_gives_it(
    mirror: RunningMirror, console: ConsoleSite
) -> None:
    text = ask(mirror, "/console/approvals").text
    assert "1 signature missing" in text
    assert "Dave" in text
    assert f"airgap approve {console.depot}#{console.waiting[:16]} --key K" in text
    assert "shop:v1" not in text


def test_bundles_that_are_not_read_yet_hide_none_that_waits(
    mirror: RunningMirror, console: ConsoleSite
) -> None:
    with console.side.here():
        index = ServingIndex(index_path(parse_depot(str(console.depot))))
    standings: tuple[tuple[int, Status], ...] = ((0, "unread"), (50, "waits"))
    unread, waiting = (
        [
            BundleRow(f"{number:064x}", 4_000_000_000, None, (), status, "Not yet.")
            for number in range(first, first + 25)
        ]
        for first, status in standings
    )
    try:
        index.note_claims((row, []) for row in unread)
        assert "triage:v7" in ask(mirror, "/console/approvals").text
        index.note_claims((row, []) for row in waiting)
        assert "1 more waits" in ask(mirror, "/console/approvals").text
    finally:
        index.forget_absent([console.served, console.newer, console.waiting, console.refused])
        index.close()


def test_the_inbox_says_what_was_pushed_and_how_it_is_signed(
    mirror: RunningMirror, console: ConsoleSite
) -> None:
    page = ask(mirror, "/console/inbox").text
    assert "Inbox (1)" in page
    assert f"airgap inbox sign {console.folder / 'inbox'} m:v1 {console.depot} --model" in page
    (item,) = Inbox(console.folder / "inbox").list_items()
    assert item.digest in re.sub(r"(?<=[0-9a-f]{8}) (?=[0-9a-f]{8})", "", page)


def test_who_may_only_pull_does_not_see_the_inbox(
    console: ConsoleSite, tokens: Path, secret: str, tmp_path: Path
) -> None:
    terms = ClientTerms(tokens=tokens, inbox=tmp_path / "inbox")
    with running(console.side, console.depot, terms) as mirror:
        seen = {"Authorization": f"Bearer {secret}"}
        assert "Inbox" not in ask(mirror, "/console/", seen).text
        assert ask(mirror, "/console/inbox", seen).status == 404


def test_two_bundles_are_compared(mirror: RunningMirror, console: ConsoleSite) -> None:
    text = ask(mirror, f"/console/compare?old={console.served}&new={console.newer}").text
    assert "= model ranker:v1" in text
    assert "src/service.py" in text
    assert "(was bento shop:v1)" in text
    assert ask(mirror, f"/console/compare?old={console.served}&new=zz").status == 404


def test_the_ledger_is_shown_and_sent_as_csv(mirror: RunningMirror, console: ConsoleSite) -> None:
    with console.side.here():
        text = ask(mirror, "/console/ledger").text
        sent = ask(mirror, "/console/ledger.csv")
    assert "It is intact." in text
    assert "begun" in text
    (row,) = csv.DictReader(sent.text.splitlines())
    assert row["event"] == "begun"
    assert "attachment" in sent.headers["Content-Disposition"]


@pytest.mark.parametrize("note", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_note_is_no_formula_in_a_spreadsheet(note: str) -> None:
    entry: dict[str, object] = dict.fromkeys(
        ("number", "at", "event", "bundle", "channel", "sequence", "root_version"), 1
    )
    text = write_csv({"entries": [entry | {"note": note, "items": None}]})
    assert next(csv.DictReader(text.splitlines()))["note"] == f"'{note}"


def test_browsers_that_ask_for_the_server_come_to_the_console(mirror: RunningMirror) -> None:
    for path in ("/", "/console"):
        answer = ask(mirror, path)
        assert (answer.status, answer.headers["Location"]) == (303, "/console/")


def test_a_token_signs_in_and_the_session_ends_with_it(
    closed: RunningMirror, secret: str, tokens: Path, console: ConsoleSite
) -> None:
    path = f"/console/bundles/{console.served}"
    asked = ask(closed, path)
    assert (asked.status, asked.headers["Location"]) == (
        303,
        f"/console/sign-in?next={quote(path, '')}",
    )
    assert "shop" not in asked.text
    wrong = ask(closed, "/console/sign-in", HERE, {"token": make_secret(), "next": path})
    assert (wrong.status, wrong.cookie) == (401, "")

    right = ask(closed, "/console/sign-in", HERE, {"token": secret, "next": path})

    assert (right.status, right.headers["Location"]) == (303, path)
    attributes = right.headers["Set-Cookie"].lower()
    assert "httponly" in attributes
    assert "samesite=strict" in attributes
    assert secret not in right.cookie
    cookie = {"Cookie": right.cookie}
    page = ask(closed, path, cookie)
    assert page.status == 200
    assert "maria" in page.text
    assert ask(closed, "/api/v1/models", cookie).status == 401  # the console's only
    assert "maria" in ask(closed, "/console/health", cookie).text
    tokens.write_text("")
    assert ask(closed, path, cookie).status == 303


def test_signing_out_takes_the_cookie_away(closed: RunningMirror, secret: str) -> None:
    cookie = ask(closed, "/console/sign-in", HERE, {"token": secret}).cookie
    answer = ask(closed, "/console/sign-out", {**HERE, "Cookie": cookie}, {})
    assert answer.status == 303
    assert "max-age=0" in answer.headers["Set-Cookie"].lower()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
    ],
)
@pytest.mark.parametrize("path", ["sign-in", "sign-out"])
def test_a_form_of_another_site_is_refused(
    closed: RunningMirror, secret: str, path: str, headers: dict[str, str]
) -> None:
    answer = ask(closed, f"/console/{path}", headers, {"token": secret})
    assert (answer.status, answer.cookie) == (403, "")


@pytest.mark.parametrize("form", [{"token": "a" * 20_000}, dict.fromkeys(map(str, range(30)), "")])
def test_a_form_that_is_too_long_is_refused(closed: RunningMirror, form: dict[str, str]) -> None:
    assert ask(closed, "/console/sign-in", HERE, form).status == 403


def test_a_repository_of_an_organization_named_console_is_not_open_to_all(
    closed: RunningMirror, secret: str
) -> None:
    path, token = "/console/model/resolve/main/config.json", {"Authorization": f"Bearer {secret}"}
    assert ask(closed, path).status == 401
    assert ask(closed, path, {"Cookie": "airgap-console=maria:1:0"}).status == 401
    assert ask(closed, path, token).headers["X-Error-Code"] == "RepoNotFound"


@pytest.mark.parametrize(
    "target",
    [
        "https://elsewhere.example/console/",
        "//elsewhere.example",
        "/\\elsewhere",
        "/api/v1/models",
        "http://[",
        "",
    ],
)
def test_signing_in_leads_to_the_console_only(
    closed: RunningMirror, secret: str, target: str
) -> None:
    answer = ask(closed, "/console/sign-in", HERE, {"token": secret, "next": target})
    assert answer.headers["Location"] == "/console/"


def test_a_cookie_that_was_changed_or_has_ended_signs_nobody_in(tokens: Path) -> None:
    file = TokenFile(tokens)
    (token,) = file.list_tokens()
    sessions, now = Sessions(file), 1_000_000.0
    cookie = sessions.begin(token, now)
    assert sessions.find(cookie, now) == token
    assert sessions.find(cookie, now + SESSION_SECONDS) == token
    assert sessions.find(cookie, now + SESSION_SECONDS + 1) is None
    name, ends, seal = cookie.split(":")
    later = f"{name}:{int(ends) + 1}:{seal}"
    unlike = f"{name}:{ends}:\N{LATIN SMALL LETTER E WITH ACUTE}"
    changed = (later, unlike, f"anna:{ends}:{seal}", f"{name}:{ends}:", f"{name}:x:{seal}")
    for forged in (*changed, "", "::"):
        assert sessions.find(forged, now) is None
    assert Sessions(file).find(cookie, now) is None  # another server's


def test_what_a_new_root_revokes_is_shown_as_refused(tmp_path: Path) -> None:
    console = make_console_site(tmp_path)
    site, proposal = Site(tmp_path / "site", "", 1), tmp_path / "next.msgpack"
    with running(console.side, console.depot) as mirror:
        revoke_bundle(console.side, site, console.served, proposal)
        assert console.side.run("trust", "update", proposal).code == 0
        mirror.server.examine()
        page = ask(mirror, f"/console/bundles/{console.served}").text
    assert "is revoked" in page
    assert "refused" in page


@pytest.mark.servers
@pytest.mark.parametrize(("width", "look"), [(1280, "light"), (390, "dark")])
def test_a_checker_of_accessibility_finds_nothing_on_any_page(
    mirror: RunningMirror,
    console: ConsoleSite,
    closed: RunningMirror,
    width: int,
    look: Look,
    tmp_path: Path,
) -> None:
    style = ask(mirror, "/console/console.css").text
    pages = {name: ask(mirror, path).text for name, path in list_paths(console).items()}
    pages["sign-in"] = ask(closed, "/console/sign-in").text
    link = '<link rel="stylesheet" href="/console/console.css">'
    inlined = {
        name: page.replace(link, f"<style>{style}</style>").replace("<details", "<details open")
        for name, page in pages.items()
    }
    assert all("<style>" in page for page in inlined.values())

    require_accessible(inlined, width, tmp_path, look)
