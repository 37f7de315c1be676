"""``airgap archive renew``: stamp the stamps of an archive again before they end."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.https_options import https_options
from airgap.cli.output import Result, location_options, reports
from airgap.cli.terminal import ClaimLine
from airgap.cli.times import read_span

if TYPE_CHECKING:
    from airgap.flow.archive.renew import Renewal
    from airgap.flow.location.connector import Connector
    from airgap.flow.location.https_way import HttpsWay


@click.command(name="renew", cls=HelpCommand)
@click.argument("archive", metavar="ARCHIVE")
@click.option("--tsa", metavar="URL", help="Ask this server (RFC 3161 over HTTP or HTTPS).")
@https_options("server")
@click.option(
    "--request",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write the requests here, to carry them to an authority: a folder for each bundle.",
)
@click.option(
    "--response",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Take the authority's answers to --request from here, in the same folders.",
)
@click.option(
    "--certificate",
    "certificates",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Put this certificate of an authority beside the stamps (PEM or DER); repeat it.",
)
@click.option(
    "--before",
    metavar="SPAN",
    default="180d",
    show_default=True,
    help="Renew stamps whose certificate ends within this time.",
)
@click.option(
    "--hash",
    "algorithm",
    type=click.Choice(["sha256", "sha512"]),
    default="sha256",
    show_default=True,
    help="The hash of the new stamps; with sha512, also stamp an index of all files.",
)
@reports
@location_options
def renew(  # noqa: PLR0913  (one argument per option)
    *,
    archive: str,
    tsa: str | None,
    ca_file: Path | None,
    way: "HttpsWay",
    request: Path | None,
    response: Path | None,
    certificates: tuple[Path, ...],
    before: str,
    algorithm: str,
    connector: "Connector",
) -> Result:
    """Have an authority stamp the stamps of an archive again, before their certificates end.

    Goes over all bundles; each chain that is due gets its next stamp. With --hash sha512, also
    makes an index of the SHA-512 of every file, if one is not in the last index, and has that
    stamped. Old stamps are never removed. Exits with the code of the first problem; what can be
    renewed is renewed all the same.
    """
    from airgap.flow.archive.describe_work import describe_renewal
    from airgap.flow.archive.renew import RenewRequest, renew_archive
    from airgap.flow.location.location import parse_depot
    from airgap.flow.timestamps.stamp import ServerOptions

    done = renew_archive(
        RenewRequest(
            parse_depot(archive),
            read_span(before),
            "sha512" if algorithm == "sha512" else "sha256",
            ServerOptions(tsa, ca_file, way) if tsa else None,
            request,
            response,
            certificates,
        ),
        connector,
    )
    code = done.problems[0].exit_code if done.problems else 0
    return Result(describe_renewal(done), list(_lines(done)), code)


def _lines(done: "Renewal") -> Iterator[str]:
    from airgap.times import format_time

    if done.index:
        yield f"Added {done.index}"
    for one in done.added:
        where = f"bundle {one.bundle}: " if one.bundle else ""
        yield f"{where}{one.stamp.file}: {format_time(one.stamp.stamp.time)}"
        yield ClaimLine(f"  by {one.stamp.stamp.signer}")
    yield from (f"Request: {path}" for path in done.requests)
    yield from (f"No answer: {file}" for file in done.unanswered)
    for problem in done.problems:
        yield ClaimLine(f"NOT RENEWED: {problem.message}")
        yield f"  {problem.hint}"
    if not (done.added or done.requests or done.problems or done.unanswered):
        yield "No stamp is due."
