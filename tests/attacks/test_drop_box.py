"""Accounts and clients of the drop box that try to hold up the others, or to fill its log."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from airgap.flow.location.location import ArchiveFile
from airgap.server.dropbox import upload_digests
from airgap.server.dropbox.folders import DropFolders, Retention
from airgap.server.dropbox.open_uploads import OpenUploads
from airgap.server.dropbox.quotas import Quota
from airgap.server.intake.event_log import EventLog
from airgap.server.intake.intake import Intake, IntakeOptions
from airgap.server.intake.worker import Worker
from tests.support import drop_box
from tests.support.drop_box import RunningDropBox, run_drop_box, wait_until
from tests.support.sides import Side

GUESSES = 3


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drop_box.make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def plain(
    isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningDropBox]:
    """A drop box without TLS that permits few guesses and does not pause after a wrong one."""
    monkeypatch.setattr("airgap.server.dropbox.control.ControlConnection.auth_failed_timeout", 0)
    path = drop_box.write_config(tmp_path, None, limits=f"login_failures = {GUESSES}")
    with run_drop_box(isolated, path, None) as box:
        yield box


def _connect(box: RunningDropBox) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", box.port), timeout=60)
    assert connection.recv(100).startswith(b"220")
    return connection


def _read_all(connection: socket.socket) -> str:
    """Read until the server closes the connection."""
    received = b""
    while data := connection.recv(10_000):
        received += data
    connection.close()
    return received.decode()


def _events(box: RunningDropBox, event: str) -> list[Any]:
    return [line for line in box.lines if line["event"] == event]


def _is_idle(box: RunningDropBox) -> bool:
    return not box.drop_box._listeners[0].ip_map


def _assert_no_traceback(box: RunningDropBox) -> None:
    assert "Traceback" not in json.dumps(box.lines)
    assert not _events(box, "ftp")


def test_open_connections_get_no_more_guesses_than_an_address_has(plain: RunningDropBox) -> None:
    connections = [_connect(plain) for _ in range(6)]
    for connection in connections:
        connection.sendall(b"USER ann\r\nPASS wrong\r\n" * 2)
    replies = "".join(map(_read_all, connections))

    assert len(_events(plain, "login failed")) == GUESSES
    assert replies.count("530 ") == GUESSES
    assert replies.count("421 Too many failed logins") >= 6 - GUESSES


def test_guesses_sent_ahead_wait_for_the_pause(
    isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airgap.server.dropbox.control.ControlConnection.auth_failed_timeout", 0)
    path = drop_box.write_config(tmp_path, None, limits="login_failures = 1000")
    with run_drop_box(isolated, path, None) as box:
        connection = _connect(box)
        connection.sendall(b"USER ann\r\nPASS wrong\r\n" * 10)
        replies = _read_all(connection)

        assert replies.count("530 ") == len(_events(box, "login failed")) == 3
        assert "Disconnecting" in replies


def test_right_passwords_at_once_are_not_taken_for_guesses(plain: RunningDropBox) -> None:
    connections = [_connect(plain) for _ in range(3 * GUESSES)]
    for connection in connections:
        connection.sendall(f"USER ann\r\nPASS {drop_box.PASSWORD}\r\nQUIT\r\n".encode())

    assert all("230 " in _read_all(connection) for connection in connections)


def test_a_client_that_leaves_after_a_wrong_password_leaves_no_traceback(
    isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airgap.server.dropbox.control.ControlConnection.auth_failed_timeout", 0.1)
    with run_drop_box(isolated, drop_box.write_config(tmp_path, None), None) as box:
        connection = _connect(box)
        connection.sendall(b"USER ann\r\nPASS wrong\r\nUSER ann\r\nNOOP\r\n")
        connection.close()
        wait_until(lambda: _events(box, "login failed"))
        wait_until(lambda: _is_idle(box))
        _assert_no_traceback(box)


def test_a_client_that_leaves_before_its_guess_is_checked_has_used_it(
    plain: RunningDropBox,
) -> None:
    for _ in range(GUESSES):
        connection = _connect(plain)
        connection.sendall(b"USER ann\r\nPASS wrong\r\n")
        connection.close()
    wait_until(lambda: len(_events(plain, "login failed")) == GUESSES)

    with socket.create_connection(("127.0.0.1", plain.port), timeout=60) as connection:
        assert connection.recv(100).startswith(b"421")


@pytest.mark.parametrize("how", ["renegotiation", "garbage"])
def test_a_tls_error_leaves_no_traceback_and_no_connection_of_its_user(
    how: str, isolated: Side, certificate: Path, tmp_path: Path
) -> None:
    path = drop_box.write_config(tmp_path, certificate, listen="implicit_port = 0")
    with run_drop_box(isolated, path, certificate) as box:
        address = ("127.0.0.1", box.drop_box.ports[1])
        bare = socket.create_connection(address, timeout=60)
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        connection = SSL.Connection(context, bare)
        bare.settimeout(None)
        connection.set_connect_state()
        connection.do_handshake()
        connection.sendall(f"USER ann\r\nPASS {drop_box.PASSWORD}\r\n".encode())
        received = b""
        while b"230 " not in received:
            received += connection.recv(1000)
        if how == "garbage":
            bare.sendall(b"\x17\x03\x03\x00\x40" + bytes(64))
        else:
            connection.renegotiate()
            with suppress(SSL.Error):
                connection.do_handshake()
        wait_until(lambda: _is_idle(box))
        bare.close()
        _assert_no_traceback(box)
        assert box.drop_box._context.logged_in["ann"] == 0


def test_an_account_that_removes_and_grows_files_holds_up_nobody(
    archive: Path, isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_digests, "SLICE_BYTES", 1000)
    quotas = {name: Quota(10**9, 1000) for name in ("mallory", "bob")}
    folders = DropFolders(tmp_path / "state", quotas, OpenUploads(), Retention(3600, 3600))
    packs = [
        folders.home("mallory") / f"packs/aa/aa{number:062x}.pack.unfinished"
        for number in range(20)
    ]
    packs[0].parent.mkdir(parents=True)
    for pack in packs:
        pack.write_bytes(bytes(1_000_000))
    (folders.home("bob") / archive.name).write_bytes(archive.read_bytes())
    read: list[Path] = []
    real = upload_digests.UploadDigests.read_slice

    def read_slice(self: upload_digests.UploadDigests, path: Path) -> bytes | None:
        read.append(path)
        with path.open("ab") as file:
            file.write(b"x")
        for other in packs[10:]:
            other.unlink(missing_ok=True)
        return real(self, path)

    monkeypatch.setattr(upload_digests.UploadDigests, "read_slice", read_slice)
    lines: list[Any] = []
    intake = Intake(
        folders,
        drop_box.run_in_process,
        EventLog(tmp_path / "state", lines.append),
        IntakeOptions(hold=False, settle=0),
        lambda: float(len(read)),
    )
    with isolated.here():
        intake.tick()

    assert [line["user"] for line in lines if line["event"] == "imported"] == ["bob"]
    assert not [line for line in lines if line["event"] == "trouble"]
    assert len(read) == 1, "one slice of the time of mallory's turn"


def test_a_bundle_whose_import_does_not_end_is_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []

    class Endless:
        pid = 4321

        def __init__(self, *_: object, **__: object) -> None: ...

        def communicate(self, timeout: float) -> tuple[bytes, bytes]:
            if not killed:
                assert timeout == 60
                raise subprocess.TimeoutExpired("airgap", timeout)
            return b"", b""

    monkeypatch.setattr(subprocess, "Popen", Endless)
    monkeypatch.setattr(os, "setpriority", lambda *_: None)
    monkeypatch.setattr(os, "killpg", lambda group, _signal: killed.append(group))

    verdict = Worker(time_limit=60).run("import", ArchiveFile(tmp_path / "x.airgap"))

    assert verdict.kind == "policy", "a kind that goes to quarantine at once"
    assert "60 seconds" in verdict.message
    assert killed == [4321]
