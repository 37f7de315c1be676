"""Prints the events of services: one line each, on standard error."""

from collections.abc import Callable, Mapping
from typing import Any

import click

from airgap.cli.terminal import Styled, print_json, print_line
from airgap.printable import is_printable
from airgap.server.intake.daemon import check_not_root

__all__ = ["make_event_printer", "warn_root"]


def make_event_printer() -> Callable[[Mapping[str, Any]], None]:
    """Return a printer: plain lines, JSON with ``--json``, nothing with ``--quiet``."""
    settings = click.get_current_context().obj

    def print_event(line: Mapping[str, Any]) -> None:
        if settings["quiet"]:
            return
        if settings["json"]:
            print_json(line, err=True)
        else:
            print_line(_plain(line), err=True)

    return print_event


def warn_root() -> None:
    """Warn if the service runs as root without need."""
    warning = check_not_root()
    if warning and not click.get_current_context().obj["quiet"]:
        print_line((Styled(f"airgap: {warning}", "yellow", bold=False),), err=True)


def _plain(line: Mapping[str, Any]) -> str:
    """Write an event for people. Values that clients choose cannot start a new line."""
    rest = (
        f"{key}={_text(key, value)}"
        for key, value in line.items()
        if key not in ("at", "event") and value not in ("", None, [])
    )
    return " ".join((line["at"], line["event"], *rest))


def _text(key: str, value: Any) -> str:  # noqa: ANN401  (what JSON has)
    """Write one value: key ids separated by commas, items by their tags."""
    if key == "signed_by":
        value = ",".join(value)
    elif key == "items":
        value = ", ".join(f"{item['tag']} {item.get('outcome', '')}".strip() for item in value)
    text = str(value)
    return text if is_printable(text) and not set(text) & set(" \"'=") else repr(text)
