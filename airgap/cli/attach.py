"""``airgap attach``: let a file travel with a bundle."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, location_options, reports, size_text
from airgap.cli.signing import bundle_option

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="attach", cls=HelpCommand)
@click.argument("sources", nargs=-1, required=True, metavar="SRC...")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@bundle_option
@click.option(
    "--name",
    metavar="NAME",
    default="",
    help="What its name among the attachments begins with; default: as FILE is called.",
)
@reports
@location_options
def command(
    *,
    sources: tuple[str, ...],
    path: Path,
    bundle: str | None,
    name: str,
    connector: "Connector",
) -> Result:
    """Let FILE travel with the bundle in SRC, byte for byte, wherever the bundle is copied.

    SRC is a depot, DEPOT#ID, a .airgap file, or volumes of one bundle. FILE is evidence of others:
    a model's signature, an in-toto statement, a scanner's output. airgap does not check it, needs
    no key for it, and relies on it for nothing.
    """
    from airgap.flow.bundle.foreign_file import read_foreign_file
    from airgap.flow.bundle.open_to_sign import name_bundle
    from airgap.flow.bundle.reports import describe_files, judge_files
    from airgap.flow.evidence.attach_file import attach_file
    from airgap.flow.location.location import parse_location

    foreign = read_foreign_file(path, name)
    locations = [name_bundle(parse_location(source), bundle) for source in sources]
    attached = attach_file(locations, foreign, connector.progress, connector)
    judged = judge_files({foreign.file: foreign.data}, attached, None)
    (description,) = describe_files(judged)
    lines = [
        f"Attached, and not checked by airgap ({size_text(len(foreign.data))}):",
        f"  {foreign.stem}",
        f"  {foreign.key_id}",
        f"  {foreign.kind}",
        f"bundle {attached}",
    ]
    return Result({"bundle": attached, **description}, lines)
