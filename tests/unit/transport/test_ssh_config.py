"""What ~/.ssh/config says of a host; `ssh -G` is the oracle."""

import getpass
import shutil
import subprocess
from pathlib import Path

import pytest

from airgap.errors import ConfigurationError, StorageError
from airgap.transport.sftp.ssh_config import Destination, resolve

CONFIG = """
Port 2200
Host depot depot2
  HostName depot.example
  User courier
  IdentityFile ~/.ssh/depot
  IdentityFile /keys/%h
  UserKnownHostsFile ~/.ssh/known_depot %d/.ssh/more
  IdentitiesOnly yes
Host through
  HostName 10.0.0.7
  ProxyCommand nc -x gate %h %p
Host jump
  ProxyJump first,ops@gate.example:2222
Host alias
  HostKeyAlias ward-depot
Match host depot.example
  Port 2022
Host *
  User everybody
"""


def at(tmp_path: Path, host: str, config: str = CONFIG, **given: object) -> Destination:
    (tmp_path / "config").write_text(config)
    port, user, proxy = (given.get(one) for one in ("port", "user", "proxy"))
    return resolve(host, port, user, proxy, tmp_path / "config")  # type: ignore[arg-type]


def test_a_host_of_the_file_is_reached_as_it_says(tmp_path: Path) -> None:
    found = at(tmp_path, "depot")

    assert (found.host, found.port, found.user) == ("depot.example", 2200, "courier")
    assert found.host_key_name == "depot.example"
    assert found.keys == (Path("~/.ssh/depot").expanduser(), Path("/keys/depot.example"))
    assert found.identities_only
    assert found.known_hosts == (
        Path("~/.ssh/known_depot").expanduser(),
        Path("~/.ssh/more").expanduser(),
    )


@pytest.mark.parametrize("host", ["depot", "through", "alias", "elsewhere"])
def test_openssh_understands_the_file_alike(host: str, tmp_path: Path) -> None:
    if shutil.which("ssh") is None:
        pytest.skip("there is no ssh")
    found = at(tmp_path, host)

    printed = subprocess.run(
        ["ssh", "-G", "-F", tmp_path / "config", host],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout.splitlines()

    assert f"hostname {found.host}" in printed
    assert f"port {found.port}" in printed
    assert f"user {found.user}" in printed


def test_arguments_override_the_file(tmp_path: Path) -> None:
    found = at(tmp_path, "through", port=22, user="me")

    assert (found.host, found.port, found.user) == ("10.0.0.7", 22, "me")
    assert found.proxy == "nc -x gate 10.0.0.7 22"
    assert at(tmp_path, "through", proxy="mine").proxy == "mine"


def test_a_proxy_gets_the_user(tmp_path: Path) -> None:
    assert at(tmp_path, "x", "ProxyCommand go %r@%h").proxy == f"go {getpass.getuser()}@x"
    assert at(tmp_path, "x", "ProxyCommand go %r@%h", user="me").proxy == "go me@x"


def test_jumps_are_made_by_ssh_itself(tmp_path: Path) -> None:
    assert at(tmp_path, "jump").proxy == (
        "ssh -J first -W '[jump]:2200' -- ssh://ops@gate.example:2222"
    )


def test_a_host_without_a_proxy_has_none(tmp_path: Path) -> None:
    assert at(tmp_path, "depot").proxy is None
    assert at(tmp_path, "x", "ProxyCommand none\nProxyJump gate").proxy is None
    assert at(tmp_path, "x", "ProxyJump none").proxy is None


def test_a_host_key_can_be_known_by_another_name(tmp_path: Path) -> None:
    assert at(tmp_path, "alias").host_key_name == "ward-depot"


def test_without_a_file_there_are_the_usual_values() -> None:
    found = resolve("host.example", None, None, None, None)

    assert found == Destination("host.example", 22, getpass.getuser(), "host.example")


def test_files_are_included_where_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.conf").write_text("Host depot\n  User first\n")
    (tmp_path / "more" / "b.conf").write_text("User second\n")
    config = f"Host depot\nInclude {tmp_path}/more/*.conf\n  Port 99\nHost *\n  User last\n"

    assert at(tmp_path, "depot", config).user == "first"
    assert at(tmp_path, "depot", config).port == 99
    assert at(tmp_path, "other", config).port == 22


def test_a_file_that_includes_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="includes itself"):
        at(tmp_path, "x", f"Include {tmp_path}/config\n")


@pytest.mark.parametrize(
    "config",
    [
        "Host depot\n  Port none",
        "Port 0",
        "Port 70000",
        "Host 'depot",
        "Match nonsense",
        "nonsense",
        "UserKnownHostsFile /known/%h",
        "HostName -oProxyCommand=x",
        'UserKnownHostsFile "/known',
        "UserKnownHostsFile ~nobody-has-this-name/known",
        "Include '/more",
        "Include ~nobody-has-this-name/more",
        f"Port {'9' * 5000}",
    ],
)
def test_a_file_that_is_not_understood_is_refused(config: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        at(tmp_path, "depot", config)
    assert caught.value.hint


@pytest.mark.parametrize(
    "line", ["Match exec {}", "match\texec {}", "Match=host depot !exec {}", 'Match "EXEC" {}']
)
def test_no_command_of_the_file_is_run(line: str, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(line.format(f"'touch {tmp_path}/run'"))
    with pytest.raises(ConfigurationError, match="exec"):
        resolve("depot", None, None, None, tmp_path / "config")
    assert not (tmp_path / "run").exists()


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    for path in [tmp_path, tmp_path / "missing"]:
        with pytest.raises(StorageError):
            resolve("x", None, None, None, path)


@pytest.mark.parametrize(
    ("host", "user"),
    [
        ("$(touch x)", None),
        ("`x`", None),
        ("-oProxyCommand=x", None),
        ("a b", None),
        ("a\nProxyCommand x", None),
        ("", None),
        ("host", "$(x)"),
        ("host", "-l"),
        ("host", "a;b"),
        ("host", "a\nProxyCommand x"),
    ],
)
def test_names_that_a_shell_or_the_file_would_obey_are_refused(
    host: str, user: str | None, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError):
        at(tmp_path, host, "ProxyCommand nc %h %p %r", user=user)


@pytest.mark.parametrize("host", ["10.0.0.1", "::1", "fe80::1%eth0", "a_b-c.example."])
def test_addresses_and_names_are_taken(host: str, tmp_path: Path) -> None:
    assert at(tmp_path, host, "").host == host


@pytest.mark.parametrize("user", ["courier", "a.b@realm", "DOM\\user", "ü"])
def test_names_of_people_are_taken(user: str, tmp_path: Path) -> None:
    assert at(tmp_path, "x", "", user=user).user == user


def test_a_user_without_a_name_must_name_the_server_s(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise KeyError("getpwuid(): uid not found: 1000670000")

    monkeypatch.setattr("getpass.getuser", fail)

    with pytest.raises(ConfigurationError, match="has no name on this system") as refused:
        resolve("depot.example", None, None, None, None)
    assert "--user NAME" in refused.value.hint
