"""What all pages share: head, navigation, foot, and the small parts of which pages are made. Pure.

No page has a script, and none loads anything from other servers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from airgap.markup import Content, Html, element, join, void
from airgap.times import format_time
from airgap.version import __version__

__all__ = [
    "NOTHING",
    "TOP",
    "Visit",
    "badge",
    "card",
    "commands",
    "facts",
    "moment",
    "name_keys",
    "render_frame",
    "short_id",
]

TOP: Final = "/console"
NOTHING: Final = "\N{EN DASH}"
"""Stands in a cell that has nothing to say."""
_PAGES: Final = (
    ("", "Depot"),
    ("/approvals", "Approvals"),
    ("/inbox", "Inbox"),
    ("/compare", "Compare"),
    ("/ledger", "Ledger"),
    ("/trust", "Trust"),
    ("/connect", "Connect"),
    ("/health", "Health"),
)
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "served": ("good", "served"),
    "unread": ("wait", "not read yet"),
    "waits": ("wait", "waits"),
    "refused": ("bad", "refused"),
    "sealed": ("none", "not served"),
    "expired": ("bad", "expired"),
}
_SHORT: Final = 12
_MINUTES: Final = len("2026-11-29T20:14")


@dataclass(frozen=True, slots=True)
class Visit:
    """Who looks at which page: the name of the token, or None where the mirror asks for none.

    ``base`` is the URL of the mirror as the visitor spells it, ``waiting`` how many bundles lack
    attestations, ``people`` whose keys they are by id, as the root says. ``pushed`` is how many
    items of the inbox nobody has signed; None where there is no inbox, or the visitor may not push.
    """

    base: str
    token: str | None = None
    waiting: int = 0
    people: Mapping[str, str] = field(default_factory=dict)
    pushed: int | None = None


def render_frame(visit: Visit, path: str, title: str, lead: Content, *body: Content) -> str:
    """Return a whole page; ``path`` is that of its entry in the navigation, below ``TOP``."""
    head = element(
        "head",
        void("meta", charset="utf-8"),
        void("meta", name="viewport", content="width=device-width,initial-scale=1"),
        element("title", f"{title} · airgap"),
        void("link", rel="icon", href=f"{TOP}/icon.svg"),
        void("link", rel="stylesheet", href=f"{TOP}/console.css"),
    )
    main = element(
        "main", element("h1", title), element("p", lead, class_="lead"), *body, id="main"
    )
    skip = element("a", "Skip to the content", class_="skip", href="#main")
    foot = element(
        "footer",
        f"airgap {__version__} · no script runs here, and nothing is loaded from other servers",
    )
    page = element(
        "html", head, element("body", skip, _render_top(visit, path), main, foot), lang="en"
    )
    return f"<!DOCTYPE html>\n{page}\n"


def _render_top(visit: Visit, path: str) -> Html:
    counts = {"Approvals": visit.waiting, "Inbox": visit.pushed or 0}
    links = [
        element(
            "li",
            element(
                "a",
                f"{name} ({counts[name]})" if counts.get(name) else name,
                href=f"{TOP}{target}" if target else f"{TOP}/",
                aria_current="page" if target == path else None,
            ),
        )
        for target, name in _PAGES
        if name != "Inbox" or visit.pushed is not None
    ]
    who: Content = ""
    if visit.token is not None:
        who = element(
            "form",
            element("span", visit.token),
            element("button", "Sign out"),
            method="post",
            action=f"{TOP}/sign-out",
            class_="who",
        )
    brand = element("a", _MARK, "airgap", class_="brand", href=f"{TOP}/")
    menu = element("nav", element("ul", *links), aria_label="Main")
    return element("header", element("div", brand, menu, who))


_MARK: Final = element(
    "svg",
    element(
        "path", d="M9 4H5a1 1 0 0 0-1 1v14a1 1 0 0 0 1 1h4M15 4h4a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1h-4"
    ),
    element("path", d="M12 3v3M12 10.5v3M12 18v3"),
    viewBox="0 0 24 24",
    aria_hidden="true",
)


def badge(status: str) -> Html:
    """Return the standing of a bundle, by shape, word and colour."""
    look, word = _WORDS[status]
    return element("span", word, class_=f"state {look}")


def card(*content: Content, class_: str = "card") -> Html:
    """Return content in a frame."""
    return element("div", *content, class_=class_)


def facts(pairs: Iterable[tuple[str, Content]]) -> Html:
    """Return names and values, one pair on each line; a pair whose value is empty is left out."""
    lines = [
        element("div", element("dt", name), element("dd", value)) for name, value in pairs if value
    ]
    return element("dl", *lines, class_="facts")


def commands(lines: Iterable[str]) -> Html:
    """Return lines to be copied into a terminal."""
    return element("pre", *(element("code", line) for line in lines), tabindex="0")


def moment(seconds: int) -> Html:
    """Return a time, in seconds since 1970, to the minute."""
    exact = format_time(seconds)
    return element("time", exact[:_MINUTES].replace("T", " ") + " UTC", datetime=exact)


def short_id(digest: str) -> Html:
    """Return the beginning of an id or a digest."""
    return element("span", digest[:_SHORT], class_="mono")


def name_keys(keys: Sequence[str], people: Mapping[str, str]) -> Html:
    """Return whose keys they are, or the beginning of the id of a key that has no name."""
    return join((people.get(key) or short_id(key) for key in keys), ", ")
