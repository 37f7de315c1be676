"""From the sandbox's logs to a verdict."""

import json
from pathlib import Path
from typing import Any

import pytest

from airgap.flow.proof.report import Report, Watched, make_report, read_events
from airgap.flow.proof.trial import Outcome, ServiceAnswer

READY = Outcome(is_ready=True, seconds=1.5, answers=(ServiceAnswer("POST /a", 200),))
WATCHED = Watched(["/home/bento/src"], "desk7")


def report(folder: Path, network: list[Any], python: list[Any], outcome: Outcome = READY) -> Report:
    for name, events in (("network", network), ("python", python)):
        text = "".join(json.dumps(event) + "\n" for event in events)
        (folder / f"{name}.jsonl").write_text(text)
    return make_report(folder, outcome, WATCHED)


def lookup(host: str, *frames: tuple[str, int, str], port: int | None = None) -> dict[str, Any]:
    return {"event": "socket.getaddrinfo", "host": host, "port": port, "frames": frames}


def test_network_and_python_are_joined_by_host(tmp_path: Path) -> None:
    network = [
        {"event": "lookup", "name": "hub.example"},
        {"event": "lookup", "name": "hub.example"},
        {"event": "connection", "name": "hub.example", "port": 80, "request": "GET /a HTTP/1.1"},
        {"event": "connection", "name": "hub.example", "port": 443, "server_name": "hub.example"},
    ]
    frames = (
        ("/env/lib/python3.12/site-packages/urllib3/connection.py", 3, "connect"),
        ("/env/lib/python3.12/site-packages/tiktoken/load.py", 12, "read_file"),
        ("/home/bento/src/count.py", 9, "load"),
        ("/home/bento/src/service.py", 14, "__init__"),
        ("/env/lib/python3.12/site-packages/_bentoml_sdk/service.py", 5, "call"),
    )

    done = report(tmp_path, network, [lookup("HUB.example.", *frames)])

    (request,) = done.requests
    assert (request.host, request.count, request.ports) == ("hub.example", 2, (80, 443))
    assert request.requests == ("GET /a",)
    assert request.lines == ("count.py:9 in load, service.py:14 in __init__",)
    assert request.packages == ("tiktoken",)
    assert done.verdict == "served, but asked for"


def test_a_package_that_calls_the_bento_does_not_ask(tmp_path: Path) -> None:
    frames = (
        ("/usr/lib/python3.12/socket.py", 3, "getaddrinfo"),
        ("/home/bento/src/service.py", 14, "__init__"),
        ("/env/lib/python3.12/site-packages/_bentoml_sdk/service.py", 5, "call"),
    )

    (request,) = report(tmp_path, [], [lookup("hub.example", *frames)]).requests

    assert (request.packages, request.lines) == ((), ("service.py:14 in __init__",))


def test_addresses_of_the_sinkhole_and_this_host_are_no_requests(tmp_path: Path) -> None:
    done = report(tmp_path, [], [lookup("127.66.0.1", port=443), lookup("DESK7")])

    assert done.verdict == "served"


def test_an_address_is_named_as_it_is(tmp_path: Path) -> None:
    done = report(tmp_path, [], [lookup("203.0.113.9", port=5432)])

    assert [(request.host, request.ports) for request in done.requests] == [
        ("203.0.113.9", (5432,))
    ]


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (READY, "served"),
        (Outcome(is_ready=True, seconds=1), "served"),
        (Outcome(is_ready=False, seconds=1, exit_code=1), "did not start"),
        (
            Outcome(is_ready=True, seconds=1, answers=(ServiceAnswer("POST /a", 0, "cut"),)),
            "did not answer",
        ),
    ],
)
def test_the_verdict_follows_from_what_was_seen(
    tmp_path: Path, outcome: Outcome, verdict: str
) -> None:
    (tmp_path / "service.log").write_text("\n".join(map(str, range(100))))

    done = report(tmp_path, [], [], outcome)

    assert done.verdict == verdict
    assert len(done.log) == (0 if verdict == "served" else 20)


def test_what_a_service_wrote_into_the_log_does_not_stop_the_report(tmp_path: Path) -> None:
    log = tmp_path / "python.jsonl"
    log.write_bytes(b'{"event": "lookup"\n\xff\n[]\n{"event": 5}\n' + b"[" * 70_000 + b"\n")
    assert read_events(log) == []

    done = report(tmp_path, [{"event": "lookup", "name": 5}], [{"event": "x", "host": ["a"]}])

    assert done.requests == ()
