"""``airgap scan``: say what the files of items would run."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.progress import make_progress


@click.command(name="scan", cls=HelpCommand)
@click.argument("tags", nargs=-1, metavar="[TAG]...")
@click.option(
    "--model", "models", multiple=True, metavar="NAME:VERSION", help="Also this BentoML model."
)
@click.option("--no-models", is_flag=True, help="Leave out the models that the Bentos name.")
@click.option(
    "--policy",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What is permitted beside the sources of a Bento: [[permit]] in TOML.",
)
@click.option(
    "--report",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Also write the report here, for `airgap attest --findings`.",
)
@reports
def command(
    *,
    tags: tuple[str, ...],
    models: tuple[str, ...],
    no_models: bool,
    policy: Path | None,
    report: Path | None,
) -> Result:
    """Say what the files of the Bentos TAG, and of the models they name, would run when loaded.

    Judges each file by its content and loads none. What is not on a list of what is permitted is
    refused: a name that a pickle asks for, an operator of another library, a file of no known form.

    Exits with 12 if a file is refused, or is a program outside of a Bento's own sources.
    """
    from airgap.cli.lines.scans import scan_lines
    from airgap.errors import PolicyError
    from airgap.flow.scanning.policy import DEFAULT_POLICY, read_policy
    from airgap.flow.scanning.scan_items import describe_scan, scan_items, write_report
    from airgap.format.kinds import BENTO, MODEL

    permitted = read_policy(policy) if policy else DEFAULT_POLICY
    wanted = {BENTO.name: tags, MODEL.name: models}
    scan = scan_items(wanted, permitted, make_progress(), with_models=not no_models)
    if report:
        write_report(report, scan)
    code = 0 if scan.is_accepted else PolicyError.exit_code
    return Result(describe_scan(scan), scan_lines(scan), code)
