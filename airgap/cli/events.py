"""The events of services: printed, one line each, on standard error, and sent to syslog."""

import time
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

import click

from airgap.cli.output import Result
from airgap.cli.terminal import Styled, print_json, print_line
from airgap.errors import AirgapError
from airgap.printable import is_printable

__all__ = ["make_event_sink", "open_sink", "send_outcome", "syslog_option", "warn_root"]

P = ParamSpec("P")


def syslog_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command ``--syslog``."""
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


def send_outcome(syslog: str | None, name: str, work: Callable[[], Result]) -> Result:
    """Do an import, and send to a syslog server how it ended, if one is named.

    Args:
        syslog: the server's address.
        name: what is imported, as a person wrote it.
        work: imports it; what it raises is passed on.

    Raises:
        UsageError: ``syslog`` is not the address of a server.
    """
    if not syslog:
        return work()
    from airgap.flow.redaction import redact
    from airgap.times import format_time

    sink = open_sink(syslog)
    subject = {"user": "", "name": redact(name)}
    try:
        result = work()
    except AirgapError as error:
        verdict = {"kind": error.kind, "message": redact(error.message), "hint": error.hint}
        sink({"at": format_time(int(time.time())), "event": "refused", **subject, **verdict})
        raise
    items = [
        {key: item[key] for key in ("kind", "tag", "outcome")} for item in result.data["items"]
    ]
    content = {"items": items, "signed_by": result.data["signed_by"]}
    bundle = {"arrival": "", "bundle": result.data["bundle"] or ""}
    sink({"at": format_time(int(time.time())), "event": "imported", **subject, **bundle, **content})
    return result


def open_sink(syslog: str | None) -> Callable[[Mapping[str, Any]], None]:
    """Return what sends the events of a command to a syslog server; nothing if none is named.

    Raises:
        UsageError: ``syslog`` is not the address of a server.
    """
    if not syslog:
        return lambda _: None
    from airgap.server.syslog import SyslogSink, parse_syslog

    sink = SyslogSink(parse_syslog(syslog), _print_trouble)
    click.get_current_context().call_on_close(sink.close)
    return sink


def _print_trouble(event: Mapping[str, Any]) -> None:
    if event["event"] == "trouble":
        print_line(event["message"], err=True)


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
    from airgap.server.intake.daemon import check_not_root

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
    """Write one value: key ids and what was not checked with commas, items by their tags."""
    if key == "signed_by":
        value = ",".join(value)
    elif key == "not_checked":
        value = ", ".join(value)
    elif key == "items":
        value = ", ".join(f"{item['tag']} {item.get('outcome', '')}".strip() for item in value)
    text = str(value)
    return text if is_printable(text) and not set(text) & set(" \"'=") else repr(text)
