"""``airgap inbox show``: what a pushed item holds, and whether this machine has the same."""

from pathlib import Path
from typing import Final

import click

from airgap.cli.help import HelpCommand
from airgap.cli.inbox.options import (
    describe_pushed,
    inbox_argument,
    model_option,
    open_inbox,
    pushed_lines,
    read_tag,
)
from airgap.cli.output import Result, answers, size_text
from airgap.cli.terminal import ClaimLine, Line
from airgap.errors import CorruptError, NotTrustedError

_SAID: Final = {
    "same": "This machine has the same, byte for byte.",
    "different": "This machine has another one of this tag.",
    "absent": "This machine has none of this tag.",
}


@click.command(cls=HelpCommand)
@inbox_argument
@click.argument("tag", metavar="TAG")
@model_option
@answers
def show(*, folder: Path, tag: str, model: bool) -> Result:
    """Show the files of a pushed item, and compare it with the one of this machine's own store.

    Exits with 10 if the item is not what was pushed any more, and with 11 if the own store has
    another one.
    """
    from airgap.flow.inbox.sign import compare_with_store, list_needed, read_pushed
    from airgap.format.inventory import File

    inbox = open_inbox(folder)
    pushed, item = read_pushed(inbox, read_tag(tag, model=model))
    needed = list_needed(inbox, pushed.tag)
    is_whole = item.digest.hex() == pushed.digest
    comparison = compare_with_store(pushed.tag, pushed.digest)
    files = [entry for entry in item.entries if isinstance(entry, File)]
    data = describe_pushed(pushed) | {
        "is_whole": is_whole,
        "own_store": comparison,
        "needs": [f"{other.name}:{other.version}" for other in needed],
        "files": [
            {"path": file.path, "size": file.size, "sha256": file.digest.hex()} for file in files
        ],
    }
    lines: list[Line] = [*pushed_lines(pushed)]
    lines += [f"  needs {other}" for other in needed]
    lines += [
        ClaimLine(f"  {file.path} ({size_text(file.size)}) {file.digest.hex()}") for file in files
    ]
    if not is_whole:
        lines.append(f"CHANGED since it was pushed: its digest is {item.digest.hex()} now.")
    lines.append(_SAID[comparison])
    code = NotTrustedError.exit_code if comparison == "different" else 0
    return Result(data, lines, code if is_whole else CorruptError.exit_code)
