"""``airgap get``: show the newest of a tag, here or in a depot."""

from typing import TYPE_CHECKING

import click

from airgap.cli.lines.depots import bundle_lines
from airgap.cli.output import Result, location_options, reports, size_text

if TYPE_CHECKING:
    from airgap.flow.bundle.tag import Tag
    from airgap.flow.location.connector import Connector


@click.command(name="get")
@click.argument("tag", metavar="TAG")
@click.argument("depot", required=False, metavar="[DEPOT]")
@click.option("--model", "is_model", is_flag=True, help="TAG is a model's, not a Bento's.")
@reports
@location_options
def command(*, tag: str, depot: str | None, is_model: bool, connector: "Connector") -> Result:
    """Show what TAG is: in DEPOT, or without it on this machine. Nothing is fetched.

    Without a version, or with `latest`, it is the newest. In a depot, a bundle that this machine
    would import comes before those that it would not.
    """
    from airgap.flow.bundle.tag import parse_tag
    from airgap.flow.depot import list_tags
    from airgap.flow.location.location import parse_depot

    wanted = parse_tag(tag, "model" if is_model else "bento")
    if depot is None:
        return _here(wanted)
    location = parse_depot(depot)
    newest, listing = list_tags.find_in(location, wanted, connector)
    others = [one["bundle"] for one in listing.bundles if one["bundle"] != newest["bundle"]]
    why = listing.why_not_verified
    about = {
        "tag": str(wanted),
        "depot": str(location),
        **newest,
        "other_bundles": others,
        "not_verified_because": why or None,
    }
    lines = [f"NOT VERIFIED: {why}"] if why else []
    lines += bundle_lines(newest)
    lines += [f"another that fits: bundle {one}" for one in others]
    return Result(about, lines)


def _here(wanted: "Tag") -> Result:
    from airgap.flow.depot import list_tags

    one = list_tags.get_stored(wanted)
    lines = [f"{one['kind']} {one['tag']}", f"created {one['created_at']}", one["path"]]
    if one["size"] is not None:
        lines.insert(2, size_text(one["size"]))
    lines += [f"needs model {model}" for model in one.get("models", ())]
    lines += [f"DAMAGED: {one['problem']}"] if one["problem"] else []
    return Result(one, lines)
