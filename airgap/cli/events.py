"""What services tell while they run: a line per event, on standard error."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import click

from airgap.server.service import warning_for_root

__all__ = ["make_tell", "warn_root"]


def make_tell() -> Callable[[Mapping[str, Any]], None]:
    """Return what suits the place: plain lines, JSON with ``--json``, nothing with ``--quiet``."""
    chosen = click.get_current_context().obj

    def tell(line: Mapping[str, Any]) -> None:
        if chosen["quiet"]:
            return
        with suppress(OSError):  # nobody reads any more; the log file has it
            click.echo(json.dumps(line) if chosen["json"] else _plain(line), err=True)

    return tell


def warn_root() -> None:
    """Tell root that this needs no root."""
    warning = warning_for_root()
    if warning and not click.get_current_context().obj["quiet"]:
        click.secho(f"airgap: {warning}", fg="yellow", err=True)


def _plain(line: Mapping[str, Any]) -> str:
    """Write an event for people. What clients have chosen cannot make lines of its own."""
    rest = " ".join(
        f"{key}={value!r}" if isinstance(value, str) and not _is_word(value) else f"{key}={value}"
        for key, value in line.items()
        if key not in ("at", "event") and value not in ("", None)
    )
    return f"{line['at']} {line['event']} {rest}".rstrip()


def _is_word(text: str) -> bool:
    return text.isprintable() and not set(text) & set(" \"'=")
