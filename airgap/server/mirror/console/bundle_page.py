"""The page of one bundle: what it holds, who signed it, and how to get it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from airgap.flow.serving.catalog import BundleView
from airgap.format.inventory import File, Item, Link
from airgap.format.manifest import Manifest
from airgap.markup import Content, Html, element, join, table
from airgap.printable import count_text, size_text
from airgap.server.mirror.console.depot_page import (
    KINDS,
    choose_title,
    describe_status,
    render_demand,
)
from airgap.server.mirror.console.frame import (
    NOTHING,
    TOP,
    Visit,
    badge,
    card,
    commands,
    facts,
    moment,
    name_keys,
    render_frame,
    short_id,
)

__all__ = ["render_bundle"]

_MOST_FILES: Final = 200
_FILE_COLUMNS: Final = ("Path", "Size", "SHA-256")
_CLAIM_COLUMNS: Final = ("Role", "Key", "Says", "Time", "Note")


def render_bundle(visit: Visit, location: str, bundle: BundleView) -> str:
    """Return the page."""
    title, _ = choose_title(bundle.items)
    status, reason = describe_status(bundle)
    lead = join((badge(status), f" {reason}" if reason else ""))
    return render_frame(
        visit,
        "/bundles",
        title.tag if title else "A bundle that cannot be read",
        lead,
        element(
            "div",
            element("section", element("h2", "Bundle"), card(_render_facts(bundle))),
            element("section", element("h2", "Look closer"), _render_commands(location, bundle)),
            class_="two",
        ),
        element("h2", "Signatures"),
        _render_signatures(visit, bundle),
        element("h2", "Contents"),
        *(_render_items(bundle.manifest) if bundle.manifest else [element("p", "Unknown.")]),
    )


def _render_facts(bundle: BundleView) -> Html:
    row, manifest = bundle.row, bundle.manifest
    pairs: list[tuple[str, Content]] = [("ID", element("span", row.bundle, class_="mono wrap"))]
    if manifest is None:
        return facts(pairs)
    channel = f"{manifest.channel}, number {manifest.sequence}" if manifest.sequence else ""
    size = f"{size_text(manifest.size)}, {size_text(manifest.stored_size)} stored"
    pairs += [
        ("Channel", channel),
        ("For", ", ".join(manifest.audience) or "any site"),
        ("Created", moment(manifest.created_at)),
        ("Expires", "never" if row.expires_at is None else moment(row.expires_at)),
        ("Labels", ", ".join(f"{name}={value}" for name, value in manifest.labels.items())),
        ("Size", f"{size}, in {count_text(len(manifest.packs), 'pack')}"),
        ("Needs", join(map(_link_bundle, row.bases), ", ")),
        ("Made by", manifest.tool),
        ("Attachments", ", ".join(bundle.attachments)),
    ]
    return facts(pairs)


def _link_bundle(bundle: str) -> Html:
    return element("a", short_id(bundle), href=f"{TOP}/bundles/{bundle}")


def _render_commands(location: str, bundle: BundleView) -> Html:
    """Return commands for a machine that has airgap, and reaches the depot as this one does."""
    source = f"{location}#{bundle.row.bundle[:16]}"
    return commands(f"airgap {command} {source}" for command in ("inspect", "verify", "import"))


def _render_signatures(visit: Visit, bundle: BundleView) -> Html:
    signatures = bundle.signatures
    counted: list[tuple[str, Content]] = []
    if signatures.are_counted:
        counted = [("Builders", name_keys(signatures.builders, visit.people))]
        counted += [
            (one.role.capitalize(), render_demand(one, visit.people))
            for one in signatures.requirements
        ]
    parts: list[Content] = [facts(counted)] if counted else []
    if bundle.claims:
        parts.append(_render_claims(visit, bundle.claims))
    if not parts:
        parts.append(element("p", "Nobody has signed it.", class_="empty"))
    return card(*parts)


def _render_claims(visit: Visit, claims: Iterable[Mapping[str, Any]]) -> Html:
    """Return what lies beside the manifest, as it claims to be."""
    rows = [
        (
            None,
            (
                str(claim["role"]),
                name_keys([claim["key_id"]] if claim["key_id"] else [], visit.people),
                _describe_claim(claim),
                claim.get("time") or NOTHING,
                claim.get("note") or NOTHING,
            ),
        )
        for claim in claims
    ]
    caption = "What the files beside the manifest claim; only what is counted above is verified"
    return element(
        "details", element("summary", caption), table(caption, _CLAIM_COLUMNS, rows, class_="plain")
    )


def _describe_claim(claim: Mapping[str, Any]) -> str:
    if "unreadable" in claim:
        return f"cannot be read: {claim['unreadable']}"
    if "decision" in claim:
        return f"{claim['decision']}s it ({claim['name']})"
    return "signed it"


def _render_items(manifest: Manifest) -> list[Html]:
    return [_render_item(item) for item in reversed(manifest.items)]


def _render_item(item: Item) -> Html:
    files = count_text(len(item.files), "file")
    head = (
        element("span", KINDS.get(item.kind, item.kind), class_="kind"),
        element("strong", item.tag),
        element("span", f" {files}, {size_text(item.size)}", class_="sub"),
    )
    digest = element("p", "Digest ", element("span", item.digest.hex(), class_="mono wrap"))
    entries = [*item.entries]
    rows = [(None, _describe_entry(entry)) for entry in entries[:_MOST_FILES]]
    listed: list[Content] = [table(f"Files of {item.tag}", _FILE_COLUMNS, rows, class_="plain")]
    if len(entries) > _MOST_FILES:
        more = f"{len(entries) - _MOST_FILES:,} more: `airgap inspect --files` lists them."
        listed.append(element("p", more, class_="empty"))
    return card(element("details", element("summary", *head), digest, *listed), class_="card item")


def _describe_entry(entry: object) -> Sequence[Content]:
    match entry:
        case File():
            digest = element("span", entry.digest.hex(), class_="mono wrap")
            return entry.path, size_text(entry.size), digest
        case Link():
            return entry.path, NOTHING, f"a link to {entry.target}"
        case _:
            return str(getattr(entry, "path", "")), NOTHING, "an empty folder"
