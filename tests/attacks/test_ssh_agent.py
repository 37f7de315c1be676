"""An ssh-agent that lies, stalls, and answers without end: its socket may come from elsewhere."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from airgap import ssh_agent
from airgap.errors import ConfigurationError
from airgap.signing import ssh_agent as agent_signer
from airgap.ssh_agent import SshAgent, SshAgentError
from airgap.transport.sftp import login
from airgap.transport.sftp.login import SshCredentials

KEY = Ed25519PrivateKey.generate()
OTHER = Ed25519PrivateKey.generate()
SECONDS = 0.2
Answer = Callable[[bytes], bytes | Iterator[bytes]]


def u32(number: int) -> bytes:
    return struct.pack(">I", number)


def pack(data: bytes) -> bytes:
    return u32(len(data)) + data


BLOB = pack(b"ssh-ed25519") + pack(KEY.public_key().public_bytes_raw())


def keys(*rows: tuple[bytes, bytes]) -> bytes:
    """Answer a request for keys."""
    body = b"".join(pack(blob) + pack(comment) for blob, comment in rows)
    return pack(b"\x0c" + u32(len(rows)) + body)


def signature(message: bytes, key: Ed25519PrivateKey = KEY, kind: bytes = b"ssh-ed25519") -> bytes:
    return pack(b"\x0e" + pack(pack(kind) + pack(key.sign(message))))


def message_of(request: bytes) -> bytes:
    """Take what is to be signed out of a request."""
    start = 5 + int.from_bytes(request[1:5])
    return request[start + 4 : start + 4 + int.from_bytes(request[start : start + 4])]


GOOD_KEYS = keys((BLOB, b"builder"))


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[Answer], None]]:
    """Start an agent that answers so; it ends with the test."""
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    monkeypatch.setenv("SSH_AUTH_SOCK", "agent")
    monkeypatch.setattr(SshAgent.list_keys, "__defaults__", (SECONDS,))
    monkeypatch.setattr(SshAgent.sign, "__defaults__", (0, SECONDS))
    monkeypatch.setattr(login, "_AGENT_SECONDS", SECONDS)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("agent")
    listener.listen()
    with closing(listener):

        def start(answer: Answer) -> None:
            threading.Thread(target=_accept, args=(listener, answer), daemon=True).start()

        yield start
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, answer: Answer) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_talk, args=(connection, answer), daemon=True).start()


def _talk(connection: socket.socket, answer: Answer) -> None:
    with connection, suppress(OSError):
        while len(head := connection.recv(4, socket.MSG_WAITALL)) == 4:
            said = answer(connection.recv(int.from_bytes(head), socket.MSG_WAITALL))
            for piece in [said] if isinstance(said, bytes) else said:
                connection.sendall(piece)


def hang(_: bytes = b"") -> Iterator[bytes]:
    """Answer a byte now and then, for ever: the client hangs up."""
    yield u32(100)
    while True:
        time.sleep(0.02)
        yield b"\x0c"


def flood(size: int) -> Iterator[bytes]:
    yield u32(size) + b"\x0c"
    while True:
        yield bytes(65536)


LISTS: dict[str, Callable[[], bytes | Iterator[bytes]]] = {
    "nothing for ever": hang,
    "four gigabytes": lambda: flood(2**32 - 16),
    "more than agents send": lambda: flood(256 * 1024 + 1),
    "no bytes": lambda: u32(0),
    "a failure": lambda: pack(b"\x05"),
    "another answer": lambda: pack(b"\x0e"),
    "half a number": lambda: pack(b"\x0c\0"),
    "two thousand million keys": lambda: pack(b"\x0c" + u32(2**31) + pack(BLOB) + pack(b"x")),
    "501 keys": lambda: keys(*[(BLOB, b"")] * 501),
    "noise": lambda: pack(b"\x0c" + bytes(range(256))),
    "a type that is not ASCII": lambda: keys((pack(b"ssh-\xff\xfe") + pack(b"a"), b"")),
    "a type that steers a terminal": lambda: keys((pack(b"\x1b[2J") + pack(b"a"), b"")),
    "a key without a type": lambda: keys((b"", b"")),
}


@pytest.mark.parametrize("said", LISTS)
def test_an_agent_that_lists_this_is_refused_with_a_sentence(
    said: str, serve: Callable[[Answer], None]
) -> None:
    serve(lambda _: LISTS[said]())

    with pytest.raises(ConfigurationError, match="The ssh-agent") as caught:
        agent_signer.find("")
    assert caught.value.hint


def test_an_agent_that_refuses_to_list_may_be_locked(serve: Callable[[Answer], None]) -> None:
    serve(lambda _: pack(b"\x05"))

    with pytest.raises(SshAgentError, match="refused to list its keys") as caught:
        agent_signer.find("")
    assert "ssh-add -X" in caught.value.hint


@pytest.mark.parametrize("said", LISTS)
def test_a_login_goes_on_without_an_agent_that_lists_this(
    said: str, serve: Callable[[Answer], None]
) -> None:
    serve(lambda _: LISTS[said]())
    problems: list[str] = []

    with login._collect_attempts(SshCredentials(password="p"), problems) as attempts:  # noqa: S106
        assert [attempt.name for attempt in attempts] == ["password"]

    assert len(problems) == 1
    assert problems[0].startswith("The ssh-agent ")


SIGNATURES: dict[str, Callable[[bytes], bytes | Iterator[bytes]]] = {
    "nothing for ever": hang,
    "four gigabytes": lambda _: flood(2**32 - 16),
    "a failure": lambda _: pack(b"\x05"),
    "keys": lambda _: GOOD_KEYS,
    "no signature": lambda _: pack(b"\x0e"),
    "an empty signature": lambda _: pack(b"\x0e" + u32(0)),
    "half a signature": lambda message: signature(message)[:-1],
    "a longer signature": lambda message: pack(
        b"\x0e" + pack(pack(b"ssh-ed25519") + pack(KEY.sign(message) + b"x"))
    ),
    "of another key": lambda message: signature(message, OTHER),
    "of another document": lambda _: signature(b"another"),
}


def _answer_with(said: str) -> Answer:
    def answer(request: bytes) -> bytes | Iterator[bytes]:
        if request[0] == 11:
            return GOOD_KEYS
        return SIGNATURES[said](message_of(request))

    return answer


@pytest.mark.parametrize("said", SIGNATURES)
def test_an_agent_that_signs_this_is_refused_with_a_sentence(
    said: str, serve: Callable[[Answer], None]
) -> None:
    serve(_answer_with(said))
    signer = agent_signer.find("")

    with pytest.raises(ConfigurationError) as caught:
        signer.sign("builder", b"manifest")
    assert caught.value.hint


@pytest.mark.parametrize("said", ["nothing for ever", "four gigabytes", "a failure", "keys"])
def test_a_login_offers_no_signature_of_an_agent_that_signs_this(
    said: str, serve: Callable[[Answer], None]
) -> None:
    serve(_answer_with(said))

    with closing(SshAgent.connect()) as agent:
        key = login._AgentKey(agent, agent.list_keys()[0])
        assert login._Key(key).sign_ssh_data(b"session", "ssh-ed25519") == b""


def test_a_comment_cannot_control_the_terminal(serve: Callable[[Answer], None]) -> None:
    serve(lambda _: keys((BLOB, b"\x1b[2Jevil\r\n\xff" + b"x" * 100_000)))

    with pytest.raises(ConfigurationError) as caught:
        agent_signer.find("SHA256:other")
    assert r"\x1b[2Jevil\x0d\x0a\xff" in caught.value.details[0]
    assert caught.value.details[0].isprintable()
    assert len(caught.value.details[0]) < 300


@contextmanager
def _pair() -> Iterator[tuple[SshAgent, socket.socket]]:
    ours, theirs = socket.socketpair()
    with theirs, closing(SshAgent(ours)) as agent:
        yield agent, theirs


def test_an_answer_is_kept_up_to_the_limit_of_the_protocol_only() -> None:
    with _pair() as (agent, theirs):
        theirs.sendall(u32(ssh_agent._MAX_BYTES + 1))
        with pytest.raises(SshAgentError, match="262,145 bytes"):
            agent.list_keys(5)
