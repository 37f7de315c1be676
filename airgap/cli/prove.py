"""``airgap prove``: serve an installed Bento where there is no network."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.progress import make_progress
from airgap.cli.proof_options import proof_options

if TYPE_CHECKING:
    from airgap.flow.proof.prove import ProofOptions


@click.command(name="prove", cls=HelpCommand)
@click.argument("tag", metavar="TAG")
@reports
@proof_options
def command(*, tag: str, options: "ProofOptions", report: Path | None) -> Result:
    """Serve the Bento TAG without a network, and say what it asks for.

    It gets a fresh home, and a fresh environment from its wheelhouse. When it is ready, an example
    request is sent: many Bentos look for data only then. Each host that is asked for is named, with
    the line of the Bento that led there; the exit code is 13 then, or if it does not run.
    """
    from airgap.cli.lines.proofs import make_result
    from airgap.flow.proof.prove import prove

    return make_result([prove(tag, options, make_progress())], report)
