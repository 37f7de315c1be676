"""Writes down each look-up and connection that a Python process makes, with the lines that made it.

Python imports this by its name when ``PYTHONPATH`` has its folder. It stands alone: it runs in the
environment of the Bento, with any version of Python. ``AIRGAP_PROOF_LOG`` names the log, and with
``AIRGAP_PROOF_REFUSE`` every connection that leaves the machine is refused.
"""

from __future__ import annotations

import atexit
import importlib.machinery
import importlib.util
import json
import os
import sys
from types import FrameType

LOG = os.environ.get("AIRGAP_PROOF_LOG", "")
REFUSE = bool(os.environ.get("AIRGAP_PROOF_REFUSE"))
MOST_LINES = 500  # of one process
MOST_FRAMES = 60
LOCAL = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "")  # noqa: S104  (compared, not bound)
_count = [0]


def _write(**event: object) -> None:
    _count[0] += 1
    if _count[0] <= MOST_LINES:
        line = json.dumps({"process": os.getpid(), **event}) + "\n"
        descriptor = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode())  # one write: several processes share the file
        finally:
            os.close(descriptor)


def _list_frames() -> list[tuple[str, int, str]]:
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001  (the way to see who asks)
    frames: list[tuple[str, int, str]] = []
    while frame is not None and len(frames) < MOST_FRAMES:
        code = frame.f_code
        if code.co_filename != __file__ and "importlib" not in code.co_filename:
            frames.append((code.co_filename, frame.f_lineno, code.co_name))
        frame = frame.f_back
    return frames


def _find_address(event: str, arguments: tuple[object, ...]) -> tuple[object, ...]:
    """Return host and port of an event; nothing if it does not name a host."""
    if event == "socket.getaddrinfo":
        return arguments[:2]
    if event == "socket.gethostbyname":
        return arguments[0], None
    if event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        return arguments[1][:2]
    return ()


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    address = _find_address(event, arguments) if event.startswith("socket.") else ()
    if not address:
        return
    host, port = address
    host = host.decode("latin-1") if isinstance(host, bytes) else host
    if not isinstance(host, str) or host in LOCAL:
        return
    number = port if isinstance(port, int) else None
    _write(event=event, host=host, port=number, frames=_list_frames())
    if REFUSE:
        raise OSError(101, "Network is unreachable", host)


if LOG:
    _write(
        event="start", arguments=[word[:200] for word in getattr(sys, "orig_argv", sys.argv)[:8]]
    )
    atexit.register(lambda: _write(event="end"))
    sys.addaudithook(_hook)

# The environment may have a module of this name, which this one hides.
_here = os.path.dirname(os.path.abspath(__file__))
_spec = importlib.machinery.PathFinder.find_spec(
    "sitecustomize", [path for path in sys.path if os.path.abspath(path or ".") != _here]
)
if _spec and _spec.loader:
    _spec.loader.exec_module(importlib.util.module_from_spec(_spec))
