"""``airgap watch --syslog``: the events of an import reach a syslog server."""

import json
import socket
from pathlib import Path

from airgap.server.intake.event_schema import find_event_problem
from tests.support.sides import Side


def test_the_events_of_an_import_are_sent_as_they_are_printed(depot: Path, isolated: Side) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        url = f"udp://127.0.0.1:{server.getsockname()[1]}"

        ran = isolated.run("watch", depot, "--once", "--syslog", url, "--json")

        printed = [json.loads(line) for line in ran.err.splitlines() if line.startswith("{")]
        sent = [json.loads(server.recv(9000).partition(b" - ")[2]) for _ in printed]
    assert ran.code == 0, ran.err
    assert sent == printed
    assert "imported" in [event["event"] for event in sent]


def test_a_dead_server_stops_no_import(depot: Path, isolated: Side) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{nobody.getsockname()[1]}"

        ran = isolated.run("watch", depot, "--once", "--syslog", url, "--json")

    assert (ran.code, ran.json["counts"]) == (0, {"imported": 1})
    assert ran.err.count("Events cannot be sent to") == 1


def test_an_address_that_is_a_name_is_refused(depot: Path, isolated: Side) -> None:
    assert isolated.run("watch", depot, "--once", "--syslog", "udp://log.example").code == 2


def test_the_outcome_of_an_import_is_sent_with_the_fields_of_its_event(
    depot: Path, isolated: Side
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        url = f"udp://127.0.0.1:{server.getsockname()[1]}"

        codes = [
            isolated.run("import", source, "--syslog", url).code
            for source in (depot, depot.with_name("nothing"))
        ]
        sent = [json.loads(server.recv(9000).partition(b" - ")[2]) for _ in codes]
    assert codes == [0, 13]
    assert [event["event"] for event in sent] == ["imported", "refused"]
    for event in sent:
        assert not find_event_problem(event, is_logged=event["event"] == "imported")
    assert [item["tag"] for item in sent[0]["items"]] == ["ranker:v1", "shop:v1"]
    assert (sent[1]["kind"], sent[1]["name"]) == ("missing", str(depot.with_name("nothing")))
