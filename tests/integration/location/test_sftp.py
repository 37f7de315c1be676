"""SFTP with a real sshd: every way to log in, every way to get there, and a disk that is full."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from paramiko.packet import Packetizer

from airgap.errors import ConfigurationError, StorageError, TransportError
from airgap.transport.port import TransientError
from airgap.transport.sftp.options import SftpOptions, Timeouts
from airgap.transport.sftp.transport import SftpTransport
from tests.servers import ssh
from tests.servers.ssh import SshServer
from tests.support import stores
from tests.support.key_backends import Agent

CONTENT = stores.noise(5_000_000, 3)
PASSPHRASE = "a long one"  # noqa: S105
RELAY = """
import socket, sys, threading
there = socket.create_connection((sys.argv[1], int(sys.argv[2])))
here = socket.socket(fileno=0)
def pump(source, sink):
    while piece := source.recv(65536):
        sink.sendall(piece)
    sink.shutdown(socket.SHUT_WR)
threading.Thread(target=pump, args=(here, there), daemon=True).start()
pump(there, here)
"""
pytestmark = pytest.mark.skipif(ssh.SSHD is None, reason="sshd (openssh-server) is not here")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """One that takes keys of all kinds, and certificates of one authority."""
    top = tmp_path_factory.mktemp("sshd")
    ssh.keygen(top / "authority")
    with ssh.serve(top, [f"TrustedUserCAKeys {top}/authority.pub"]) as one:
        one.plant("depot", "packs/a", CONTENT)
        yield one


def admit(server: SshServer, public: Path) -> None:
    """Let a key in."""
    with (server.top / "user.pub").open("a") as file:
        file.write(public.read_text())


@contextmanager
def reached(options: SftpOptions) -> Iterator[SftpTransport]:
    one = SftpTransport(options)
    try:
        yield one
    finally:
        one.close()


def works(options: SftpOptions) -> bool:
    with reached(options) as one:
        return one.size("packs/a") == len(CONTENT)


@pytest.mark.parametrize(
    "made",
    [
        ["ecdsa"],
        ["ecdsa", "-b", "521"],
        ["rsa", "-b", "2048"],
        ["rsa", "-b", "2048", "-m", "PEM"],
        ["ed25519"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_key_files_of_all_kinds_let_us_in(
    made: list[str], passphrase: str | None, server: SshServer, tmp_path: Path
) -> None:
    ssh.keygen(tmp_path / "key", *made, "-N", passphrase or "")
    admit(server, tmp_path / "key.pub")

    options = server.options("depot")
    assert works(replace(options, keys=(tmp_path / "key",), passphrase=passphrase))


@pytest.mark.parametrize(
    ("passphrase", "reason"), [(None, "is encrypted"), ("wrong", "with this passphrase")]
)
def test_an_encrypted_key_wants_its_passphrase(
    passphrase: str | None, reason: str, server: SshServer, tmp_path: Path
) -> None:
    ssh.keygen(tmp_path / "key", "ed25519", "-N", PASSPHRASE)

    with pytest.raises(ConfigurationError, match=reason) as error:
        works(replace(server.options("depot"), keys=(tmp_path / "key",), passphrase=passphrase))
    assert error.value.hint
    assert "wrong" not in error.value.message


@pytest.mark.parametrize("content", [b"", b"nothing", b"-----BEGIN OPENSSH PRIVATE KEY-----\n"])
def test_what_is_no_key_is_reported(content: bytes, server: SshServer, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(content)

    with pytest.raises(ConfigurationError, match="cannot be read"):
        works(replace(server.options("depot"), keys=(tmp_path / "key",)))


def test_a_key_that_is_not_there_is_reported(server: SshServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        works(replace(server.options("depot"), keys=(tmp_path / "key",)))


@pytest.mark.parametrize("made", [["ed25519"], ["ecdsa"], ["rsa", "-b", "2048"]], ids=" ".join)
def test_a_certificate_lets_us_in(made: list[str], server: SshServer, tmp_path: Path) -> None:
    key = ssh.keygen(tmp_path / "key", *made)
    user = server.options("depot").user
    assert user is not None
    sign = ["ssh-keygen", "-q", "-s", f"{server.top}/authority", "-I", "x", "-n", user]
    subprocess.run([*sign, f"{key}.pub"], check=True, timeout=120)

    assert works(replace(server.options("depot"), keys=(key,)))


def test_a_certificate_that_is_invalid_is_reported(server: SshServer, tmp_path: Path) -> None:
    key = ssh.keygen(tmp_path / "key")
    Path(f"{key}-cert.pub").write_text("nothing")

    with pytest.raises(ConfigurationError, match="not a certificate"):
        works(replace(server.options("depot"), keys=(key,)))


def test_an_agent_lets_us_in(server: SshServer, agent: Agent) -> None:
    agent.add("other", "-t", "rsa", "-b", "2048")
    agent.add("right", "-t", "ed25519")
    admit(server, agent.folder / "right.pub")

    options = replace(server.options("depot"), keys=())
    assert works(replace(options, agent=True))
    with pytest.raises(TransportError, match="no credential was given"):
        works(replace(options, agent=False))


def test_an_agent_opens_the_encrypted_key_that_it_holds(server: SshServer, agent: Agent) -> None:
    agent.add("key", "-t", "ed25519")
    public = agent.folder / "key.pub"
    admit(server, public)
    encrypted = ssh.keygen(agent.folder / "encrypted", "ed25519", "-N", PASSPHRASE)
    shutil.copy(public, f"{encrypted}.pub")

    assert works(replace(server.options("depot"), keys=(encrypted,), agent=True))


def test_a_key_of_the_ssh_configuration_is_offered_before_those_of_an_agent(
    server: SshServer, agent: Agent, tmp_path: Path
) -> None:
    for number in range(7):  # more than a server lets us try
        agent.add(f"other{number}", "-t", "ed25519")
    (tmp_path / "config").write_text(
        f"IdentityFile {tmp_path}/missing\nIdentityFile {server.key}\n"
    )

    options = replace(server.options("depot"), keys=(), agent=True, config=tmp_path / "config")
    assert works(options)


def test_the_same_key_is_offered_once(server: SshServer, agent: Agent, tmp_path: Path) -> None:
    agent.add("held", "-t", "ed25519")
    encrypted = ssh.keygen(tmp_path / "encrypted", "ed25519", "-N", PASSPHRASE)
    shutil.copy(agent.folder / "held.pub", f"{encrypted}.pub")
    (tmp_path / "config").write_text(f"IdentityFile {encrypted}\n")
    options = replace(server.options("depot"), keys=(), agent=True, config=tmp_path / "config")

    with pytest.raises(TransportError) as caught:
        works(options)
    assert [line.partition(" (")[0] for line in caught.value.details] == [f"key {encrypted}"]


def test_an_agent_that_does_not_sign_is_a_refusal(server: SshServer, agent: Agent) -> None:
    agent.add("key", "-t", "ed25519")
    admit(server, agent.folder / "key.pub")
    agent.remove("key")
    agent.add("unknown", "-t", "ecdsa")

    with pytest.raises(TransportError, match="refused every credential") as caught:
        works(replace(server.options("depot"), keys=(), agent=True))
    assert "(unknown): refused" in caught.value.details[0]


def test_a_server_that_hangs_up_after_too_many_keys_is_not_tried_again(
    server: SshServer, agent: Agent
) -> None:
    for number in range(8):  # MaxAuthTries is 6
        agent.add(f"key{number}", "-t", "ed25519")

    with pytest.raises(TransportError, match="closed the connection at login attempt 6") as caught:
        works(replace(server.options("depot"), keys=(), agent=True))
    assert not isinstance(caught.value, TransientError)
    assert "Name the key to use" in caught.value.hint


def test_a_command_can_be_the_connection(server: SshServer, tmp_path: Path) -> None:
    (tmp_path / "relay.py").write_text(RELAY)
    run = f"{sys.executable} {tmp_path}/relay.py 127.0.0.1 {server.port}"
    command = f"sh -c 'echo $$ > {tmp_path}/pid; exec {run}'"
    before = threading.active_count()

    assert works(replace(server.options("depot"), proxy_command=command))

    assert threading.active_count() == before
    with pytest.raises(ProcessLookupError):  # it has ended, and was waited for
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize("command", ["false", "echo nothing", "/nonexistent", "cat"])
def test_a_command_that_does_not_connect_is_given_up(
    command: str, server: SshServer, capfd: pytest.CaptureFixture[str]
) -> None:
    options = replace(
        server.options("depot"),
        proxy_command=f"{command} # %h",
        timeouts=Timeouts(handshake=0.5),
    )

    with pytest.raises(TransientError, match="key exchange"):
        works(options)
    capfd.readouterr()


def test_the_ssh_configuration_leads_to_the_server(server: SshServer, tmp_path: Path) -> None:
    options = server.options("depot")
    (tmp_path / "relay.py").write_text(RELAY)
    (tmp_path / "config").write_text(
        f"Host depot\n  HostName 127.0.0.1\n  Port {server.port}\n  User {options.user}\n"
        f"  IdentityFile {server.key}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {options.known_hosts}\n"
        f"  ProxyCommand {sys.executable} {tmp_path}/relay.py %h %p\n"
    )

    assert works(SftpOptions("depot", folder=options.folder, config=tmp_path / "config"))


@pytest.mark.parametrize("settings", [(), ("RekeyLimit 1M",)])
def test_keys_are_exchanged_again_in_the_middle_of_a_transfer(
    settings: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not settings:
        monkeypatch.setattr(Packetizer, "REKEY_BYTES", 1_000_000)
    (tmp_path / "source").write_bytes(CONTENT)
    found = bytearray()

    with ssh.serve(tmp_path, settings) as server, reached(server.options("depot")) as one:
        assert one.put("packs/a", tmp_path / "source", len(CONTENT)) == "stored"
        assert one.get("packs/a", found.extend) == len(CONTENT)

    assert found == CONTENT
    exchanges = sum("SSH2_MSG_NEWKEYS received" in line for line in server.log)
    assert exchanges > 2  # the first, and at least two in the middle; how many depends on the load


@pytest.mark.parametrize(
    ("subsystem", "reason"),
    [("other /bin/true", "refused to start SFTP"), ("sftp /bin/true", "ended")],
)
def test_a_server_without_sftp_is_reported(subsystem: str, reason: str, tmp_path: Path) -> None:
    serving = ssh.serve(tmp_path, subsystem=subsystem)
    with serving as server, pytest.raises(TransportError, match=reason) as error:
        works(server.options("depot"))
    assert error.value.hint


def test_a_folder_that_may_not_be_written_is_reported(server: SshServer, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"1")
    options = replace(server.options("x"), folder="/proc/nothing")

    with (
        reached(options) as one,
        pytest.raises(TransportError, match="refused to make a folder") as caught,
    ):
        one.put("packs/a", tmp_path / "source", 1)
    assert caught.value.hint
    assert "sftp://127.0.0.1" in caught.value.message


@pytest.mark.servers
def test_a_full_disk_is_reported_as_one_and_the_upload_resumes_later(
    server: SshServer, tmp_path: Path
) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can mount")
    small = server.served / "small"
    small.mkdir()
    (tmp_path / "source").write_bytes(CONTENT)
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)]
    if subprocess.run(mount, check=False, capture_output=True, timeout=120).returncode:
        pytest.skip("this machine does not let us mount")
    try:
        with reached(server.options("small")) as one:
            with pytest.raises(StorageError, match="is full"):
                one.put("packs/a", tmp_path / "source", len(CONTENT))
            with pytest.raises(StorageError, match="is full"):
                one.publish("manifest", CONTENT)
            assert one.size("manifest") is None
            subprocess.run(["mount", "-o", "remount,size=9m", small], check=True, timeout=120)
            assert one.put("packs/a", tmp_path / "source", len(CONTENT)) == "resumed"
        assert (small / "packs" / "a").read_bytes() == CONTENT
        assert [path.name for path in small.iterdir()] == ["packs"]
    finally:
        subprocess.run(["umount", "-l", small], check=True, timeout=120)
