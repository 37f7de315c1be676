"""The page of the root of this machine: who may sign, and what the site demands. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from airgap.markup import Content, Html, element, join, table
from airgap.server.mirror.console.frame import (
    Visit,
    card,
    facts,
    name_keys,
    render_frame,
)

__all__ = ["render_trust"]

_COLUMNS: Final = ("Role", "Needed", "Keys")
_GROUP: Final = 8


def render_trust(
    visit: Visit, root: Mapping[str, Any], fingerprint: str, rules: Sequence[str]
) -> str:
    """Return the page; ``root`` is as ``describe_root`` has it, ``rules`` as ``rule_lines``."""
    lead = f"Site {root['site']}, root version {root['version']}."
    rows = [
        (None, _render_role(visit, name, role, root["algorithms"]))
        for name, role in root["roles"].items()
    ]
    minimums = [f"{name}: {least}" for name, least in root["minimum_sequences"].items()]
    revoked = [*root["revoked_keys"], *root["revoked_bundles"]]
    pairs: list[tuple[str, Content]] = [
        ("Fingerprint", element("span", _group(fingerprint), class_="mono wrap")),
        ("Created", root["created_at"] or "not said"),
        ("Expires", root["expires_at"] or "never"),
        ("Least numbers", ", ".join(minimums)),
        ("Revoked", join(element("span", one, class_="mono wrap line") for one in revoked)),
    ]
    lines = [element("li", rule) for rule in rules]
    demanded = (
        card(element("ul", *lines, class_="lines"))
        if lines
        else element("p", "These signatures, and no more.")
    )
    return render_frame(
        visit,
        "/trust",
        "Trust",
        lead,
        card(facts(pairs)),
        element("h2", "Who may sign"),
        card(table("Roles", _COLUMNS, rows)),
        element("h2", "What the site demands"),
        demanded,
    )


def _render_role(
    visit: Visit, name: str, role: Mapping[str, Any], algorithms: Mapping[str, str]
) -> Sequence[Content]:
    keys: list[Html] = [
        element(
            "span",
            name_keys([key], visit.people),
            element("span", f" {algorithms.get(key, '')}", class_="sub"),
            class_="line",
        )
        for key in role["keys"]
    ]
    return name, f"{role['threshold']} of {len(role['keys'])}", join(keys)


def _group(fingerprint: str) -> str:
    """Write a fingerprint in groups of digits, to be compared by eye."""
    name, _, digits = fingerprint.rpartition(":")
    groups = [digits[at : at + _GROUP] for at in range(0, len(digits), _GROUP)]
    return f"{name}: {' '.join(groups)}" if name else " ".join(groups)
