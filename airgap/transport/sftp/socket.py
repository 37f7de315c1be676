"""The connection below SSH, TCP or a command: read in large pieces, with a deadline."""

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
# An unauthenticated server chooses this length. The limit is OpenSSH's own.
_MAX_READ_BYTES: Final = 256 * 1024 + 64
_KILL_AFTER_SECONDS: Final = 2


class GuardedSocket:
    """A socket for paramiko, with a deadline.

    Paramiko's thread polls it every tenth of a second. After the deadline it reports that the
    connection has ended, which wakes every thread that waits for anything.
    """

    def __init__(
        self, sock: socket.socket, command: "subprocess.Popen[bytes] | None" = None
    ) -> None:
        """Take a connected socket, and the command at its other end, if there is one."""
        self._socket = sock
        self._command = command
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._ready = self._buffer[:0]
        self.deadline = math.inf
        """Monotonic time in seconds after which the connection counts as dead."""
        self.expired = False

    @contextmanager
    def limit_time(self, seconds: float) -> Iterator[None]:
        """End the connection if the block takes longer."""
        self.deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self.deadline = math.inf

    def recv(self, size: int) -> bytes:
        """Return 1 to ``size`` bytes.

        Raises:
            TimeoutError: none arrived; call again.
            EOFError: the deadline has passed, or the size is larger than SSH allows.
        """
        if size > _MAX_READ_BYTES:
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
        """Set the interval at which paramiko polls."""
        self._socket.settimeout(seconds)

    def getpeername(self) -> object:
        """Return the address of the other end."""
        return self._socket.getpeername()

    def close(self) -> None:
        """Close the connection; end and reap the command."""
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
        """Paramiko reads this when it stops its thread."""
        return self._socket.fileno() < 0

    def _check(self) -> None:
        if time.monotonic() > self.deadline:
            self.expired = True
            raise EOFError


def connect(host: str, port: int, command: str | None, seconds: float) -> GuardedSocket:
    """Connect to a host, or start the command that does.

    Raises:
        TransientError: the connection failed; a new attempt may succeed.
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
    """Run a ProxyCommand as OpenSSH does, with one socket as its standard input and output."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = subprocess.Popen(  # noqa: S603  (the user configured this command)
                ["/bin/sh", "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
            )
        except OSError as error:
            with suppress(OSError):
                ours.close()
            raise TransientError(
                f"The proxy command cannot be started: {error.strerror}.",
                "Check the option proxy_command, or ProxyCommand in ~/.ssh/config.",
            ) from error
    return GuardedSocket(ours, process)
