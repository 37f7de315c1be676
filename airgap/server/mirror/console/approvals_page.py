"""The page of bundles that wait: what is missing, and who can give it. Pure."""

from airgap.flow.serving.catalog import BundlePage, BundleView, CountedDemand
from airgap.markup import Html, element
from airgap.printable import count_text
from airgap.server.mirror.console.depot_page import choose_title, render_demand
from airgap.server.mirror.console.frame import (
    TOP,
    Visit,
    card,
    commands,
    facts,
    moment,
    name_keys,
    render_frame,
)

__all__ = ["render_approvals"]


def render_approvals(visit: Visit, location: str, waiting: BundlePage) -> str:
    """Return the page."""
    lead = "A browser holds no key: sign with airgap, on a machine that reaches the depot."
    cards = [_render_bundle(visit, location, bundle) for bundle in waiting.bundles]
    if more := waiting.count - len(waiting.bundles):
        link = element("a", "All that are not served yet", href=f"{TOP}/?what=waits")
        cards.append(element("p", f"{more:,} more {'waits' if more == 1 else 'wait'}. ", link))
    nothing = card(element("p", "Nothing waits.", class_="empty"))
    return render_frame(visit, "/approvals", "Approvals", lead, *(cards or [nothing]))


def _render_bundle(visit: Visit, location: str, bundle: BundleView) -> Html:
    title, _ = choose_title(bundle.items)
    link = element(
        "a", title.tag if title else "A bundle", href=f"{TOP}/bundles/{bundle.row.bundle}"
    )
    missing = [one for one in bundle.signatures.requirements if one.missing]
    return card(
        element("h2", link),
        facts(
            [
                ("Created", moment(bundle.row.created_at)),
                ("Built by", name_keys(bundle.signatures.builders, visit.people)),
                ("ID", element("span", bundle.row.bundle, class_="mono wrap")),
            ]
        ),
        *(_render_missing(visit, location, bundle, one) for one in missing),
        class_="card item",
    )


def _render_missing(
    visit: Visit, location: str, bundle: BundleView, requirement: CountedDemand
) -> Html:
    source = f"{location}#{bundle.row.bundle[:16]}"
    lacking = f"{count_text(requirement.missing, 'signature')} missing. Who can still sign: "
    return element(
        "section",
        element("p", render_demand(requirement, visit.people)),
        element("p", lacking, name_keys(requirement.others, visit.people) or "nobody"),
        commands([requirement.command.replace(" SRC", f" {source}")]),
    )
