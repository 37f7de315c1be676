"""``airgap delete``: delete bundles from a depot."""

from typing import TYPE_CHECKING

import click

from airgap.cli import terminal
from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, location_options, reports
from airgap.errors import UsageError
from airgap.printable import quote

if TYPE_CHECKING:
    from airgap.flow.depot.delete import DeletionCandidate
    from airgap.flow.location.connector import Connector


@click.command(name="delete", cls=HelpCommand)
@click.argument("words", nargs=-1, required=True, metavar="[TAG] DEPOT")
@click.option("--model", "is_model", is_flag=True, help="TAG names a model, not a Bento.")
@click.option("--yes", "-y", is_flag=True, allow_from_autoenv=False, help="Do not ask.")
@reports
@location_options
def command(*, words: tuple[str, ...], is_model: bool, yes: bool, connector: "Connector") -> Result:
    """Delete the bundles with TAG from DEPOT, or one bundle: DEPOT#ID.

    TAG needs its version. A bundle that also holds other Bentos is only deleted by its ID. Packs
    stay until `airgap gc DEPOT`. What sites have imported stays there. What a compliance archive
    keeps is not deleted (`airgap archive`).
    """
    from airgap.flow.bundle.tag import parse_tag
    from airgap.flow.depot import delete, open_depot
    from airgap.flow.location.location import parse_depot

    if len(words) > 2:  # noqa: PLR2004
        raise UsageError(
            f"{len(words)} arguments are more than a tag and a depot.",
            "See `airgap delete --help`.",
        )
    location = parse_depot(words[-1])
    tag = None
    if len(words) > 1:
        tag = parse_tag(words[0], "model" if is_model else "bento")
    if tag is not None and not tag.version:
        raise UsageError(f"{quote(words[0])} has no version.", "Name the version to delete.")
    if tag is None and not location.bundle:
        raise UsageError("That would delete all bundles.", "Give a tag, or name one: DEPOT#ID.")
    with open_depot.open_depot(location, connector) as depot:
        candidates = delete.find_deletion_candidates(depot, location.bundle, tag)
        if not yes:
            _ask(candidates)
        delete.delete_candidates(depot, candidates, connector.progress)
    deleted = [
        {"bundle": candidate.bundle, "items": [str(item) for item in candidate.items]}
        for candidate in candidates
    ]
    lines = [line for candidate in candidates for line in _lines(candidate, "deleted")]
    lines.append("`airgap gc` removes the packs that no bundle needs any more.")
    return Result({"deleted": deleted}, lines)


def _ask(candidates: "list[DeletionCandidate]") -> None:
    """Ask the person at the terminal.

    Raises:
        UsageError: there is no terminal.
    """
    report = [line for candidate in candidates for line in _lines(candidate, "to delete:")]
    for line in report:
        terminal.print_line(line, err=True)
    if not terminal.can_ask():
        raise UsageError("There is no terminal to ask at.", "Give --yes to delete without asking.")
    terminal.confirm("Delete?")


def _lines(candidate: "DeletionCandidate", verb: str) -> list[str]:
    return [f"{verb} bundle {candidate.bundle}", *(f"  {item}" for item in candidate.items)]
