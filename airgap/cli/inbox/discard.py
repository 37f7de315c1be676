"""``airgap inbox discard``: remove what was pushed."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.inbox.options import (
    describe_pushed,
    inbox_argument,
    model_option,
    open_inbox,
    read_tag,
)
from airgap.cli.output import Result, reports, size_text
from airgap.errors import UsageError

if TYPE_CHECKING:
    from airgap.flow.inbox.inbox import Inbox, PushedTag


@click.command(cls=HelpCommand)
@inbox_argument
@click.argument("tags", metavar="[TAG]...", nargs=-1)
@model_option
@click.option("--signed", is_flag=True, help="Everything that a builder has signed.")
@click.option(
    "--older-than", metavar="SPAN", help="Everything that was pushed before this: 30d, 12h."
)
@reports
def discard(
    *, folder: Path, tags: tuple[str, ...], model: bool, signed: bool, older_than: str | None
) -> Result:
    """Remove items from INBOX: those of TAG, those that are signed, or the old ones.

    Nothing of a depot is touched. A push that needs a signed model again sends it again.
    """
    if bool(tags) + signed + bool(older_than) != 1:
        raise UsageError(
            "What to discard is not clear.", "Give TAGs, or --signed, or --older-than."
        )
    inbox = open_inbox(folder)
    chosen = [read_tag(tag, model=model) for tag in tags] or _choose(inbox, signed, older_than)
    gone = [inbox.discard(tag) for tag in chosen]
    lines = [f"Discarded the {item.tag} ({size_text(item.size)})" for item in gone]
    return Result(
        {"discarded": [describe_pushed(item) for item in gone]}, lines or ["Nothing to discard."]
    )


def _choose(inbox: "Inbox", signed: bool, older_than: str | None) -> list["PushedTag"]:  # noqa: FBT001
    from airgap.cli.times import read_span

    if signed:
        return [item.tag for item in inbox.list_items() if item.bundle]
    before = time.time() - read_span(older_than or "")
    return [item.tag for item in inbox.list_items() if item.received_at < before]
