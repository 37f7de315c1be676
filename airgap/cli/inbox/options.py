"""What the commands on an inbox have in common: the inbox, a tag, and how an item is shown."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airgap.cli.output import size_text
from airgap.cli.terminal import ClaimLine, Line
from airgap.times import format_time

if TYPE_CHECKING:
    from airgap.flow.inbox.inbox import Inbox, PushedItem, PushedTag

__all__ = [
    "describe_pushed",
    "inbox_argument",
    "model_option",
    "open_inbox",
    "pushed_lines",
    "read_tag",
]


inbox_argument = click.argument("folder", metavar="INBOX", type=click.Path(path_type=Path))
model_option = click.option("--model", is_flag=True, help="TAG is that of a model, not of a Bento.")


def open_inbox(folder: Path) -> "Inbox":
    """Open an inbox. Raises MissingError: the folder is not one."""
    from airgap.flow.inbox.inbox import Inbox

    inbox = Inbox(folder.absolute())
    inbox.require()
    return inbox


def read_tag(text: str, *, model: bool) -> "PushedTag":
    """Read the tag of an item. Raises UsageError: it is not one."""
    from airgap.flow.inbox.inbox import parse_pushed_tag
    from airgap.format.kinds import BENTO, MODEL

    return parse_pushed_tag(text, MODEL.name if model else BENTO.name)


def describe_pushed(item: "PushedItem") -> dict[str, Any]:
    """Describe an item for --json."""
    return {
        "kind": item.tag.kind,
        "name": item.tag.name,
        "version": item.tag.version,
        "digest": item.digest,
        "size": item.size,
        "pushed_by": item.pushed_by,
        "received_at": format_time(item.received_at),
        "labels": dict(item.labels),
        "bundle": item.bundle,
    }


def pushed_lines(item: "PushedItem") -> list[Line]:
    """Say what was pushed, by whom and when."""
    by = f" by {item.pushed_by}" if item.pushed_by else ""
    lines: list[Line] = [
        f"{item.tag} ({size_text(item.size)}), pushed{by} {format_time(item.received_at)}",
        f"  digest {item.digest}",
    ]
    if item.bundle:
        lines.append(f"  signed in bundle {item.bundle}")
    lines += [ClaimLine(f"  label {key}={value}") for key, value in sorted(item.labels.items())]
    return lines
