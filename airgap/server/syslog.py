"""Sends events to a syslog server: RFC 5424 over UDP (RFC 5426), TCP (RFC 6587), a unix socket.

A server that is down or slow must not stop an import. Nothing is looked up by name, no thread is
started, and after a failure nothing is tried for a while, so that a dead server costs at most two
seconds in each half minute. What could not be sent is lost there; ``log.jsonl`` has it.
"""

import ipaddress
import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

from airgap.errors import UsageError
from airgap.printable import cut_text, quote
from airgap.server.intake.event_log import EventSink

__all__ = ["SyslogAddress", "SyslogSink", "format_message", "parse_syslog"]

_DAEMON: Final = 3
_ERROR, _WARNING, _INFO = 3, 4, 6
_SEVERITIES: Final[Mapping[str, int]] = {
    "bug": _ERROR,
    "trouble": _ERROR,
    "quarantined": _WARNING,
    "refused": _WARNING,
    "login failed": _WARNING,
    "broken off": _WARNING,
    "put off": _WARNING,
    "changed": _WARNING,
    "abandoned": _WARNING,
}
_MESSAGE_BYTES: Final = 8192
"""Of one message; in a longer one, lists are left out and texts are cut."""
_TEXT_CHARACTERS: Final = (500, 100, 20)
"""Each is tried in turn: a character that is not ASCII takes up to 12 bytes of JSON."""
_WAIT_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 30.0
_PORTS: Final = {"udp": 514, "tcp": 601}


@dataclass(frozen=True, slots=True)
class SyslogAddress:
    """Where events go: ``udp`` or ``tcp`` with an IP address and a port; ``unix`` with a path."""

    scheme: str
    host: str
    port: int = 0

    def __str__(self) -> str:
        """Write it as a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (
            f"unix://{self.host}"
            if self.scheme == "unix"
            else f"{self.scheme}://{host}:{self.port}"
        )


def parse_syslog(text: str) -> SyslogAddress:
    """Read ``udp://192.0.2.1:514``, ``tcp://[2001:db8::1]:601`` or ``unix:///dev/log``.

    Raises:
        UsageError: it is none of these; names of hosts are refused, since to look one up may take
            longer than an import may wait.
    """
    try:
        url = urlsplit(text)
        port, host = url.port, url.hostname or ""
    except ValueError:
        raise _refuse(text) from None
    if url.query or url.fragment or url.username is not None:
        raise _refuse(text)
    if url.scheme == "unix" and url.path.startswith("/") and not url.netloc:
        return SyslogAddress("unix", url.path)
    if url.scheme not in _PORTS or url.path not in ("", "/"):
        raise _refuse(text)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise _refuse(text) from None
    return SyslogAddress(url.scheme, str(address), port or _PORTS[url.scheme])


def format_message(event: Mapping[str, Any], host: str, process: int) -> bytes:
    """Write an event as a message of RFC 5424; the text is the event's JSON in ASCII.

    Nothing in it can end the message or begin another one: JSON escapes all control characters.
    """
    priority = _DAEMON * 8 + _SEVERITIES.get(event["event"], _INFO)
    name = event["event"].replace(" ", "-")
    head = f"<{priority}>1 {event['at']} {_clean_host(host)} airgap {process} {name} - "
    for shortened in _list_shortened(event):
        message = f"{head}{json.dumps(shortened, sort_keys=True)}".encode("ascii", "replace")
        if len(message) <= _MESSAGE_BYTES:
            return message
    return head.encode("ascii", "replace") + b"{}"


class SyslogSink:
    """Passes events on to another sink, and sends them."""

    def __init__(
        self,
        address: SyslogAddress,
        sink: EventSink,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Connect to nothing yet. ``clock`` returns seconds."""
        self._address = address
        self._sink = sink
        self._clock = clock
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()  # uploads and imports are reported by threads of their own
        self._resume = float("-inf")
        self._is_failing = False

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Pass an event on, then send it; a failure is reported once, until sending works again."""
        self._sink(event)
        if self._clock() < self._resume:
            return
        try:
            message = format_message(event, socket.gethostname(), os.getpid())
            with self._lock:
                self._send(message)
            self._is_failing = False
        except OSError as error:
            self.close()
            self._resume = self._clock() + _PAUSE_SECONDS
            if not self._is_failing:
                self._is_failing = True
                trouble = f"Events cannot be sent to {self._address}: {error.strerror or error}."
                self._sink({"at": event["at"], "event": "trouble", "message": trouble})

    def _send(self, message: bytes) -> None:
        """Send a message in the framing of its transport. Raises OSError."""
        if self._socket is None:
            self._socket = self._connect()
        if self._address.scheme == "tcp":
            self._socket.sendall(b"%d %b" % (len(message), message))
        else:
            self._socket.send(message)

    def _connect(self) -> socket.socket:
        address = self._address
        if address.scheme == "unix":
            family, target = socket.AF_UNIX, address.host
        else:
            family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
            target = (address.host, address.port)  # type: ignore[assignment]
        kind = socket.SOCK_STREAM if address.scheme == "tcp" else socket.SOCK_DGRAM
        connection = socket.socket(family, kind)
        try:
            connection.settimeout(_WAIT_SECONDS)
            connection.connect(target)
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Close the connection; the next event opens it again."""
        with self._lock:
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.close()
                self._socket = None


def _clean_host(host: str) -> str:
    """Return the name of this machine as RFC 5424 allows it; ``-`` stands for none."""
    return host if re.fullmatch(r"[!-~]{1,255}", host) else "-"


def _list_shortened(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield an event as it is, and then ever shorter."""
    yield event
    for characters in _TEXT_CHARACTERS:
        yield {key: _shorten(value, characters) for key, value in event.items()}
    yield {key: event[key] for key in ("at", "event")}


def _shorten(value: object, characters: int) -> object:
    """Cut a text; leave out what a list or a map holds."""
    if isinstance(value, str):
        return cut_text(value, characters)
    if isinstance(value, list | tuple):
        return []
    return {} if isinstance(value, Mapping) else value


def _refuse(text: str) -> UsageError:
    return UsageError(
        f"{quote(text)} is not the address of a syslog server.",
        "Write udp://ADDRESS:PORT, tcp://ADDRESS:PORT (an IP address, no name) or unix:///dev/log.",
    )
