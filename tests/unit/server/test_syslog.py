"""Events go to a syslog server as RFC 5424 has it; a dead one costs a service nothing."""

import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airgap.errors import UsageError
from airgap.server.syslog import SyslogAddress, SyslogSink, format_message, parse_syslog

EVENT = {"at": "2026-11-30T12:00:00Z", "event": "login failed", "user": "x\n<0>1", "address": "::1"}
MESSAGE = re.compile(
    rb"<(\d{1,3})>1 (\S+) ([!-~]{1,255}) airgap (\d+) ([a-z-]{1,32}) - (\{[ -~]*\})"
)


def test_a_message_has_the_fields_of_rfc_5424_and_the_event_as_json() -> None:
    match = MESSAGE.fullmatch(format_message(EVENT, "gateway", 7))

    assert match is not None
    assert match.groups()[:5] == (b"28", b"2026-11-30T12:00:00Z", b"gateway", b"7", b"login-failed")
    assert json.loads(match[6]) == EVENT


@pytest.mark.parametrize("host", ["", "a b", "é", "x" * 256, "a\nb"])
def test_a_host_that_rfc_5424_does_not_allow_is_left_out(host: str) -> None:
    assert b" - airgap " in format_message(EVENT, host, 7)


def test_a_long_event_is_cut_to_what_servers_take() -> None:
    items = [{"kind": "model", "tag": f"m:{number}"} for number in range(10_000)]
    long = {**EVENT, "event": "imported", "items": items, "name": "\u202e" * 100_000}

    message = format_message(long, "h", 1)

    assert len(message) < 8192
    assert json.loads(message[message.index(b"{") :])["items"] == []


@pytest.mark.parametrize(
    "fields",
    [
        {f"text-{number}": "\U0001f600" * 400 for number in range(9)},
        {"items": {str(number): "x" * 100 for number in range(1000)}},
        {"name": "x" * 7950},
        {"size": 10**4000, "again": 10**4000, "third": 10**4000},
        {"k" * 9000: ""},
        {f"{number}": "" for number in range(5000)},
    ],
)
def test_no_message_is_longer_than_servers_take(fields: dict[str, object]) -> None:
    message = format_message({**EVENT, **fields}, "h" * 255, 4_194_304)

    assert len(message) <= 8192
    assert json.loads(message[message.index(b"{") :])["event"] == "login failed"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("udp://192.0.2.1", SyslogAddress("udp", "192.0.2.1", 514)),
        ("tcp://[2001:db8::1]:99", SyslogAddress("tcp", "2001:db8::1", 99)),
        ("unix:///dev/log", SyslogAddress("unix", "/dev/log")),
    ],
)
def test_addresses_are_read(text: str, address: SyslogAddress) -> None:
    assert parse_syslog(text) == address
    assert parse_syslog(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        *(
            "udp://log.example",
            "tls://192.0.2.1",
            "192.0.2.1:514",
            "udp://192.0.2.1:x",
            "",
            "udp://",
        ),
        *(
            "unix://dev/log",
            "udp://192.0.2.1/x",
            "udp://u@192.0.2.1",
            "udp://[::1",
            "tcp://1.2.3.4?x",
        ),
    ],
)
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_syslog(text)


@pytest.fixture
def passed() -> list[Any]:
    return []


def _bound(family: int, kind: int, address: Any) -> socket.socket:  # noqa: ANN401
    server = socket.socket(family, kind)
    server.settimeout(10)
    server.bind(address)
    return server


@pytest.fixture
def datagrams() -> Iterator[socket.socket]:
    with _bound(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)) as server:
        yield server


def test_udp_has_one_message_in_each_datagram(datagrams: socket.socket, passed: list[Any]) -> None:
    sink = SyslogSink(parse_syslog(f"udp://127.0.0.1:{datagrams.getsockname()[1]}"), passed.append)

    sink(EVENT)
    sink({**EVENT, "event": "stopped"})
    sink.close()

    assert MESSAGE.fullmatch(datagrams.recv(9000))
    assert b" stopped - " in datagrams.recv(9000)
    assert [event["event"] for event in passed] == ["login failed", "stopped"]


def test_a_unix_socket_has_one_message_in_each_datagram(
    tmp_path: Path, passed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with _bound(socket.AF_UNIX, socket.SOCK_DGRAM, "log") as server:
        sink = SyslogSink(SyslogAddress("unix", "log"), passed.append)
        sink(EVENT)
        sink.close()

        assert MESSAGE.fullmatch(server.recv(9000))


def test_tcp_counts_the_octets_of_each_message(passed: list[Any]) -> None:
    with _bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as server:
        server.listen()
        sink = SyslogSink(parse_syslog(f"tcp://127.0.0.1:{server.getsockname()[1]}"), passed.append)
        sink(EVENT)
        sink(EVENT)
        sink.close()
        connection, _ = server.accept()
        with connection:
            connection.settimeout(10)
            one = format_message(EVENT, socket.gethostname(), os.getpid())
            expected = b"%d %b" % (len(one), one) * 2
            received = b""
            while len(received) < len(expected):
                received += connection.recv(9000)
    assert received == expected


def test_a_dead_server_is_reported_once_and_tried_again_after_a_while(passed: list[Any]) -> None:
    with _bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as server:
        address = parse_syslog(f"tcp://127.0.0.1:{server.getsockname()[1]}")  # nobody listens
        now = [0.0]
        sink = SyslogSink(address, passed.append, lambda: now[0])
        for seconds in (0, 1, 29, 31):
            now[0] = seconds
            sink(EVENT)

        troubles = [event for event in passed if event["event"] == "trouble"]
        assert len(passed) == 5
        assert f"Events cannot be sent to {address}" in troubles[0]["message"]
        server.listen()
        now[0] = 62
        sink(EVENT)
        sink.close()
        connection, _ = server.accept()
        connection.close()
    assert len([event for event in passed if event["event"] == "trouble"]) == 1
