"""``airgap scan``: say what the files of a bundle would run."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import (
    OutputPath,
    Result,
    admission_options,
    depot_option,
    jobs_option,
    location_options,
    reports,
    tmpdir_option,
)
from airgap.cli.passphrases import passphrase_options, read_passphrase

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="scan", cls=HelpCommand)
@click.argument("source", metavar="SRC")
@click.option(
    "--policy",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What is permitted, and the site's scanners; default: scan.toml in the state folder.",
)
@click.option(
    "--with",
    "commands",
    metavar="COMMAND",
    multiple=True,
    help="Also ask this scanner, which gets a folder as its last argument; repeat it.",
)
@click.option(
    "--report",
    metavar="FILE",
    type=OutputPath(dir_okay=False),
    help="Write the report here; --sign needs it.",
)
@click.option(
    "--sign",
    "key",
    metavar="KEY",
    default=None,
    help="If every file is accepted, sign that as a scanner, and attach the report.",
)
@passphrase_options
@admission_options
@depot_option
@tmpdir_option
@jobs_option
@reports
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    source: str,
    policy: Path | None,
    commands: tuple[str, ...],
    report: Path | None,
    key: str | None,
    passphrase_env: str | None,
    passphrase_fd: int | None,
    waivers: tuple[Path, ...],
    channel: str | None,
    depots: tuple[str, ...],
    tmpdir: Path | None,
    jobs: int | None,
    connector: "Connector",
) -> Result:
    """Say what the files of the bundle in SRC would run when they are loaded.

    Judges each file by its content and loads none. What is not on a list of what is permitted is
    refused: a name that a pickle asks for, an operator of another library, a file of no known form.
    The bundle must be admitted by the site that this machine trusts; attestations may be missing.

    Exits with 12 if a file is refused, or is code outside of a Bento's own sources.
    """
    from airgap.cli.lines.scans import scan_lines
    from airgap.errors import PolicyError, UsageError
    from airgap.flow.importing.scan_bundle import ScanRequest, scan_bundle
    from airgap.flow.importing.use_case import ImportRequest
    from airgap.flow.location.location import parse_location
    from airgap.flow.scanning.report import describe_scan, write_report

    if key and report is None:
        raise UsageError("--sign needs a report to sign.", "Add --report FILE.")
    request = ImportRequest(
        [parse_location(source)],
        waivers=waivers,
        channel=channel,
        depots=[parse_location(depot) for depot in depots],
        jobs=jobs,
        credentials=connector.credentials,
        transfer=connector.transfer,
    )
    scan = scan_bundle(ScanRequest(request, policy, commands, tmpdir), connector.progress)
    if report is not None:
        write_report(report, scan)
    data = {**describe_scan(scan), "signed_by": None}
    lines = list(scan_lines(scan))
    if key and report is not None and not scan.refused:
        from airgap.cli.attest import sign_statement
        from airgap.flow.trust.attest import Statement

        ask = read_passphrase(passphrase_env, passphrase_fd)
        statement = Statement("scanner", "accept", findings=report)
        signed = sign_statement(source, scan.bundle, statement, key, ask, connector)
        return Result({**data, "signed_by": signed.data["signed_by"]}, [*lines, *signed.lines])
    return Result(data, lines, PolicyError.exit_code if scan.refused else 0)
