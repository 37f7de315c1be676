"""The demo's server: start it, wait until it is ready, send a request, stop it."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.errors import ConfigurationError

__all__ = ["LOOPBACK", "Answer", "RunningServer", "find_free_port", "run_server"]

LOOPBACK: Final = "127.0.0.1"
_READY_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: status, the status line and headers as text, and the body."""

    status: int
    head: str
    body: bytes


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that is ready."""

    pid: int
    port: int

    def post(self, path: str, body: bytes) -> Answer:
        """Send one request with a JSON body."""
        return _request(self.port, "POST", path, body)


def find_free_port() -> int:
    """Return a port of the loopback address that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def run_server(
    command: Sequence[str],
    port: int,
    log: Path,
    environment: Mapping[str, str],
    ready_seconds: float = _READY_SECONDS,
) -> Iterator[RunningServer]:
    """Run a server until the block ends, however it ends.

    It gets a session of its own, so that nothing it starts outlives it.

    Raises:
        ConfigurationError: it ended, or was not ready in time; with the end of its log.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  (our own command)
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, port, log, ready_seconds)
        yield RunningServer(process.pid, port)
    finally:
        _stop(process)


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", port: int, log: Path, seconds: float
) -> None:
    deadline = time.monotonic() + seconds
    while not _is_ready(port):
        if process.poll() is not None:
            raise _server_error(f"The server ended with exit code {process.returncode}", log)
        if time.monotonic() > deadline:
            raise _server_error(f"The server was not ready after {seconds:.0f} seconds", log)
        time.sleep(_POLL_SECONDS)


def _is_ready(port: int) -> bool:
    with suppress(OSError, http.client.HTTPException):
        return _request(port, "GET", "/readyz").status == http.client.OK
    return False


def _request(port: int, method: str, path: str, body: bytes | None = None) -> Answer:
    """Ask the server itself: no proxy of the environment comes between."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=30)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        lines = [f"HTTP/1.1 {response.status} {response.reason}"]
        lines += [f"{name}: {value}" for name, value in response.getheaders()]
        return Answer(response.status, "\n".join(lines), response.read())
    finally:
        connection.close()


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End the server by its pid, and then whatever of its session is left."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _server_error(message: str, log: Path) -> ConfigurationError:
    tail = log.read_text(errors="replace").splitlines()[-20:]
    return ConfigurationError(
        f"{message}.", "Its log is above; `bentoml serve` by hand may print more.", tail
    )
