"""The SSH connection itself, and what of paramiko is relied on beyond its documents."""

import inspect
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import paramiko
import pytest
from paramiko.auth_handler import AuthHandler
from paramiko.buffered_pipe import BufferedPipe, PipeTimeout
from paramiko.channel import Channel
from paramiko.packet import Packetizer
from paramiko.ssh_exception import SSHException
from paramiko.transport import SecurityOptions

from airgap.transport.port import TransientError
from airgap.transport.sftp import login, ssh_stream
from airgap.transport.sftp import socket as ssh_socket
from airgap.transport.sftp.options import Timeouts
from airgap.transport.sftp.socket import GuardedSocket, connect
from airgap.transport.sftp.ssh_stream import SshStream


@contextmanager
def pair() -> Iterator[tuple[GuardedSocket, socket.socket]]:
    ours, theirs = socket.socketpair()
    guard = GuardedSocket(ours)
    with theirs:
        yield guard, theirs
        guard.close()


def test_a_channel_reads_from_the_inbox_that_it_is_given() -> None:
    channel = Channel(0)
    assert isinstance(channel.in_buffer, BufferedPipe)
    assert isinstance(channel.in_stderr_buffer, BufferedPipe)
    channel.in_buffer = inbox = ssh_stream._ReceiveBuffer(100)

    channel._feed(b"bytes")
    assert channel.recv_ready()
    assert bytes(channel.recv(3)) + bytes(channel.recv(9)) == b"bytes"
    assert not channel.recv_ready()
    with channel.lock:
        channel._set_closed()
    assert channel.recv(1) == b""
    assert len(inbox) == 0


@pytest.mark.parametrize("name", ["feed", "read", "read_ready", "close", "__len__"])
def test_the_inbox_is_called_as_paramikos_own(name: str) -> None:
    own, theirs = getattr(ssh_stream._ReceiveBuffer, name), getattr(BufferedPipe, name)
    assert list(inspect.signature(own).parameters) == list(inspect.signature(theirs).parameters)


def test_paramiko_says_that_a_login_took_too_long_in_these_words() -> None:
    assert login._AUTHENTICATION_TIMEOUT in inspect.getsource(AuthHandler)


@pytest.mark.parametrize(
    "name",
    ["banner_timeout", "handshake_timeout", "auth_timeout", "channel_timeout", "packetizer"],
)
def test_paramikos_own_deadlines_are_those_we_move(name: str) -> None:
    with pair() as (guard, _):
        assert hasattr(paramiko.Transport(guard), name)


def test_paramiko_knows_every_algorithm_that_we_ask_for() -> None:
    with pair() as (guard, _):
        options = paramiko.Transport(guard).get_security_options()
    assert isinstance(options, SecurityOptions)
    assert set(ssh_stream._CIPHERS) <= set(paramiko.Transport._cipher_info)
    assert set(ssh_stream._MACS) <= set(paramiko.Transport._mac_info)
    assert set(ssh_stream._RSA) <= set(options.key_types)


def test_a_handshake_that_fails_leaves_no_timer_behind() -> None:
    assert callable(Packetizer.complete_handshake)
    before = set(threading.enumerate())
    with pair() as (guard, theirs):
        theirs.sendall(b"SSH-2.0-x\r\n")
        stream = SshStream(guard, Timeouts(handshake=60))
        with pytest.raises(TransientError, match="took more"), stream._stage("x", 0.2, "host"):
            stream._transport.start_client()
        stream.close()
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(30)  # far less than the timer's 60
    assert not any(thread.is_alive() for thread in left)


def test_paramiko_writes_nothing_to_the_terminal() -> None:
    assert any(
        isinstance(one, logging.NullHandler) for one in logging.getLogger("paramiko").handlers
    )


def test_pieces_come_out_of_the_inbox_as_they_went_in() -> None:
    inbox = ssh_stream._ReceiveBuffer(100)
    for piece in (b"abc", b"defg"):
        inbox.feed(piece)

    assert [bytes(inbox.read(2)), bytes(inbox.read(9)), bytes(inbox.read(9))] == [
        b"ab",
        b"c",
        b"defg",
    ]
    with pytest.raises(PipeTimeout):
        inbox.read(1, 0.01)


def test_a_server_that_exceeds_the_window_is_cut_off() -> None:
    inbox = ssh_stream._ReceiveBuffer(10)
    inbox.feed(bytes(10))

    with pytest.raises(SSHException):
        inbox.feed(b"1")
    inbox.read(10)


@pytest.mark.parametrize(
    ("kinds", "first"),
    [
        (["ssh-rsa"], ["rsa-sha2-512", "rsa-sha2-256"]),
        (["ecdsa-sha2-nistp256"], ["ecdsa-sha2-nistp256"]),
        (["ssh-dss", "sk-ssh-ed25519@openssh.com"], ["ssh-ed25519"]),
        ([], ["ssh-ed25519"]),
    ],
)
def test_a_host_is_asked_for_its_known_key_first(kinds: list[str], first: list[str]) -> None:
    every = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256")

    asked = ssh_stream._prefer_known(kinds, every)

    assert list(asked[: len(first)]) == first
    assert sorted(asked) == sorted(every)


def test_bytes_come_out_of_the_socket_as_they_went_in() -> None:
    with pair() as (guard, theirs):
        theirs.sendall(bytes(range(100)))

        assert guard.recv(10) + guard.recv(1000) == bytes(range(100))
        theirs.close()
        assert guard.recv(1) == b""


@pytest.mark.parametrize("size", [256 * 1024 + 65, 2**32])
def test_no_packet_is_longer_than_any_that_is_sent(size: int) -> None:
    with pair() as (guard, _), pytest.raises(EOFError):
        guard.recv(size)


def test_after_its_deadline_a_connection_has_ended() -> None:
    with pair() as (guard, theirs):
        theirs.sendall(b"12")
        with guard.limit(-1):
            with pytest.raises(EOFError):
                guard.recv(1)
            with pytest.raises(EOFError):
                guard.send(b"1")
        assert guard.expired
        assert guard.recv(1) == b"1"


def test_before_the_login_a_server_may_send_a_megabyte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ssh_socket, "_STAGE_BYTES", 4)
    with pair() as (guard, theirs):
        for data in (b"1234", b"5"):
            theirs.sendall(data)
            with guard.limit(60):
                assert guard.recv(9) == data
        theirs.sendall(b"12345")
        with guard.limit(60):
            assert guard.recv(5) == b"12345"
            with pytest.raises(EOFError):
                guard.recv(1)


def test_paramiko_can_tell_that_a_socket_is_closed() -> None:
    with pair() as (guard, _):
        assert not guard._closed
        guard.close()
        assert guard._closed


def test_a_closed_port_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(TransientError, match=f"port {port} does not answer") as caught:
        connect("127.0.0.1", port, None, 5)
    assert caught.value.hint


def test_a_name_that_cannot_be_looked_up_is_reported() -> None:
    with pytest.raises(TransientError, match="does not answer"):
        connect("a" * 70, 22, None, 5)
