"""``airgap root set-policy``: say which policy file the site uses."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits
from airgap.errors import UsageError


@click.command(name="set-policy", cls=HelpCommand)
@edits
@click.argument("name")
@click.argument("policy", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@click.option("--lift", is_flag=True, help="Say nothing of this policy any more.")
@reports
def command(
    *, root: Path, output: Path | None, name: str, policy: Path | None, lift: bool
) -> Result:
    """Say that the site uses the policy in FILE for NAME, such as licence or malware.

    The root gets the file's SHA-256, so that no machine of the site uses another one.
    """
    from airgap.flow.trust.authorities import digest_policy
    from airgap.format import root_edits

    if lift == (policy is not None):
        raise UsageError("A policy is a file.", "Give FILE, or --lift without one.")
    digest = None if policy is None else digest_policy(policy)
    return edit(root, lambda old: root_edits.set_policy(old, name, digest), output)
