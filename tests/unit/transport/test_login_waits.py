"""A login that waits for a person at the ssh-agent says so: once, and only if it takes seconds."""

import threading

import pytest

from airgap.flow.location import connector
from airgap.flow.location.location import RemoteDepot, parse_location
from airgap.flow.progress import Silent
from airgap.ssh_agent import AgentKey
from airgap.transport import open_transport
from airgap.transport.port import Capabilities
from airgap.transport.sftp import login
from airgap.transport.sftp.options import SftpOptions

KEY = AgentKey(b"blob", "ann\x1b[2J")

CAPABLE = Capabilities(resumes_uploads=True, replaces_atomically=True, creates_exclusively=True)


class Agent:
    """Signs once somebody was told what it waits for, or at once."""

    def __init__(self, *, waits: bool) -> None:
        self.told = threading.Event()
        self.texts: list[str] = []
        if not waits:
            self.told.set()

    def tell(self, text: str) -> None:
        self.texts.append(text)
        self.told.set()

    def sign(self, *_: object) -> bytes:
        assert self.told.wait(10)
        return b"signature"


def sign(agent: Agent) -> bytes:
    key = login._AgentKey(agent, KEY, agent.tell)  # type: ignore[arg-type]
    return key.sign_ssh_data(b"data", "ssh-ed25519")


def test_a_signature_that_takes_seconds_says_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(login, "_WAIT_SECONDS", 0.01)
    agent = Agent(waits=True)

    assert sign(agent) == b"signature"
    (text,) = agent.texts
    assert text == (
        "The SSH login waits for the ssh-agent to use the key ann\\x1b[2J: touch the security key,"
        " or confirm at the agent's question."
    )


def test_a_signature_that_is_there_at_once_says_nothing() -> None:
    agent = Agent(waits=False)

    assert sign(agent) == b"signature"
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(10)  # far less than the timer's time if it was not cancelled
    assert agent.texts == []


def test_what_a_login_waits_for_is_noted_as_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    class Noting(Silent):
        def __init__(self) -> None:
            self.notes: list[str] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

    taken: list[SftpOptions] = []

    class Transport:
        def __init__(self, options: SftpOptions) -> None:
            self.location, self.capabilities = options.url, CAPABLE
            taken.append(options)

    monkeypatch.setattr("airgap.transport.sftp.transport.SftpTransport", Transport)
    monkeypatch.setattr("airgap.transport.sftp.transport.find_anchors", lambda _: ())
    progress, location = Noting(), parse_location("sftp://ann@host.example/depot")
    assert isinstance(location, RemoteDepot)

    connector.Connector(progress=progress)._open_transport(location.url, {})
    taken[0].on_wait("It waits.")

    assert progress.notes == ["It waits."]
    assert open_transport.Login("ann") == open_transport.Login("ann", on_wait=print)
