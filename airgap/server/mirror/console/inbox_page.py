"""The page of what was pushed and waits for a builder: its digest, and how to sign it. Pure."""

import shlex
from collections.abc import Sequence

from airgap.flow.inbox.inbox import PushedItem
from airgap.markup import Html, element
from airgap.printable import size_text
from airgap.server.mirror.console.frame import Visit, card, commands, facts, moment, render_frame

__all__ = ["render_inbox"]

_GROUP = 8


def render_inbox(visit: Visit, folder: str, depot: str, items: Sequence[PushedItem]) -> str:
    """Return the page; ``items`` are those that nobody has signed."""
    lead = (
        "Pushed by stock clients. Nobody can pull it before a builder has signed it: compare the"
        " digest with the builder's own store, on a machine that reaches the inbox."
    )
    cards = [_render_item(folder, depot, item) for item in items]
    nothing = card(element("p", "Nothing waits for a signature.", class_="empty"))
    return render_frame(visit, "/inbox", "Inbox", lead, *(cards or [nothing]))


def _render_item(folder: str, depot: str, item: PushedItem) -> Html:
    tag = f"{item.tag.name}:{item.tag.version}"
    kind = " --model" if item.tag.kind == "model" else ""
    place, target = shlex.quote(folder), shlex.quote(depot)
    labels = ", ".join(f"{key}={value}" for key, value in sorted(item.labels.items()))
    return card(
        element("h2", tag),
        facts(
            [
                ("Kind", "Bento" if item.tag.kind == "bento" else item.tag.kind),
                ("Size", size_text(item.size)),
                ("Pushed", moment(item.received_at)),
                ("By", item.pushed_by),
                ("Labels", labels),
                ("Digest", element("span", _group(item.digest), class_="mono wrap")),
            ]
        ),
        commands(
            [
                f"airgap inbox show {place} {tag}{kind}",
                f"airgap inbox sign {place} {tag} {target}{kind} --key KEY",
            ]
        ),
        class_="card item",
    )


def _group(digest: str) -> str:
    """Write a digest in groups that can be read aloud."""
    return " ".join(digest[at : at + _GROUP] for at in range(0, len(digest), _GROUP))
