"""``airgap scan``: say what the files of a bundle would run."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.bom import demand_one_source
from airgap.cli.help import HelpCommand
from airgap.cli.output import (
    OutputPath,
    Result,
    admission_options,
    depot_option,
    identity_option,
    jobs_option,
    location_options,
    reports,
    tmpdir_option,
)
from airgap.cli.passphrases import passphrase_options, read_passphrase

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="scan", cls=HelpCommand)
@click.argument("sources", nargs=-1, metavar="[SRC]...")
@click.option(
    "--installed", is_flag=True, help="SRC are installed items, by tag; without SRC, all of them."
)
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
@identity_option
@depot_option
@tmpdir_option
@jobs_option
@reports
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    sources: tuple[str, ...],
    installed: bool,
    policy: Path | None,
    commands: tuple[str, ...],
    report: Path | None,
    key: str | None,
    passphrase_env: str | None,
    passphrase_fd: int | None,
    waivers: tuple[Path, ...],
    channel: str | None,
    identities: tuple[str, ...],
    depots: tuple[str, ...],
    tmpdir: Path | None,
    jobs: int | None,
    connector: "Connector",
) -> Result:
    """Say what the files of the bundle in SRC, or of installed items, would run when loaded.

    Judges each file by its content and loads none. What is not on a list of what is permitted is
    refused: a name that a pickle asks for, an operator of another library, a file of no known form.
    The bundle must be admitted by the site that this machine trusts; attestations may be missing.
    Of installed items, wheelhouses and images are left out: they are programs.

    Exits with 12 if a file is refused, or is code outside of a Bento's own sources.
    """
    from airgap.cli.lines.scans import scan_lines
    from airgap.errors import PolicyError
    from airgap.flow.scanning.report import describe_scan, write_report

    _refuse_useless(installed=installed, key=key, report=report)
    if installed:
        from airgap.flow.installed.item_name import parse_item_name
        from airgap.flow.installed.scan import InstalledScanRequest, scan_installed

        names = [parse_item_name(source) for source in sources]
        scan = scan_installed(InstalledScanRequest(names, policy, commands), connector.progress)
    else:
        from airgap.flow.importing.scan_bundle import ScanRequest, scan_bundle
        from airgap.flow.importing.use_case import ImportRequest
        from airgap.flow.location.location import parse_location

        request = ImportRequest(
            [parse_location(demand_one_source(sources))],
            waivers=waivers,
            channel=channel,
            identities=identities,
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
        signed = sign_statement(sources[0], scan.bundle, statement, key, ask, connector)
        return Result({**data, "signed_by": signed.data["signed_by"]}, [*lines, *signed.lines])
    return Result(data, lines, PolicyError.exit_code if scan.refused else 0)


def _refuse_useless(*, installed: bool, key: str | None, report: Path | None) -> None:
    """Refuse to sign what is not a report of a bundle. Raises UsageError."""
    from airgap.errors import UsageError

    if key and installed:
        raise UsageError(
            "--sign is for bundles: no attestation is about installed items.",
            "Leave out --sign, or name a bundle.",
        )
    if key and report is None:
        raise UsageError("--sign needs a report to sign.", "Add --report FILE.")
