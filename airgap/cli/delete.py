"""``airgap delete``: take bundles out of a depot."""

import sys
from typing import TYPE_CHECKING

import click

from airgap.cli.output import Result, location_options, reports
from airgap.errors import UsageError

if TYPE_CHECKING:
    from airgap.flow.depot.delete import DeletionCandidate
    from airgap.flow.location.connector import Connector


@click.command(name="delete")
@click.argument("words", nargs=-1, required=True, metavar="[TAG] DEPOT")
@click.option("--model", "is_model", is_flag=True, help="TAG is a model's, not a Bento's.")
@click.option("--yes", "-y", is_flag=True, allow_from_autoenv=False, help="Do not ask.")
@reports
@location_options
def command(*, words: tuple[str, ...], is_model: bool, yes: bool, connector: "Connector") -> Result:
    """Delete the bundles with TAG from DEPOT, or one bundle: DEPOT#ID.

    TAG needs its version. A bundle that holds other Bentos besides is only deleted by its id. Its
    packs stay until `airgap gc DEPOT`. What sites have imported stays there.
    """
    from airgap.flow.bundle.tag import parse_tag
    from airgap.flow.depot import delete, open_depot
    from airgap.flow.location.location import parse_depot

    if len(words) > 2:  # noqa: PLR2004
        raise UsageError("That is more than a tag and a depot.", "See `airgap delete --help`.")
    location = parse_depot(words[-1])
    tag = None
    if len(words) > 1:
        tag = parse_tag(words[0], "model" if is_model else "bento")
    if tag is not None and not tag.version:
        raise UsageError(f"{words[0]!r:.200} has no version.", "Name the one that is to go.")
    if tag is None and not location.bundle:
        raise UsageError("That would be all bundles.", "Give a tag, or name one: DEPOT#ID.")
    with open_depot.open_depot(location, connector) as depot:
        doomed = delete.find_deletion_candidates(depot, location.bundle, tag)
        if not yes:
            _ask(doomed)
        for one in doomed:
            delete.delete_bundle(depot, one.bundle)
    about = [{"bundle": one.bundle, "items": [str(item) for item in one.items]} for one in doomed]
    lines = [line for one in doomed for line in _lines(one, "deleted")]
    return Result({"deleted": about}, [*lines, "Packs that nothing needs any more: `airgap gc`."])


def _ask(doomed: "list[DeletionCandidate]") -> None:
    """Ask the person at the terminal.

    Raises:
        UsageError: there is none.
    """
    for line in (line for one in doomed for line in _lines(one, "to delete:")):
        click.echo(line, err=True)
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError("Nobody can be asked here.", "Give --yes if it is meant.")
    click.confirm("Delete?", abort=True, err=True)


def _lines(one: "DeletionCandidate", verb: str) -> list[str]:
    return [f"{verb} bundle {one.bundle}", *(f"  {item}" for item in one.items)]
