"""Attacks on the log of a mirror's requests: no line is changed or removed unnoticed (§39)."""

import base64
import http.client
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from airgap.errors import CorruptError, StorageError
from airgap.flow.serving.request_log import RequestLog, check_log
from airgap.format.request_log import LINE_BYTES, ServedRequest
from airgap.server.mirror.server import ClientTerms
from airgap.server.mirror.tokens import describe_token, make_secret
from tests.support.mirrors import RunningMirror, running
from tests.support.sides import Side

REQUEST = ServedRequest("2026-12-01T10:00:00Z", "ci", "10.0.0.5", "GET", "/api/v1/bentos", 200, 17)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "requests.jsonl"


def write(path: Path, count: int) -> None:
    log = RequestLog(path)
    for _ in range(count):
        log.add(REQUEST)
    log.close()
    assert log.failure is None


@pytest.fixture
def lines(path: Path) -> list[bytes]:
    """Of a log of five requests, over two runs of a server."""
    write(path, 2)
    write(path, 3)
    return path.read_bytes().splitlines(keepends=True)


def test_a_log_goes_on_over_restarts_and_files(path: Path, lines: list[bytes]) -> None:
    assert check_log([path]).lines == len(lines) == 5
    log = RequestLog(path)
    moved = path.with_name("requests.1")
    log.add(REQUEST)
    log.close()
    log = RequestLog(path)
    path.rename(moved)  # as logrotate does
    log.add(REQUEST)
    log.close()
    whole = check_log([moved, path])
    assert (whole.lines, whole.begins) == (7, REQUEST.at)
    with pytest.raises(CorruptError, match="does not follow"):
        check_log([path, moved])


CHANGES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "changed": lambda lines: [lines[0], lines[1].replace(b"200", b"404"), *lines[2:]],
    "removed": lambda lines: [lines[0], *lines[2:]],
    "added": lambda lines: [*lines[:2], lines[1], *lines[2:]],
    "swapped": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "written otherwise": lambda lines: [lines[0], lines[1].replace(b":", b": ", 1), *lines[2:]],
    "not JSON": lambda lines: [*lines, b"hello\n"],
    "nested": lambda lines: [*lines, b"[" * 10_000 + b"\n"],
    "overlong": lambda lines: [*lines, b"x" * (3 * LINE_BYTES) + b"\n"],
    "other types": lambda lines: [*lines, lines[-1].replace(b"200", b'"200"')],
    "torn": lambda lines: [*lines[:-1], lines[-1][:-9]],
    "empty": lambda _: [],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_line_that_was_changed_is_found(path: Path, lines: list[bytes], change: str) -> None:
    path.write_bytes(b"".join(CHANGES[change](lines)))
    with pytest.raises(CorruptError):
        check_log([path])


def test_a_torn_line_of_a_killed_server_is_removed_by_the_next(
    path: Path, lines: list[bytes]
) -> None:
    path.write_bytes(b"".join(lines) + lines[0][:40])
    write(path, 1)
    assert check_log([path]).lines == 6


def test_lines_that_were_cut_off_are_noticed_by_the_ledger(
    isolated: Side, path: Path, lines: list[bytes]
) -> None:
    recorded = isolated.run("serve", "check-log", path, "--record", "--json")
    assert recorded.code == 0, recorded.err
    write(path, 1)
    again = isolated.run("serve", "check-log", path, "--json")
    assert again.json["recorded"] == [recorded.json["entry"]]
    path.write_bytes(b"".join(lines[:4]))
    cut = isolated.run("serve", "check-log", path)
    assert cut.code == 10
    assert f"entry {recorded.json['entry']}" in cut.err


class BrokenFile:
    """A file on a disk that is full."""

    def __init__(self, log: RequestLog) -> None:
        self.real = log._file

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)

    def write(self, data: bytes) -> int:
        self.real.write(data[:7])
        raise OSError(28, "No space left on device")


def test_what_cannot_be_logged_is_not_served_until_it_can(path: Path) -> None:
    write(path, 1)
    log = RequestLog(path)
    log._file = BrokenFile(log)  # type: ignore[assignment]
    log.add(REQUEST)
    while log.failure is None:
        threading.Event().wait(0.01)
    with pytest.raises(StorageError, match="No space left"):
        log.add(REQUEST)
    assert check_log([path]).lines == 1
    log._file = log._file.real  # type: ignore[attr-defined]
    log.close()
    assert check_log([path]).lines == 2


@pytest.fixture
def secret(tmp_path: Path) -> str:
    secret = make_secret()
    (tmp_path / "tokens.toml").write_text("\n".join(describe_token("node7", secret, None)))
    return secret


@pytest.fixture
def mirror(isolated: Side, depot: Path, path: Path, secret: str) -> Iterator[RunningMirror]:
    del secret
    terms = ClientTerms(tokens=path.with_name("tokens.toml"), request_log=path)
    with running(isolated, depot, terms) as mirror:
        yield mirror


def test_each_request_has_a_line_and_no_secret_is_in_it(
    mirror: RunningMirror, path: Path, secret: str
) -> None:
    basic = base64.b64encode(f"any:{secret}".encode()).decode()
    wrong = make_secret()
    for target, headers in (
        ("/api/v1/models", {"X-YATAI-API-TOKEN": secret}),
        (f"/simple/?token={secret}", {"Authorization": f"Basic {basic}"}),
        ("/console/", {"Authorization": f"Bearer {secret}"}),
        ("/api/v1/models", {"X-YATAI-API-TOKEN": wrong}),
        ("/-/upload/0123456789/1", {}),
    ):
        connection = http.client.HTTPConnection(urlsplit(mirror.url).netloc, timeout=60)
        connection.request("GET", target, headers=headers)
        connection.getresponse().read()
        connection.close()
    mirror.server.stop()
    text = path.read_text()
    while text.count("\n") < 5:
        threading.Event().wait(0.01)
        text = path.read_text()
    assert [line.split('"who":')[1] for line in text.splitlines()] == [
        *['"node7"}'] * 3,
        *['""}'] * 2,
    ]
    assert '"path":"/-/upload/-/1"' in text
    assert not any(word in text for word in (secret, wrong, basic, "0123456789"))
    assert check_log([path]).lines == 5
