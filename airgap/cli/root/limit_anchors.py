"""``airgap root limit-anchors``: say which options may recognize servers."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits
from airgap.errors import UsageError


@click.command(name="limit-anchors", cls=HelpCommand)
@edits
@click.argument("options", metavar="[OPTION]...", nargs=-1)
@click.option("--any", "allow_any", is_flag=True, help="Allow all of them again.")
@reports
def command(
    *, root: Path, output: Path | None, options: tuple[str, ...], allow_any: bool
) -> Result:
    """Let the config files of the site use only these options to recognize servers.

    OPTION is ca, known_hosts, endpoint, proxy_command, ssh_config or insecure_http; without any,
    only what the operating system trusts is accepted.
    """
    from airgap.format import root_edits

    if allow_any and options:
        raise UsageError("--any and options contradict each other.", "Give one or the other.")
    anchors = None if allow_any else options
    return edit(root, lambda old: root_edits.set_trust_anchors(old, anchors), output)
