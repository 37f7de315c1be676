"""One SSH connection with the SFTP subsystem, opened after the host key was accepted.

Paramiko does the cryptography and the protocol; its SFTP client is not used (docs/adr/0016). What
this uses beyond its documented interface is pinned by tests/unit/transport/test_ssh_stream.py.
"""

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Self

from paramiko import Transport
from paramiko.buffered_pipe import BufferedPipe, PipeTimeout
from paramiko.ssh_exception import IncompatiblePeer, SSHException

from airgap.errors import TransportError
from airgap.printable import make_printable
from airgap.transport.port import TransientError
from airgap.transport.sftp import login
from airgap.transport.sftp import socket as ssh_socket
from airgap.transport.sftp.known_hosts import KnownHost
from airgap.transport.sftp.options import Timeouts
from airgap.transport.sftp.socket import GuardedSocket
from airgap.transport.sftp.ssh_config import Destination

__all__ = ["SshStream"]

# AES-GCM encrypts and authenticates in one pass over the bytes; the others need two.
_CIPHERS: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr")
_MACS: Final = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
_RSA: Final = ("rsa-sha2-512", "rsa-sha2-256")
_WINDOW_BYTES: Final = 16 * 1024 * 1024
_PACKET_BYTES: Final = 32 * 1024
_ERROR_BYTES: Final = 1024 * 1024
_KEEPALIVE_SECONDS: Final = 30
_SHOWN_CHARACTERS: Final = 200

logging.getLogger("paramiko").addHandler(
    logging.NullHandler()
)  # without a handler it writes to stderr


class SshStream:
    """The subsystem's standard input and output."""

    def __init__(self, guard: GuardedSocket, timeouts: Timeouts) -> None:
        """Take a fresh connection; ``open`` makes a stream of it."""
        self._guard = guard
        self._timeouts = timeouts
        self._transport = _widen_timeouts(Transport(guard), timeouts)
        self._channel: Any = None

    @classmethod
    def open(
        cls,
        destination: Destination,
        known_host: KnownHost,
        credentials: login.SshCredentials,
        timeouts: Timeouts,
    ) -> Self:
        """Connect, accept the host's key, log in, and start SFTP, in this order.

        Raises:
            TransientError: it could not be opened; a new attempt may succeed.
            TransportError: the host key, the login or SFTP was refused.
            ConfigurationError: a named key cannot be read.
        """
        guard = ssh_socket.connect(
            destination.host, destination.port, destination.proxy, timeouts.connect
        )
        stream = cls(guard, timeouts)
        try:
            stream._shake_hands(destination, known_host)
            stream._log_in(destination, credentials)
            stream._start_sftp(destination.host)
        except BaseException:
            stream.close()
            raise
        return stream

    def send(self, data: bytes | memoryview) -> None:
        """Send all of it.

        Raises:
            TransientError: the connection ended, or stalled.
            TransportError: the server takes bytes too slowly.
        """
        left = memoryview(data)
        while left:
            with self._translate_errors(sending=True):
                sent = self._channel.send(left)
                if not sent:
                    raise EOFError
            left = left[sent:]

    def receive(self) -> memoryview:
        """Return the next bytes, at least one; raises as ``send``."""
        with self._translate_errors():
            piece = self._channel.recv(_WINDOW_BYTES)
            if not piece:
                raise EOFError
        return memoryview(piece)

    def ready(self) -> bool:
        """Return whether ``receive`` would return at once."""
        return bool(self._channel.recv_ready())

    def limit_time(self, seconds: float) -> None:
        """End the connection after this time, whatever happens until then."""
        self._guard.end_after(seconds)

    def close(self) -> None:
        """Close the connection, also one that is broken."""
        self._transport.packetizer.complete_handshake()  # or its timer outlives the connection
        with suppress(SSHException, OSError, EOFError):
            self._transport.close()
        self._guard.close()
        if self._transport.is_alive():
            self._transport.join(1)

    def _shake_hands(self, destination: Destination, known_host: KnownHost) -> None:
        options = self._transport.get_security_options()
        options.ciphers, options.digests = _CIPHERS, _MACS
        options.key_types = _prefer_known(known_host.kinds, options.key_types)
        with self._stage("key exchange", self._timeouts.handshake, destination.host):
            try:
                self._transport.start_client()
            except IncompatiblePeer as error:
                raise TransportError(
                    f"{destination.host} and airgap have no SSH algorithm in common: {error}.",
                    "Update its SSH server, or allow current algorithms there.",
                ) from error
            key = self._transport.get_remote_server_key()
        known_host.check(key.get_name(), key.asbytes())

    def _log_in(self, destination: Destination, credentials: login.SshCredentials) -> None:
        host, user = destination.host, destination.user
        with self._stage("login", self._timeouts.login, host):
            login.log_in(self._transport, host, user, credentials)

    def _start_sftp(self, host: str) -> None:
        self._transport.set_keepalive(_KEEPALIVE_SECONDS)
        with self._stage("start of SFTP", self._timeouts.channel, host):
            self._channel = self._transport.open_session(_WINDOW_BYTES, _PACKET_BYTES)
            self._channel.in_buffer = _ReceiveBuffer(_WINDOW_BYTES)
            self._channel.in_stderr_buffer = _ReceiveBuffer(_ERROR_BYTES)
            try:
                self._channel.invoke_subsystem("sftp")
            except SSHException as error:
                if not self._transport.is_active():
                    raise
                raise TransportError(
                    f"{host} accepted the login, but refused to start SFTP.",
                    "Ask its administrator to enable the subsystem sftp.",
                ) from error

    @contextmanager
    def _stage(self, name: str, seconds: float, host: str) -> Iterator[None]:
        """Limit the time of the block, and name the stage in errors."""
        try:
            with self._guard.limit(seconds):
                yield
        except (SSHException, EOFError, OSError) as error:
            reason = (
                f"took more than {seconds:g} seconds" if self._guard.expired else "was interrupted"
            )
            shown = "" if self._guard.expired else make_printable(str(error))[:_SHOWN_CHARACTERS]
            detail = f" ({shown})" if shown else ""
            raise TransientError(
                f"{host}: the {name} {reason}{detail}.",
                "Try again; check that it is an SSH server.",
            ) from error

    @contextmanager
    def _translate_errors(self, *, sending: bool = False) -> Iterator[None]:
        try:
            with self._guard.limit_silence(self._timeouts.stall, sending=sending):
                yield
        except (SSHException, EOFError, OSError) as error:
            if self._guard.failure:
                raise self._guard.failure from None
            seconds = self._timeouts.stall
            event = f"was silent for {seconds:g} seconds" if self._guard.expired else "ended"
            raise TransientError(
                f"The SSH connection {event}.", "Check the network and try again."
            ) from error


