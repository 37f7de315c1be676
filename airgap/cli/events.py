"""What services tell while they run: a line per event, on standard error."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import click

from airgap.server.intake.daemon import warning_for_root

__all__ = ["make_tell", "warn_root"]

_DIGITS: Final = 12


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
    rest = (
        f"{key}={_text(key, value)}"
        for key, value in line.items()
        if key not in ("at", "event") and value not in ("", None, [])
    )
    return " ".join((line["at"], line["event"], *rest))


def _text(key: str, value: Any) -> str:  # noqa: ANN401  (what JSON has)
    """Write one value: digests in short, items by their tags."""
    if key == "bundle":
        value = value[:_DIGITS]
    elif key == "signed_by":
        value = ",".join(one[:_DIGITS] for one in value)
    elif key == "items":
        value = ", ".join(f"{one['tag']} {one.get('outcome', '')}".strip() for one in value)
    text = str(value)
    return text if text.isprintable() and not set(text) & set(" \"'=") else repr(text)
