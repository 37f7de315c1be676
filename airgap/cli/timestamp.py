"""``airgap timestamp``: have an authority prove when a signature or a checkpoint existed."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airgap.cli.help import HelpCommand
from airgap.cli.https_options import https_options
from airgap.cli.output import Result, location_options, reports
from airgap.cli.signing import bundle_option
from airgap.cli.terminal import ClaimLine
from airgap.cli.times import read_span
from airgap.errors import UsageError

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector
    from airgap.flow.location.https_way import HttpsWay
    from airgap.flow.timestamps.use_case import StampResult, StampRun


@click.command(name="timestamp", cls=HelpCommand)
@click.argument("source", metavar="SRC")
@bundle_option
@click.option("--tsa", metavar="URL", help="Ask this server (RFC 3161 over HTTP or HTTPS).")
@https_options("server")
@click.option(
    "--request",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the request here, to carry it to an authority; a folder gets one for each file.",
)
@click.option(
    "--response",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Take the authority's answer to --request from here.",
)
@click.option(
    "--certificate",
    "certificates",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Put this certificate of an authority beside the stamps (PEM or DER); repeat it.",
)
@click.option("--renew", is_flag=True, help="Stamp the last stamp of each file again.")
@click.option(
    "--before",
    metavar="SPAN",
    help="With --renew: only where the certificate ends within this time, such as 26w.",
)
@click.option(
    "--hash",
    "algorithm",
    type=click.Choice(["sha256", "sha512"]),
    default="sha256",
    show_default=True,
    help="The hash of the new stamps.",
)
@click.option(
    "--index", is_flag=True, help="Make an index of the SHA-512 of every file, and stamp that too."
)
@click.option(
    "--file", "only", metavar="NAME", multiple=True, help="Stamp only this file; repeat it."
)
@reports
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    source: str,
    bundle: str | None,
    tsa: str | None,
    ca_file: Path | None,
    way: "HttpsWay",
    request: Path | None,
    response: Path | None,
    certificates: tuple[Path, ...],
    renew: bool,
    before: str | None,
    algorithm: str,
    index: bool,
    only: tuple[str, ...],
    connector: "Connector",
) -> Result:
    """Have an authority prove by when the signatures of the bundle in SRC existed.

    SRC is a depot, DEPOT#ID, a .airgap file, or a checkpoint of a ledger. Each signature without a
    stamp gets one: from --tsa, or by hand with --request and then --response. With neither, lists
    the stamps. A stamp travels with the bundle, and is never removed; no import reads it.
    """
    from airgap.flow.timestamps.stamp import ServerOptions, StampOptions
    from airgap.flow.timestamps.use_case import StampRun, run_stamping

    if before is not None and not renew:
        raise UsageError("--before is for --renew.", "Give --renew too.")
    run = StampRun(
        source,
        bundle,
        StampOptions(
            renew,
            None if before is None else read_span(before),
            "sha512" if algorithm == "sha512" else "sha256",
            only,
        ),
        server=ServerOptions(tsa, ca_file, way) if tsa else None,
        request=request,
        response=response,
        certificates=certificates,
        index=index,
    )
    return _make_result(run, run_stamping(run, connector))


def _make_result(run: "StampRun", done: "StampResult") -> Result:
    from airgap.flow.timestamps.describe import describe_result

    data = describe_result(done)
    return Result(data, list(_lines(run, done, data)))


def _lines(run: "StampRun", done: "StampResult", data: dict[str, Any]) -> Iterator[str]:
    from airgap.cli.lines.stamps import chain_lines

    yield from (f"Added {file}" for file in done.certificates)
    if done.index:
        yield f"Added {done.index}"
    for stamp in data["added"]:
        yield f"Stamped {stamp['over']}: {stamp['time']}"
        yield ClaimLine(f"  by {stamp['signer']}")
    yield from (f"Request: {path}" for path in done.requests)
    if run.is_listing:
        yield from chain_lines(data["stamps"])
    elif not (done.added or done.requests):
        yield "Nothing is due for a time stamp."
    if done.bundle:
        yield f"bundle {done.bundle}"
