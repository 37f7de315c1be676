"""Runs a service inside the sandbox, and writes down what it did: ``python -m … PLAN``.

The process is in network, mount and process namespaces of its own, unless this host refuses them.
It brings up the loopback interface, puts the sinkhole in the place of the name server, starts the
service, waits until it is ready, and sends the example request.
"""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import ioctl
from http.client import HTTPException
from pathlib import Path
from typing import Final

from airgap.flow.proof.example import ExampleRequest, find_examples
from airgap.flow.proof.report import read_events
from airgap.flow.proof.sinkhole import NAME_SERVER, Sinkhole
from airgap.flow.proof.trial import (
    NETWORK_LOG,
    PYTHON_LOG,
    SERVICE_LOG,
    Outcome,
    ServiceAnswer,
    Trial,
)

__all__ = ["supervise"]

_POLL: Final = 0.1
"""Seconds between two questions whether the service is ready."""
_MOST_WORKER_ENDS: Final = 3
"""So many ends of workers before the service is ready, and it is given up."""
_MOST_REQUESTS: Final = 10
_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
"""Of what the service says of itself; a longer one is not JSON when it is cut."""
_GET_FLAGS: Final = 0x8913
_SET_FLAGS: Final = 0x8914
_UP: Final = 1
_WORKER: Final = "worker"


def main() -> None:
    """Do what the trial says, and write the outcome."""
    trial = Trial.read(Path(sys.argv[1]))
    try:
        if trial.is_isolated:
            _set_up_namespaces(trial)
    except (OSError, subprocess.CalledProcessError) as error:
        Outcome(is_ready=False, seconds=0, problem=str(error)).write(trial.folder)
        return
    supervise(trial, time.monotonic, time.sleep).write(trial.folder)


def _set_up_namespaces(trial: Trial) -> None:
    """Bring up loopback, and let every name lead to the sinkhole.

    Raises:
        OSError, CalledProcessError: the host refuses.
    """
    _bring_up_loopback()
    for name, text in (
        ("resolv.conf", f"nameserver {NAME_SERVER}\noptions timeout:2 attempts:1\n"),
        ("nsswitch.conf", "hosts: files dns\n"),
        ("hosts", f"127.0.0.1 localhost {socket.gethostname()}\n"),
    ):
        (trial.folder / name).write_text(text)
        target = Path("/etc", name)
        if target.exists():
            _mount(trial.folder / name, target.resolve())
    for source, place in trial.mounts:
        _mount(Path(source), Path(place), read_only=True)
    Sinkhole(trial.folder / NETWORK_LOG).start()


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("16xh", ioctl(any_socket, _GET_FLAGS, request))
        ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))


def _mount(source: Path, target: Path, *, read_only: bool = False) -> None:
    command = ["mount", "--bind", str(source), str(target)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  (our own words)
    if read_only:
        again = ["mount", "-o", "remount,bind,ro", str(target)]
        subprocess.run(again, check=True, capture_output=True)  # noqa: S603


def supervise(trial: Trial, clock: Callable[[], float], sleep: Callable[[float], None]) -> Outcome:
    """Start the service, wait for it, and ask it. ``clock`` and ``sleep`` count seconds.

    Raises:
        OSError: the command cannot be started, or a log cannot be written.
    """
    begin = clock()
    with _serve(trial) as service:
        while True:
            is_ready = _is_ready(trial.port)
            seconds = clock() - begin
            if is_ready:
                break
            if service.poll() is not None:
                return Outcome(is_ready=False, seconds=seconds, exit_code=service.returncode)
            if _count_worker_ends(trial.folder / PYTHON_LOG) >= _MOST_WORKER_ENDS:
                return Outcome(is_ready=False, seconds=seconds, keeps_failing=True)
            if seconds > trial.seconds_to_start:
                return Outcome(is_ready=False, seconds=seconds)
            sleep(_POLL)
        answers = tuple(_ask(trial, request) for request in _list_requests(trial))
        return Outcome(is_ready=True, seconds=seconds, answers=answers)


@contextmanager
def _serve(trial: Trial) -> Iterator["subprocess.Popen[bytes]"]:
    """Give the service's process; it and its children end with the block."""
    with (trial.folder / SERVICE_LOG).open("wb") as log:
        service = subprocess.Popen(  # noqa: S603  (what the caller names)
            trial.command,
            env=dict(trial.environment),
            cwd=trial.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield service
        finally:
            _end(service)


def _end(service: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(service.pid, number)
            service.wait(timeout=10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _is_ready(port: int) -> bool:
    return _send(port, ExampleRequest("GET", "/readyz"), 5).is_success


def _list_requests(trial: Trial) -> list[ExampleRequest]:
    """Return the trial's request, or the examples of the service."""
    if trial.request:
        return [trial.request]
    try:
        with _open(trial.port, ExampleRequest("GET", "/docs.json"), 10) as response:
            document = json.loads(response.read(_DOCUMENT_BYTES))
    except (OSError, ValueError, RecursionError, HTTPException):
        return []
    return list(find_examples(document))[:_MOST_REQUESTS]


def _ask(trial: Trial, request: ExampleRequest) -> ServiceAnswer:
    return _send(trial.port, request, trial.seconds_to_answer)


def _send(port: int, request: ExampleRequest, seconds: float) -> ServiceAnswer:
    try:
        with _open(port, request, seconds) as response:
            while response.read(1 << 20):
                pass
            return ServiceAnswer(str(request), response.status)
    except urllib.error.HTTPError as error:
        return ServiceAnswer(str(request), error.code, error.read(500).decode(errors="replace"))
    except (OSError, ValueError, HTTPException) as error:
        return ServiceAnswer(str(request), 0, str(error) or type(error).__name__)


def _open(port: int, request: ExampleRequest, seconds: float):  # type: ignore[no-untyped-def]  # noqa: ANN202  (urllib's)
    question = urllib.request.Request(
        f"http://127.0.0.1:{port}{request.path}",
        data=request.body or None,
        headers=dict(request.headers),
        method=request.method,
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(question, timeout=seconds)


def _count_worker_ends(log: Path) -> int:
    """Count the workers of BentoML that have ended; those that are killed write nothing."""
    workers, ends = set(), 0
    for event in read_events(log):
        process = str(event.get("process"))
        if event["event"] == "start" and _WORKER in str(event.get("arguments")):
            workers.add(process)
        elif event["event"] == "end" and process in workers:
            ends += 1
    return ends


if __name__ == "__main__":
    main()
