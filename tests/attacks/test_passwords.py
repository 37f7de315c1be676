"""A server's password is shown nowhere: in no output, error, traceback, file or process."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import airgap
from airgap.errors import AirgapError
from airgap.flow.location import connector
from airgap.transport.ftp.transport import FtpTransport
from airgap.transport.retry import RetryPolicy
from tests.servers import ftp
from tests.servers.ftp import FtpServer
from tests.support import sides
from tests.support.sides import Ran, Side, Site

WRONG = "hunter2%wrong"
WRITTEN = "hunter2%25wrong"  # as a URL has it
COMMANDS = [
    ["import", "PLACE"],
    ["verify", "PLACE"],
    ["inspect", "PLACE"],
    ["diff", "PLACE", "PLACE"],
    ["sign", "PLACE", "--key", "KEY"],
    ["approve", "PLACE", "--key", "KEY"],
    ["attest", "PLACE", "--key", "KEY", "--role", "scanner", "--findings", "KEY"],
    ["trust", "update", "PLACE"],
    ["copy", "PLACE", "NEW"],
    ["copy", "DEPOT", "PLACE"],
    ["export", "shop:v1", "-o", "PLACE", "--key", "KEY"],
]


@pytest.fixture(scope="module")
def server() -> Iterator[FtpServer]:
    """A server with a password that nobody here types right, unless a test says so."""
    with ftp.serve("pyftpdlib", "none") as one:
        yield one


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits before a new try."""
    monkeypatch.setattr(connector, "RetryPolicy", partial(RetryPolicy, wait=lambda _: None))


@pytest.fixture
def words(small: Side, site: Site, depot: Path, tmp_path: Path) -> dict[str, str]:
    """What the words in ``COMMANDS`` stand for, but for the place."""
    sides.trust(small, site)
    return {"KEY": str(site.key()), "DEPOT": str(depot), "NEW": str(tmp_path / "new")}


def run(side: Side, command: list[str], words: dict[str, str], location: str, *more: str) -> Ran:
    return side.run(*({**words, "PLACE": location}.get(word, word) for word in command), *more)


def demand_hidden(ran: Ran, side: Side, *secrets: str) -> None:
    """Nothing printed or kept may hold a password."""
    kept = b"".join(path.read_bytes() for path in side.state.rglob("*") if path.is_file())
    for secret in secrets:
        assert secret not in ran.out
        assert secret not in ran.err
        assert secret.encode() not in kept


@pytest.mark.parametrize("more", [[], ["--json"]])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:1]))
def test_a_wrong_password_in_a_url_is_not_shown(
    command: list[str], more: list[str], small: Side, words: dict[str, str], server: FtpServer
) -> None:
    location = f"ftp://{server.user}:{WRITTEN}@127.0.0.1:{server.port}/depot"

    ran = run(small, command, words, location, *more)

    assert ran.code != 0
    assert "password in the URL" in ran.err
    demand_hidden(ran, small, WRONG, WRITTEN, "hunter2")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:1]))
def test_a_host_that_is_not_there_shows_no_password(
    command: list[str], small: Side, words: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    ran = run(small, command, words, f"ftp://anna:{WRITTEN}@127.0.0.1:{port}/depot")

    assert ran.code == 16
    demand_hidden(ran, small, WRONG, WRITTEN, "hunter2")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:1]))
def test_a_bug_shows_no_password(
    command: list[str],
    small: Side,
    words: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def broken(self: FtpTransport, *_: object) -> int:
        raise RuntimeError(f"PASS {self._options.password} in {vars(self)}")

    for name in ("size", "list", "get", "publish"):
        monkeypatch.setattr(FtpTransport, name, broken)
    (tmp_path / "password").write_text(WRONG + "\n")

    ran = run(
        small, command, words, "ftp://anna@host/depot", "--password-file", f"{tmp_path}/password"
    )

    assert ran.code == 1
    assert "RuntimeError" in ran.err
    demand_hidden(ran, small, WRONG)


@pytest.mark.parametrize("location", [f"ftp://anna:{WRITTEN}@host:bad/x", f"dav://a:{WRITTEN}@h/x"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:1]))
def test_a_url_that_makes_no_sense_shows_no_password(
    location: str, command: list[str], small: Side, words: dict[str, str]
) -> None:
    ran = run(small, command, words, location)

    assert ran.code in (2, 16)
    demand_hidden(ran, small, WRONG, WRITTEN, "hunter2")


def test_words_that_are_too_many_show_no_password(small: Side) -> None:
    ran = small.run("trust", "show", f"ftp://anna:{WRITTEN}@host/x", "--json")

    assert ran.code == 2
    demand_hidden(ran, small, WRITTEN)


def test_nothing_that_is_written_holds_the_password(
    small: Side, isolated: Side, words: dict[str, str], server: FtpServer
) -> None:
    location = f"ftp://{server.user}:{server.password}@127.0.0.1:{server.port}/good"

    for side, command in (
        (small, COMMANDS[-1]),
        (small, COMMANDS[2]),
        (small, COMMANDS[4]),
        (isolated, COMMANDS[1]),
        (isolated, COMMANDS[0]),
        (isolated, COMMANDS[8]),
    ):
        ran = run(side, command, words, location, "--json")
        assert ran.code == 0, ran.err
        demand_hidden(ran, side, server.password)
    for path in (*server.home.rglob("*"), *small.top.rglob("*"), *isolated.top.rglob("*")):
        assert not path.is_file() or server.password.encode() not in path.read_bytes()


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="there is no /proc here")
def test_the_list_of_processes_shows_no_password(
    small: Side, words: dict[str, str], server: FtpServer, tmp_path: Path
) -> None:
    """Neither ours nor those that we start; where the password is not in the URL."""
    (tmp_path / "password").write_text(server.password)
    location = f"ftp://{server.user}@127.0.0.1:{server.port}/listed"
    script = (
        "import pathlib, sys\n"
        "from airgap.transport.ftp.transport import FtpTransport\n"
        "from airgap.cli.main import main\n"
        "size = FtpTransport.size\n"
        "def look(self, name):\n"
        "    below = pathlib.Path('/proc/self/task').glob('*/children')\n"
        "    ours = ['self', *(number for one in below for number in one.read_text().split())]\n"
        "    for one in ours:\n"
        "        found = pathlib.Path('/proc', one, 'cmdline').read_bytes()\n"
        "        assert pathlib.Path(sys.argv[-1]).read_bytes() not in found\n"
        "    return size(self, name)\n"
        "FtpTransport.size = look\n"
        "main(sys.argv[1:])\n"
    )
    command = ["export", "shop:v1", "-o", location, "--key", words["KEY"]]
    command += ["--password-file", f"{tmp_path}/password"]

    done = subprocess.run(
        [sys.executable, "-c", script, *command],
        env={**os.environ, **small.environment},
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert server.password.encode() not in done.stdout + done.stderr


def test_the_python_api_shows_no_password(
    small: Side,
    site: Site,
    words: dict[str, str],
    server: FtpServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert words
    monkeypatch.setenv("AIRGAP_KEY", str(site.key()))
    with small.here(), pytest.raises(AirgapError) as told:
        airgap.export_bento(
            "shop:v1", f"127.0.0.1:{server.port}", protocol="ftp", user="anna", passwd=WRONG
        )

    error: BaseException | None = told.value
    while error is not None:
        assert WRONG not in f"{error!r} {error} {vars(error)}"
        error = error.__cause__ or error.__context__
