"""From what the sandbox wrote down to a verdict, and who asked for what."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

from airgap.flow.proof.trial import NETWORK_LOG, PYTHON_LOG, SERVICE_LOG, Outcome

__all__ = ["Report", "Request", "Verdict", "Watched", "make_report", "read_events", "read_tail"]

Verdict = Literal["served", "served, but asked for", "did not answer", "did not start"]

_MOST_EVENTS: Final = 20_000
_LINE: Final = 64 * 1024
_TAIL: Final = 20
_MOST_LINES: Final = 5
"""Lines of source that are named for one host."""
_MOST_FRAMES: Final = 2
_SINKHOLE: Final = "127.66."
_CLIENTS: Final = frozenset({"urllib3", "requests", "httpx", "httpcore", "anyio", "aiohttp"})
_PACKAGES: Final = "/site-packages/"


@dataclass(frozen=True, slots=True)
class Request:
    """A host that the service asked for, by name or address, and what is known of it."""

    host: str
    count: int
    """Look-ups of its name; at least 1."""
    ports: tuple[int, ...] = ()
    requests: tuple[str, ...] = ()
    """Methods and paths, where they were not encrypted."""
    lines: tuple[str, ...] = ()
    """The Bento's lines that led there, as ``service.py:7 in fetch, service.py:14 in __init__``."""
    packages: tuple[str, ...] = ()
    """The packages that asked."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a proof says of a Bento."""

    verdict: Verdict
    outcome: Outcome
    requests: tuple[Request, ...]
    allowed: tuple[Request, ...] = ()
    """Those to hosts that a person allowed."""
    is_weak: bool = False
    """Whether only Python was watched, because this host gives no namespaces."""
    log: tuple[str, ...] = field(default=())
    """The last lines of the service's log, if it did not start or did not answer."""

    @property
    def is_proof(self) -> bool:
        """Tell whether the Bento ran and asked for nothing."""
        return self.verdict == "served"


def read_events(path: Path) -> list[dict[str, Any]]:
    """Read a log of JSON lines, at most 20,000; a line that is cut or malformed is passed over."""
    try:
        with path.open(errors="replace") as log:
            return [event for line in islice(log, _MOST_EVENTS) for event in _parse(line)]
    except FileNotFoundError:
        return []


def _parse(line: str) -> Iterator[dict[str, Any]]:
    try:
        event = json.loads(line) if len(line) <= _LINE else None
    except (ValueError, RecursionError):
        return
    if isinstance(event, dict) and isinstance(event.get("event"), str):
        yield event


def read_tail(path: Path) -> tuple[str, ...]:
    """Return the last 20 lines of the service's log."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - _LINE))
            return tuple(log.read().decode(errors="replace").splitlines()[-_TAIL:])
    except FileNotFoundError:
        return ()


@dataclass(frozen=True, slots=True)
class Watched:
    """How a Bento was watched."""

    sources: Sequence[str]
    """The folders of its source; lines are named relative to them."""
    own_name: str
    """This host's name, which it may look up."""
    allowed_hosts: Sequence[str] = ()
    is_weak: bool = False
    """Whether only Python was watched."""


def make_report(folder: Path, outcome: Outcome, watch: Watched) -> Report:
    """Judge what a sandbox wrote down in its private folder."""
    network, python = read_events(folder / NETWORK_LOG), read_events(folder / PYTHON_LOG)
    requests = _join_requests(network, python, watch)
    allowed = frozenset(host.lower().rstrip(".") for host in watch.allowed_hosts)
    refused = tuple(request for request in requests if request.host not in allowed)
    verdict = _judge(outcome, refused)
    return Report(
        verdict,
        outcome,
        refused,
        tuple(request for request in requests if request.host in allowed),
        is_weak=watch.is_weak,
        log=read_tail(folder / SERVICE_LOG) if verdict.startswith("did not") else (),
    )


def _judge(outcome: Outcome, requests: Sequence[Request]) -> Verdict:
    if not outcome.is_ready:
        return "did not start"
    if not all(answer.is_success for answer in outcome.answers):
        return "did not answer"
    return "served, but asked for" if requests else "served"


@dataclass(slots=True)
class _Host:
    """What is known of a host so far; dicts are sets that keep their order."""

    lookups: int = 0
    ports: dict[int, None] = field(default_factory=dict)
    requests: dict[str, None] = field(default_factory=dict)
    lines: dict[str, None] = field(default_factory=dict)
    packages: dict[str, None] = field(default_factory=dict)


def _join_requests(
    network: Sequence[dict[str, Any]],
    python: Sequence[dict[str, Any]],
    watch: Watched,
) -> tuple[Request, ...]:
    """Join what the network saw with what Python said, by host, in order of first appearance."""
    hosts: dict[str, _Host] = {}
    for event in network:
        name = event.get("name")
        if isinstance(name, str) and name:
            _add_network(hosts.setdefault(name.lower(), _Host()), event)
    for event in python:
        name = event.get("host")
        if isinstance(name, str) and not name.startswith(_SINKHOLE):
            _add_python(hosts.setdefault(name.lower().rstrip("."), _Host()), event, watch.sources)
    return tuple(
        Request(
            name,
            max(1, host.lookups),
            tuple(host.ports),
            tuple(host.requests),
            tuple(islice(host.lines, _MOST_LINES)),
            tuple(host.packages),
        )
        for name, host in hosts.items()
        if name != watch.own_name.lower()
    )


def _add_network(host: _Host, event: dict[str, Any]) -> None:
    host.lookups += event["event"] == "lookup"
    port, request = event.get("port"), event.get("request")
    if isinstance(port, int):
        host.ports[port] = None
    if isinstance(request, str):
        host.requests[request.removesuffix(" HTTP/1.1")] = None


def _add_python(host: _Host, event: dict[str, Any], sources: Sequence[str]) -> None:
    port = event.get("port")
    if isinstance(port, int) and port:
        host.ports[port] = None
    frames = [frame for frame in event.get("frames", ()) if _is_frame(frame)]
    line = _find_line(frames, sources)
    package = _find_package(frames, sources)
    if line:
        host.lines[line] = None
    if package:
        host.packages[package] = None


def _is_frame(frame: object) -> bool:
    match frame:
        case [str(), int(), str()]:
            return True
        case _:
            return False


def _find_line(frames: Sequence[tuple[str, int, str]], sources: Sequence[str]) -> str | None:
    """Return the Bento's two innermost lines on the way to a request; the innermost is first.

    The first one is often in a small function of the Bento that fetches anything.
    """
    lines = (line for frame in frames if (line := _describe_frame(frame, sources)))
    return ", ".join(islice(lines, _MOST_FRAMES)) or None


def _describe_frame(frame: tuple[str, int, str], sources: Sequence[str]) -> str | None:
    """Return where a frame is in the Bento's source; None if it is not there."""
    file, number, function = frame
    for source in sources:
        if file.startswith(source.rstrip("/") + "/"):
            return f"{file[len(source.rstrip('/')) + 1 :]}:{number} in {function}"
    return None


def _find_package(frames: Sequence[tuple[str, int, str]], sources: Sequence[str]) -> str | None:
    """Return the innermost package that is not one that only speaks HTTP.

    Packages that call the Bento, such as BentoML, are not looked at.
    """
    for frame in frames:
        if _describe_frame(frame, sources):
            return None
        _, found, rest = frame[0].rpartition(_PACKAGES)
        package = rest.partition("/")[0].removesuffix(".py")
        if found and package not in _CLIENTS:
            return package
    return None
