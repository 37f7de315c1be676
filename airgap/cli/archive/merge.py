"""``airgap archive merge``: make one result of those of all shards."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.archive.options import open_recorder, sign_option
from airgap.cli.help import HelpCommand
from airgap.cli.output import OutputPath, Result, location_options, reports

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="merge", cls=HelpCommand)
@click.argument(
    "results", metavar="RESULT...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--archive",
    metavar="ARCHIVE",
    help="Compare the results with this archive, and store the merged one in it.",
)
@click.option("--output", "-o", metavar="FILE", type=OutputPath(), help="Write it there.")
@sign_option
@reports
@location_options
def merge(  # noqa: PLR0913  (one argument per option)
    *,
    results: tuple[Path, ...],
    archive: str | None,
    output: Path | None,
    key: str | None,
    passphrase_env: str | None,
    passphrase_fd: int | None,
    connector: "Connector",
) -> Result:
    """Verify the results of all shards of a check, and make one result of them.

    Each must be signed by a recorder that this machine's root names, and all must be of one state
    of one archive. Refused if a shard is missing, or has two different results. The exit codes are
    those of `airgap archive check`.
    """
    from airgap.cli.lines.archive_checks import check_lines, find_check_exit_code
    from airgap.flow.archive.describe_check import describe_archive_check
    from airgap.flow.archive.merge import MergeRequest, merge_results
    from airgap.flow.location.location import parse_depot

    request = MergeRequest(
        results,
        open_recorder(key, passphrase_env, passphrase_fd),
        output,
        None if archive is None else parse_depot(archive),
    )
    data = describe_archive_check(merge_results(request, connector))
    return Result(data, list(check_lines(data)), find_check_exit_code(data))
