"""An SSH server that is not the one it should be, or does what none should do."""

import logging
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import paramiko
import pytest
from paramiko import PKey

from airgap.errors import ConfigurationError, TransportError
from airgap.transport.port import TransientError, Transport
from airgap.transport.sftp.known_hosts import fingerprint
from airgap.transport.sftp.options import SftpOptions, Timeouts
from airgap.transport.sftp.transport import SftpTransport
from tests.servers import ssh
from tests.servers.proxy import Direction, Fault
from tests.servers.ssh_double import LoginScript, SshDouble, Stall, known_line

ED25519 = paramiko.Ed25519Key.from_private_key_file
SECRET = "correct horse battery"  # noqa: S105
HURRY = Timeouts(connect=5, handshake=0.3, login=0.3, channel=0.3, stall=0.3)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key pairs of a host and of an attacker in the middle."""
    top = tmp_path_factory.mktemp("keys")
    for name in ["right", "wrong", "user"]:
        ssh.keygen(top / name)
    ssh.keygen(top / "ecdsa", "ecdsa")
    return top


@pytest.fixture
def right(keys: Path) -> PKey:
    return ED25519(str(keys / "right"))


@pytest.fixture
def wrong(keys: Path) -> PKey:
    return ED25519(str(keys / "wrong"))


@pytest.fixture
def ecdsa(keys: Path) -> PKey:
    return paramiko.ECDSAKey.from_private_key_file(str(keys / "ecdsa"))


Reach = Callable[..., SftpTransport]


@pytest.fixture
def reach(tmp_path: Path, keys: Path) -> Iterator[Reach]:
    """Connect to a double with all credentials there are, and with these known hosts."""
    opened: list[SftpTransport] = []

    def open_one(port: int, known: str, **changes: object) -> SftpTransport:
        (tmp_path / "known").write_text(known)
        options = SftpOptions(
            "127.0.0.1",
            port,
            "ward",
            keys=(keys / "user",),
            password=SECRET,
            known_hosts=tmp_path / "known",
            config=None,
        )
        opened.append(SftpTransport(replace(options, **cast("dict[str, Any]", changes))))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def refused(transport: Transport) -> TransportError:
    with pytest.raises(TransportError) as caught:
        transport.size("packs/a")
    assert caught.value.hint
    assert not isinstance(caught.value, TransientError), caught.value.message
    return caught.value


def test_an_unknown_host_key_is_refused_before_anything_is_offered(
    reach: Reach, wrong: PKey
) -> None:
    with SshDouble(LoginScript(), wrong) as double:
        error = refused(reach(double.port, ""))

    assert double.script.offered == []
    assert fingerprint(wrong.asbytes()) in error.message
    assert error.details == (known_line(double.port, wrong).strip(),)


def test_a_changed_host_key_is_refused_before_anything_is_offered(
    reach: Reach, right: PKey, wrong: PKey
) -> None:
    with SshDouble(LoginScript(), wrong) as double:
        error = refused(reach(double.port, known_line(double.port, right)))

    assert double.script.offered == []
    assert fingerprint(wrong.asbytes()) in error.message
    assert fingerprint(right.asbytes()) in error.message
    assert "line 1" in error.message


def test_the_log_of_a_real_server_shows_no_login_after_a_changed_host_key(
    tmp_path: Path, keys: Path
) -> None:
    with ssh.serve(tmp_path) as server:
        one = server.open("x")
        known = tmp_path / f"known_{server.port}"
        known.write_text(known_line(server.port, ED25519(str(keys / "right"))))
        error = refused(one)

    assert fingerprint(ED25519(str(tmp_path / "host_ed25519")).asbytes()) in error.message
    assert any("Connection from" in line for line in server.log)
    assert not any("userauth" in line for line in server.log)


def test_a_host_key_of_another_algorithm_than_the_known_one_is_refused(
    reach: Reach, right: PKey, ecdsa: PKey
) -> None:
    with SshDouble(LoginScript(), right) as double:
        error = refused(reach(double.port, known_line(double.port, ecdsa)))

    assert double.script.offered == []
    assert fingerprint(right.asbytes()) in error.message
    assert fingerprint(ecdsa.asbytes()) in error.message


def test_a_server_with_several_host_keys_must_show_the_known_one(
    reach: Reach, right: PKey, ecdsa: PKey
) -> None:
    with SshDouble(LoginScript(password=SECRET, methods="password"), right, ecdsa) as double:
        refused(reach(double.port, known_line(double.port, ecdsa)))  # it has no SFTP

    assert double.script.offered == ["none by ward", f"password {SECRET}"]


def test_a_revoked_host_key_is_refused_although_it_is_known(reach: Reach, right: PKey) -> None:
    with SshDouble(LoginScript(), right) as double:
        known = known_line(double.port, right)
        error = refused(reach(double.port, f"{known}@revoked * {known.partition(' ')[2]}"))

    assert double.script.offered == []
    assert "revoked" in error.message
    assert "line 2" in error.message


def test_a_certificate_authority_does_not_make_a_host_key_known(
    reach: Reach, right: PKey, wrong: PKey
) -> None:
    with SshDouble(LoginScript(), wrong) as double:
        error = refused(reach(double.port, f"@cert-authority {known_line(double.port, right)}"))

    assert double.script.offered == []
    assert "certificate authority" in error.message


def test_without_its_file_of_known_hosts_nothing_is_connected_to(
    reach: Reach, right: PKey, tmp_path: Path
) -> None:
    with SshDouble(LoginScript(), right) as double:
        one = reach(double.port, "", known_hosts=tmp_path / "missing")
        with pytest.raises(ConfigurationError, match="missing"):
            one.size("packs/a")

    assert double.script.offered == []


@pytest.mark.parametrize(
    ("stall", "stage"),
    [
        ("banner", "key exchange"),
        ("key exchange", "key exchange"),
        ("login", "login"),
        ("channel", "start of SFTP"),
        ("subsystem", "start of SFTP"),
    ],
)
def test_a_server_that_stalls_is_given_up(
    stall: Stall, stage: str, reach: Reach, right: PKey
) -> None:
    script = LoginScript(password=SECRET, methods="password", stall=stall)
    before = threading.active_count()
    with SshDouble(script, right) as double:
        one = reach(double.port, known_line(double.port, right), timeouts=HURRY)
        with pytest.raises(TransientError, match=f"{stage} took more than 0.3 seconds") as caught:
            one.size("packs/a")
    assert caught.value.hint
    assert threading.active_count() <= before + 1  # the double's own may take a moment


@pytest.mark.parametrize("direction", ["down", "up"])
def test_a_transfer_that_stalls_is_given_up(direction: Direction, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(20_000_000))
    with ssh.serve(tmp_path) as server, server.proxy() as proxy:
        server.plant("x", "big", bytes(5_000_000))
        proxy.faults.append(Fault("stall", direction, 1_000_000))
        one = server.open("x", proxy, timeouts=replace(HURRY, handshake=9, login=9, channel=9))

        go: dict[str, Callable[[], object]] = {
            "down": lambda: one.get("big", lambda _: None),
            "up": lambda: one.put("other", tmp_path / "source", 20_000_000),
        }
        with pytest.raises(TransientError, match=r"silent for 0\.3 seconds"):
            go[direction]()
        one.close()


def test_a_packet_of_two_gigabytes_before_the_login_is_not_waited_for(
    reach: Reach, right: PKey
) -> None:
    def serve() -> None:
        one, _ = listener.accept()
        with one:
            one.sendall(b"SSH-2.0-Double\r\n" + b"\x7f\xff\xff\xff" + bytes(1000))
            ended.append(one.recv(1 << 20) != b"")
            while one.recv(1 << 20):
                pass

    ended: list[bool] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        with pytest.raises(TransientError, match="was interrupted"):
            reach(port, known_line(port, right)).size("packs/a")
        thread.join(60)
    assert ended == [True]


def test_a_banner_cannot_write_to_the_terminal(reach: Reach, right: PKey) -> None:
    def serve() -> None:
        one, _ = listener.accept()
        with one:
            one.sendall(b"\x1b[2Jgood bye\r\n" * 100)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        with pytest.raises(TransientError) as caught:
            reach(port, known_line(port, right)).size("packs/a")
        thread.join(60)
    assert caught.value.message.isprintable()


def test_the_names_of_methods_cannot_write_to_the_terminal(reach: Reach, right: PKey) -> None:
    with SshDouble(LoginScript(methods=f"publickey,\x1b[2J,{SECRET}"), right) as double:
        error = refused(reach(double.port, known_line(double.port, right)))

    assert "it accepts publickey, others" in error.message
    assert all(one.isprintable() for one in (error.message, *error.details))
    assert SECRET not in str(error.details)


def test_wrong_credentials_are_reported_without_the_secret(
    reach: Reach, right: PKey, keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with SshDouble(LoginScript(password=SECRET[1:]), right) as double:
        one = reach(double.port, known_line(double.port, right))
        error = refused(one)

    assert len(double.script.offered) == 3
    assert [line.partition(" (")[0] for line in error.details] == [
        f"key {keys / 'user'}",
        "password: refused",
    ]
    everything = "".join(traceback.format_exception(error)) + repr(one._options) + caplog.text
    assert SECRET not in everything
    assert SECRET not in str((error.message, error.hint, error.details, one.location))


def test_a_password_is_not_sent_to_a_server_that_wants_a_key(reach: Reach, right: PKey) -> None:
    with SshDouble(LoginScript(methods="publickey"), right) as double:
        error = refused(reach(double.port, known_line(double.port, right)))

    assert not any(SECRET in one for one in double.script.offered)
    assert "password: not offered, the server accepts publickey only" in error.details


def test_one_hidden_question_is_answered_with_the_password(reach: Reach, right: PKey) -> None:
    script = LoginScript(methods="keyboard-interactive", password=SECRET)
    with SshDouble(script, right) as double:
        error = refused(reach(double.port, known_line(double.port, right)))

    assert "accepted the login" in error.message
    assert script.offered == ["none by ward", f"answers {[SECRET]}"]


@pytest.mark.parametrize(
    "prompts",
    [[("One-time code: ", True)], [("Old password: ", False), ("New password: ", False)]],
)
def test_other_questions_are_not_answered_with_the_password(
    prompts: list[tuple[str, bool]], reach: Reach, right: PKey
) -> None:
    script = LoginScript(methods="keyboard-interactive", password=SECRET, prompts=prompts)
    with SshDouble(script, right) as double:
        refused(reach(double.port, known_line(double.port, right)))

    assert script.offered == ["none by ward", f"answers {[''] * len(prompts)}"]


@pytest.mark.parametrize(
    ("password", "reason"),
    [(SECRET, "accepted the login"), (SECRET[1:], "refused the login of ward")],
)
def test_a_key_may_not_be_enough(password: str, reason: str, reach: Reach, right: PKey) -> None:
    script = LoginScript(methods="publickey", password=password, two_factors=True)
    with SshDouble(script, right) as double:
        found = refused(reach(double.port, known_line(double.port, right)))

    assert reason in found.message
    assert script.offered[-1] == f"password {SECRET}"


def test_a_password_is_given_once(reach: Reach, right: PKey) -> None:
    script = LoginScript(methods="keyboard-interactive", password=SECRET, rounds=2)
    with SshDouble(script, right) as double:
        refused(reach(double.port, known_line(double.port, right)))

    assert script.offered == ["none by ward", f"answers {[SECRET]}", "answers ['']"]