class _ReceiveBuffer(BufferedPipe):  # type: ignore[misc]  # paramiko has no types
    """Received data, in the pieces in which it arrived.

    Paramiko's own buffer cuts what is read off the front of an array, which moves the rest each
    time. It also grows as long as the server sends; this one ends the connection.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._pieces: deque[bytes | memoryview] = deque()
        self._held = 0
        self._limit = limit

    def feed(self, data: bytes) -> None:
        with self._lock:
            self._held += len(data)
            if self._held > self._limit:
                raise SSHException("It sent more than its window allows")
            self._pieces.append(data)
            self._cv.notify_all()

    def read(self, nbytes: int, timeout: float | None = None) -> bytes | memoryview:
        with self._lock:
            while not self._pieces and not self._closed:
                if not self._cv.wait(timeout):
                    raise PipeTimeout
            if not self._pieces:
                return b""
            piece = self._pieces.popleft()
            if len(piece) > nbytes:
                self._pieces.appendleft(memoryview(piece)[nbytes:])
                piece = piece[:nbytes]
            self._held -= len(piece)
            return piece

    def read_ready(self) -> bool:
        with self._lock:
            return bool(self._pieces)

    def __len__(self) -> int:
        with self._lock:
            return self._held


def _prefer_known(kinds: list[str], all_kinds: tuple[str, ...]) -> tuple[str, ...]:
    """Ask for a key of a known type first: a server that has one must present it.

    The other types follow, so that the fingerprint of a server without one can be reported.
    """
    known_host = [name for kind in kinds for name in (_RSA if kind == "ssh-rsa" else (kind,))]
    return tuple(dict.fromkeys([*(name for name in known_host if name in all_kinds), *all_kinds]))


def _widen_timeouts(transport: Transport, timeouts: Timeouts) -> Transport:
    """Make paramiko's time-outs longer than ours: they come without a message, if at all."""
    transport.banner_timeout = transport.handshake_timeout = 2 * timeouts.handshake
    transport.auth_timeout = 2 * timeouts.login
    transport.channel_timeout = 2 * timeouts.channel
    return transport
