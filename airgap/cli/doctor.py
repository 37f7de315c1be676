"""``airgap doctor``: check this machine's setup and say what to fix."""

import click

from airgap.cli.findings import report_findings
from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers


@click.command(name="doctor", cls=HelpCommand)
@answers
def command() -> Result:
    """Check this machine's setup and say what to fix. Changes nothing.

    Checks Python and its packages, airgap's state and root, keys, the clock, the stores, and what a
    hardened host may forbid: FIPS mode, SELinux, noexec mounts, fapolicyd.
    """
    from airgap.flow.doctor.diagnose import diagnose

    return report_findings(list(diagnose()), "This machine's setup")
