"""A service in the sandbox: what it asks for is told apart, with the line that asked."""

import socket
import sys
from pathlib import Path

import pytest

from airgap.errors import StorageError
from airgap.flow.proof import sandbox
from airgap.flow.proof.example import ExampleRequest
from airgap.flow.proof.report import Report, Watched, make_report
from airgap.flow.proof.trial import Trial

SERVICE = Path(__file__).parents[2] / "support" / "proof_service.py"


def find_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert isinstance(port, int)
    return port


@pytest.fixture(params=["namespaces", "refused"])
def namespaces(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Both forms: with namespaces, and on a host that refuses them."""
    found = sandbox.find_namespaces()
    if request.param == "refused":
        return ()
    if not found:
        pytest.skip("this host gives no namespaces")
    return found


def prove(
    folder: Path,
    namespaces: tuple[str, ...],
    *words: str,
    request: ExampleRequest | None = None,
    allowed: tuple[str, ...] = (),
) -> Report:
    port = find_port()
    trial = Trial(
        folder,
        [sys.executable, str(SERVICE), str(port), "quiet", *words],
        {"PATH": "/usr/bin:/bin"},
        port,
        request,
        seconds_to_start=30,
        seconds_to_answer=30,
    )
    outcome = sandbox.run(trial, namespaces)
    watched = Watched([str(SERVICE.parent)], socket.gethostname(), allowed, not namespaces)
    return make_report(folder, outcome, watched)


def test_a_service_that_asks_for_nothing_is_served(
    tmp_path: Path, namespaces: tuple[str, ...]
) -> None:
    report = prove(tmp_path, namespaces)

    assert report.verdict == "served"
    assert report.is_proof
    assert report.is_weak == (not namespaces)
    assert [str(answer.request) for answer in report.outcome.answers] == ["POST /norm"]
    assert "asked for {'x': [3, 4]}" in (tmp_path / "service.log").read_text()


def test_hosts_are_named_with_port_path_and_line(
    tmp_path: Path, namespaces: tuple[str, ...]
) -> None:
    report = prove(tmp_path, namespaces, "at-start", "at-request")

    assert report.verdict == "served, but asked for"
    start, lazy = report.requests
    assert (start.host, start.ports) == ("start.example", (80,))
    assert (lazy.host, lazy.ports) == ("lazy.example", (443,))
    assert start.lines == ("proof_service.py:25 in fetch, proof_service.py:73 in main",)
    assert lazy.lines == ("proof_service.py:25 in fetch, proof_service.py:40 in do_POST",)
    if namespaces:  # what is refused does not get as far
        assert start.requests == ("GET /encodings/x.tiktoken",)


def test_a_host_may_be_allowed(tmp_path: Path, namespaces: tuple[str, ...]) -> None:
    report = prove(tmp_path, namespaces, "at-start", allowed=("Start.example",))

    assert report.verdict == "served"
    assert [request.host for request in report.allowed] == ["start.example"]


def test_a_request_that_fails_is_no_proof(tmp_path: Path, namespaces: tuple[str, ...]) -> None:
    request = ExampleRequest("POST", "/other", {"Content-Type": "application/json"}, b"[1]")

    report = prove(tmp_path, namespaces, "fails", request=request)

    assert report.verdict == "did not answer"
    assert [answer.status for answer in report.outcome.answers] == [500]
    assert "asked for [1]" in report.log


def test_a_service_that_ends_did_not_start(tmp_path: Path, namespaces: tuple[str, ...]) -> None:
    report = prove(tmp_path, namespaces, "at-start", "dies")

    assert report.verdict == "did not start"
    assert report.outcome.exit_code == 1
    assert report.log[-1] == "no encodings"
    assert [request.host for request in report.requests] == ["start.example"]


def test_a_sandbox_that_cannot_be_set_up_is_named(
    tmp_path: Path, namespaces: tuple[str, ...]
) -> None:
    trial = Trial(tmp_path, [str(tmp_path / "absent")], {}, find_port())

    with pytest.raises(StorageError, match="sandbox"):
        sandbox.run(trial, namespaces)
