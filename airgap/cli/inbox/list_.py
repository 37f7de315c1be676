"""``airgap inbox list``: what was pushed and is not signed yet."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.inbox.options import describe_pushed, inbox_argument, open_inbox, pushed_lines
from airgap.cli.output import Result, answers
from airgap.cli.terminal import Line


@click.command(name="list", cls=HelpCommand)
@inbox_argument
@click.option("--all", "also_signed", is_flag=True, help="Also what is signed, and still there.")
@answers
def list_pushed(*, folder: Path, also_signed: bool) -> Result:
    """List what was pushed into INBOX and waits for a builder's signature."""
    items = open_inbox(folder).list_items()
    shown = [item for item in items if also_signed or not item.bundle]
    lines: list[Line] = [line for item in shown for line in pushed_lines(item)]
    if not shown:
        lines = [f"Nothing in {folder} waits for a signature."]
    return Result({"items": [describe_pushed(item) for item in shown]}, lines)
