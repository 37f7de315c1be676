"""The connection below SSH: TCP or a command, read in large pieces, never waited for in vain."""

import math
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from airgap.transport.port import TransientError

__all__ = ["GuardedSocket", "connect"]

_BUFFER_BYTES: Final = 512 * 1024
# Whoever answers may send this length before anything about him is known. OpenSSH's own limit.
_LARGEST_READ: Final = 256 * 1024 + 64
_KILL_AFTER_SECONDS: Final = 2


class GuardedSocket:
    """What paramiko takes for a socket.

    Its thread polls it every tenth of a second; when a deadline has passed it is told that the
    connection has ended, which wakes everybody who waits for anything.
    """

    def __init__(
        self, sock: socket.socket, command: "subprocess.Popen[bytes] | None" = None
    ) -> None:
        """Guard a connected socket, and end the command at its other side with it."""
        self._socket = sock
        self._command = command
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._ready = self._buffer[:0]
        self.deadline = math.inf
        """Monotonic seconds after which the connection counts as dead."""
        self.expired = False

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Let the connection end if what is done in the block takes longer."""
        self.deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self.deadline = math.inf

    def recv(self, size: int) -> bytes:
        """Return 1 to ``size`` bytes.

        Raises:
            TimeoutError: none came; ask again.
            EOFError: a deadline has passed, or the size is one that only an attacker sends.
        """
        if size > _LARGEST_READ:
            raise EOFError
        if not self._ready:
            self._check()
            self._ready = self._buffer[: self._socket.recv_into(self._buffer)]
        piece = bytes(self._ready[:size])
        self._ready = self._ready[size:]
        return piece

    def send(self, data: bytes) -> int:
        """Send some of the bytes, and return how many; raises as ``recv``."""
        self._check()
        return self._socket.send(data)

    def settimeout(self, seconds: float | None) -> None:
        """Take the interval in which paramiko wants to look after other things."""
        self._socket.settimeout(seconds)

    def getpeername(self) -> object:
        """Return the address at the other end."""
        return self._socket.getpeername()

    def close(self) -> None:
        """Close the connection; a command at its other side is ended and reaped."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads
        self._socket.close()
        if self._command is None:
            return
        self._command.terminate()
        try:
            self._command.wait(_KILL_AFTER_SECONDS)
        except subprocess.TimeoutExpired:
            self._command.kill()
            self._command.wait()

    @property
    def _closed(self) -> bool:
        """Paramiko asks for it when it stops its thread."""
        return self._socket.fileno() < 0

    def _check(self) -> None:
        if time.monotonic() > self.deadline:
            self.expired = True
            raise EOFError


def connect(host: str, port: int, command: str | None, seconds: float) -> GuardedSocket:
    """Connect to a host, or start the command that does.

    Raises:
        BrokenOffError: there is no connection; it may work at another time.
    """
    if command is not None:
        return _start_command(command)
    try:
        sock = socket.create_connection((host, port), timeout=seconds)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TransientError(
            f"{host} port {port} does not answer: {reason}.",
            "Check the name, the port, the network and its firewalls.",
        ) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return GuardedSocket(sock)


def _start_command(command: str) -> GuardedSocket:
    """Run a ProxyCommand as OpenSSH does, its standard input and output being one socket."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = subprocess.Popen(  # noqa: S603  (the user's own command, by its design)
                ["/bin/sh", "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
            )
        except OSError as error:
            with suppress(OSError):
                ours.close()
            raise TransientError(
                f"The proxy command cannot be started: {error.strerror}.", "Check it."
            ) from error
    return GuardedSocket(ours, process)
