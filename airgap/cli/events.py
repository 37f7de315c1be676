"""The events of services: printed, one line each, on standard error, and sent to syslog."""

from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

import click

from airgap.cli.terminal import Styled, print_json, print_line
from airgap.printable import is_printable
from airgap.server.intake.daemon import check_not_root

__all__ = ["make_event_sink", "syslog_option", "warn_root"]

P = ParamSpec("P")


def syslog_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a service ``--syslog``."""
    return click.option(
        "--syslog",
        metavar="URL",
        help="Also send events to this server (RFC 5424): udp://ADDRESS:PORT, tcp://ADDRESS:PORT or"
        " unix:///dev/log.",
    )(command)


def make_event_sink(syslog: str | None) -> Callable[[Mapping[str, Any]], None]:
    """Return what takes events: a printer, and a syslog server if one is named.

    Raises:
        UsageError: ``syslog`` is not the address of a server.
    """
    printer = _make_printer()
    if not syslog:
        return printer
    from airgap.server.syslog import SyslogSink, parse_syslog

    sink = SyslogSink(parse_syslog(syslog), printer)
    click.get_current_context().call_on_close(sink.close)
    return sink


def _make_printer() -> Callable[[Mapping[str, Any]], None]:
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
