"""``airgap get``: show the newest version of a tag, here or in a depot."""

from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.lines.depots import bundle_lines
from airgap.cli.output import Result, answers, identity_option, location_options, size_text

if TYPE_CHECKING:
    from airgap.flow.bundle.tag import Tag
    from airgap.flow.location.connector import Connector


@click.command(name="get", cls=HelpCommand)
@click.argument("tag", metavar="TAG")
@click.argument("depot", required=False, metavar="[DEPOT]")
@click.option("--model", "is_model", is_flag=True, help="TAG names a model, not a Bento.")
@identity_option
@answers
@location_options
def command(
    *,
    tag: str,
    depot: str | None,
    is_model: bool,
    identities: tuple[str, ...],
    connector: "Connector",
) -> Result:
    """Show the newest version of TAG in DEPOT, or on this machine. Nothing is fetched.

    With a version, show that one. In a depot, bundles that this machine would import come first.
    Of a sealed bundle, --identity opens its manifest.
    """
    from airgap.flow.bundle.tag import parse_tag
    from airgap.flow.depot import list_tags
    from airgap.flow.location.location import parse_depot

    wanted = parse_tag(tag, "model" if is_model else "bento")
    if depot is None:
        return _show_stored(wanted)
    location = parse_depot(depot)
    newest, listing = list_tags.find_in(location, wanted, connector, identities)
    others = [
        bundle["bundle"] for bundle in listing.bundles if bundle["bundle"] != newest["bundle"]
    ]
    why = listing.why_not_verified
    data = {
        "tag": str(wanted),
        "depot": str(location),
        **newest,
        "other_bundles": others,
        "not_verified_because": why or None,
    }
    lines = [f"NOT VERIFIED: {why}"] if why else []
    lines += bundle_lines(newest)
    lines += [f"also in bundle {bundle}" for bundle in others]
    return Result(data, lines)


def _show_stored(wanted: "Tag") -> Result:
    from airgap.flow.describe.stored import get_stored

    item = get_stored(wanted)
    lines = [f"{item['kind']} {item['tag']}", f"created {item['created_at']}", item["path"]]
    if item["size"] is not None:
        lines.insert(2, size_text(item["size"]))
    lines += [f"needs model {model}" for model in item.get("models", ())]
    lines += [f"DAMAGED: {item['problem']}"] if item["problem"] else []
    return Result(item, lines)
