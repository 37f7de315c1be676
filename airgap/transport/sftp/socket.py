"""The connection below SSH, TCP or a command: read in large pieces, with a deadline."""

import math
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from airgap.errors import TransportError
from airgap.transport.least_speed import LeastSpeed
from airgap.transport.port import TransientError
from airgap.transport.sending import LOOK_SECONDS, Line, SentBytes

__all__ = ["GuardedSocket", "connect"]

_BUFFER_BYTES: Final = 512 * 1024
# An unauthenticated server chooses this length. The limit is OpenSSH's own.
_MAX_READ_BYTES: Final = 256 * 1024 + 64
# An exchange of keys, or a login, takes a few KiB. Paramiko searches a first line without an end
# from its beginning after every 128 bytes.
_STAGE_BYTES: Final = 1024 * 1024
_KILL_AFTER_SECONDS: Final = 2


class GuardedSocket:
    """A socket for paramiko, with limits in time and in bytes.

    Paramiko's thread polls it every tenth of a second. Beyond a limit it reports that the
    connection has ended, which wakes every thread that waits for anything.
    """

    def __init__(
        self,
        sock: socket.socket,
        command: "subprocess.Popen[bytes] | None" = None,
        line: Line | None = None,
    ) -> None:
        """Take a connected socket, and the command at its other end, if there is one."""
        self._socket = sock
        self._command = command
        self._line = line or Line(sock)
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._ready = self._buffer[:0]
        self._bytes_left = math.inf
        self._deadline = self._end = math.inf
        self._sent = SentBytes(self._line)
        self._speed = LeastSpeed("The SSH connection")
        self._wait: _Wait | None = None
        self._lock = threading.Lock()
        self.expired = False
        """Whether a limit in time has passed."""
        self.failure: TransportError | None = None
        """The other end is too slow."""

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """End the connection if the block takes longer, or receives far more than it needs."""
        self._deadline = self._line.now() + seconds
        self._bytes_left = _STAGE_BYTES
        try:
            yield
        finally:
            self._deadline = self._bytes_left = math.inf

    @contextmanager
    def limit_silence(self, seconds: float, *, sending: bool) -> Iterator[None]:
        """End the connection if the block takes longer, unless an upload advances meanwhile.

        It advances when the other end acknowledges what was sent before the block began: what
        paramiko sends by itself to keep a connection alive is not progress.
        """
        now = self._line.now()
        wait = self._wait = _Wait(seconds, self._sent.total, now, now, sending=sending)
        try:
            yield
            self._look(wait, self._line.now())
        finally:
            self._wait = None

    def end_after(self, seconds: float) -> None:
        """End the connection after this time, whatever happens until then."""
        self._end = self._line.now() + seconds

    def recv(self, size: int) -> bytes:
        """Return 1 to ``size`` bytes.

        Raises:
            TimeoutError: none arrived; call again.
            EOFError: a limit has passed, or the size is larger than SSH allows.
        """
        if size > _MAX_READ_BYTES:
            raise EOFError
        self._check()
        if not self._ready:
            self._ready = self._buffer[: self._socket.recv_into(self._buffer)]
        piece = bytes(self._ready[:size])
        self._bytes_left -= len(piece)
        self._ready = self._ready[size:]
        return piece

    def send(self, data: bytes) -> int:
        """Send some of the bytes, and return how many; raises as ``recv``."""
        self._check()
        sent = self._socket.send(data)
        self._sent.total += sent
        return sent

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
        """Raise EOFError if a limit has passed."""
        now, wait = self._line.now(), self._wait
        late = now > min(self._deadline, self._end)
        if wait and now - wait.looked_at >= min(LOOK_SECONDS, wait.seconds):
            self._look(wait, now)
            late = late or now - wait.advanced_at > wait.seconds
        self.expired = self.expired or late
        if late or self.failure or self._bytes_left < 0:
            raise EOFError

    def _look(self, wait: "_Wait", now: float) -> None:
        """Look whether an upload advances; two threads may come here at once."""
        with self._lock:
            was_queued = self._sent.acknowledged < wait.sent
            progress = self._sent.look()
            seconds, wait.looked_at = now - wait.looked_at, now
            if was_queued and progress:
                wait.advanced_at = now
            if wait.sending or self._sent.acknowledged < wait.sent:
                try:
                    self._speed.count(progress, seconds)
                except TransportError as error:
                    self.failure = error


@dataclass(slots=True)
class _Wait:
    """One period of waiting for the other end."""

    seconds: float
    """How long it may last without progress."""
    sent: int
    """The bytes that were sent before it began."""
    looked_at: float
    advanced_at: float
    sending: bool


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
