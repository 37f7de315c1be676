"""``airgap archive check``: compare an archive with its digests, and sign the result."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.archive.options import open_recorder, sign_option
from airgap.cli.help import HelpCommand
from airgap.cli.output import OutputPath, Result, jobs_option, location_options, reports
from airgap.cli.times import read_span

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="check", cls=HelpCommand)
@click.argument("archive", metavar="ARCHIVE")
@click.option("--sample", metavar="PERCENT", help="Read only this part of the packs, such as 5%.")
@click.option(
    "--older-than",
    metavar="SPAN",
    help="Leave out packs that were read within this time, such as 90d, by signed results.",
)
@click.option("--shard", metavar="N/COUNT", help="Check only this part of the archive: 3/64.")
@click.option(
    "--seed",
    metavar="SEED",
    help="Choose the sample by this text, which is in the result; default: by chance.",
)
@click.option("--mend", is_flag=True, help="Write bad packs again from parity.")
@click.option(
    "--from",
    "copies",
    metavar="DEPOT",
    multiple=True,
    help="Write bad packs again from this copy of the archive; repeat it.",
)
@click.option("--read-only", is_flag=True, help="Write nothing into the archive, nor the result.")
@click.option(
    "--output", "-o", metavar="FILE", type=OutputPath(), help="Write the signed result there, too."
)
@sign_option
@jobs_option
@reports
@location_options
def check(  # noqa: PLR0913  (one argument per option)
    *,
    archive: str,
    sample: str | None,
    older_than: str | None,
    shard: str | None,
    seed: str | None,
    mend: bool,
    copies: tuple[str, ...],
    read_only: bool,
    output: Path | None,
    key: str | None,
    passphrase_env: str | None,
    passphrase_fd: int | None,
    jobs: int | None,
    connector: "Connector",
) -> Result:
    """Read an archive, and compare all of it with its digests and signatures.

    Each pack is read once, however many bundles need it. A check that was killed goes on where it
    was, if the same command is run again. With --sign, the result is a signed statement in
    ARCHIVE, and counts for --older-than; `airgap archive merge` makes one of the results of all
    shards.

    Exits with 10 if something is damaged, 11 if a bundle is not signed by builders that this
    machine's root names or named, and 13 if something is missing. Warnings and what was mended
    change nothing.
    """
    del jobs  # in the connector
    from airgap.cli.lines.archive_checks import check_lines, find_check_exit_code
    from airgap.flow.archive.check_archive import ArchiveCheckRequest, check_archive
    from airgap.flow.archive.describe_check import describe_archive_check
    from airgap.flow.archive.parts import read_sample, read_shard
    from airgap.flow.location.location import parse_depot

    request = ArchiveCheckRequest(
        parse_depot(archive),
        shard=read_shard(shard),
        parts=read_sample(sample),
        older_than=None if older_than is None else read_span(older_than),
        seed=seed or "",
        signer=open_recorder(key, passphrase_env, passphrase_fd),
        output=output,
        is_mending=mend,
        sources=[parse_depot(copy) for copy in copies],
        is_read_only=read_only,
    )
    data = describe_archive_check(check_archive(request, connector))
    return Result(data, list(check_lines(data)), find_check_exit_code(data))
