"""The demo's parts: commands as people type them, and a server that never outlives it."""

import json
import os
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from airgap.errors import ConfigurationError
from airgap.flow.demo import scenario, server
from airgap.flow.demo.hub import serve_hub
from airgap.flow.demo.machine import Machine, Step, format_command
from airgap.flow.demo.server import find_free_port, run_server
from tests.support.sides import Side

READY = """
import http.server, sys
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def do_POST(self):
        self.send_response(201); self.end_headers()
        self.wfile.write(self.rfile.read(int(self.headers["Content-Length"])))
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


class Recorder:
    """Keeps the lines that it is to show."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def show_heading(self, title: str) -> None:
        self.lines.append(title)

    def show_text(self, text: str) -> None:
        self.lines.append(text)

    def show_command(self, line: str) -> None:
        self.lines.append(f"$ {line}")

    def show_output(self, text: str) -> None:
        self.lines.append(text)


def test_the_hub_names_the_commit_that_the_cache_has(tmp_path: Path) -> None:
    refs = tmp_path / "models--ward-7--tiny-words/refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("0bd5")

    with serve_hub(tmp_path) as url:
        with urlopen(f"{url}/api/models/ward-7/tiny-words/revision/main", timeout=30) as answer:  # noqa: S310  (http)
            assert json.load(answer)["sha"] == "0bd5"
        for path in ("api/models/ward-7/other/revision/main", "ward-7/tiny-words/resolve/main/x"):
            with pytest.raises(HTTPError, match="404"):
                urlopen(f"{url}/{path}", timeout=30)  # noqa: S310  (http)


@pytest.mark.parametrize(("others", "all_"), [("", "127.0.0.1"), (".lan", ".lan,127.0.0.1")])
def test_servers_of_the_demo_are_reached_without_a_proxy(
    others: str, all_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", others)

    environment = Machine(tmp_path / "side", Recorder(), []).environment()

    assert (environment["NO_PROXY"], environment["no_proxy"]) == (all_, all_)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_server_answers_while_the_block_lasts_and_is_gone_after_it(tmp_path: Path) -> None:
    port = find_free_port()
    command = [sys.executable, "-c", READY, str(port)]

    with run_server(command, port, tmp_path / "log", os.environ) as running:
        answer = running.post("/echo", b"{}")

    assert (answer.status, answer.body) == (201, b"{}")
    assert answer.head.startswith("HTTP/1.1 201 Created\nServer: ")
    assert not is_alive(running.pid)


def test_a_server_that_ignores_sigterm_is_gone_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_STOP_SECONDS", 0)
    port = find_free_port()
    command = [sys.executable, "-c", STUBBORN + READY, str(port)]

    with run_server(command, port, tmp_path / "log", os.environ) as running:
        pass

    assert not is_alive(running.pid)


def test_ctrl_c_while_waiting_leaves_no_server_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    def interrupt(process: object, *_others: object) -> None:
        started.append(getattr(process, "pid", 0))
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "_wait_until_ready", interrupt)
    command = [sys.executable, "-c", READY, str(find_free_port())]

    with (
        pytest.raises(KeyboardInterrupt),
        run_server(command, 0, tmp_path / "log", os.environ),
    ):
        pass

    assert started
    assert not is_alive(started[0])


def test_what_the_server_started_is_gone_with_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    child = f"""
import time
with open({str(pipe)!r}, "w") as file:
    print("open", flush=True)
    time.sleep(30)
    file.write("it outlived the server")
"""
    parent = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdout=subprocess.PIPE)
child.stdout.readline()
"""
    port = find_free_port()
    command = [sys.executable, "-c", parent + READY, str(port)]

    with run_server(command, port, tmp_path / "log", os.environ):
        pass

    os.set_blocking(reader, True)
    with os.fdopen(reader) as file:
        assert not file.read(), "ends when the child's end of the pipe is closed"


def test_a_server_that_ends_at_once_is_told_with_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such Bento')"]

    with (
        pytest.raises(ConfigurationError, match="exit code 1") as told,
        run_server(command, find_free_port(), tmp_path / "log", os.environ),
    ):
        pass

    assert told.value.details == ("no such Bento",)


def test_a_server_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]

    with (
        pytest.raises(ConfigurationError, match="not ready after 0 seconds"),
        run_server(command, find_free_port(), tmp_path / "log", os.environ, ready_seconds=0),
    ):
        pass


def test_a_long_command_is_continued_within_80_columns() -> None:
    words = ["airgap", "trust", "init", "r" * 50, "--fingerprint", "f" * 50, "-o", "o" * 71, "&"]

    lines = format_command(words).split("\n")

    assert lines == [
        f"airgap trust init {'r' * 50} \\",
        f"      --fingerprint {'f' * 50} -o \\",
        f"      {'o' * 71} \\",
        "      &",
    ]
    assert all(len(line) <= 80 for line in lines)


def test_an_answer_that_is_an_error_ends_the_story(tmp_path: Path) -> None:
    port = find_free_port()
    command = [sys.executable, "-c", READY, str(port)]

    with (
        run_server(command, port, tmp_path / "log", os.environ) as running,
        pytest.raises(ConfigurationError, match="status 201"),
    ):
        scenario._ask(running, Machine(tmp_path / "side", Recorder(), []), Recorder())


def test_a_step_that_fails_ends_the_story_with_what_it_printed(tmp_path: Path) -> None:
    told, steps = Recorder(), list[Step]()
    machine = Machine(tmp_path / "side", told, steps)

    with pytest.raises(ConfigurationError, match="exit code 2") as error:
        machine.run("airgap", "verify")

    assert "Missing argument" in "".join(error.value.details)
    assert told.lines[0] == "$ airgap verify"
    assert [(step.machine, step.exit_code) for step in steps] == [("side", 2)]


def test_a_machine_keeps_away_from_the_settings_and_stores_of_its_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AIRGAP_KEY", "AIRGAP_HOME", "BENTOML_HOME", "HF_HUB_CACHE", "BENTOML_PORT"):
        monkeypatch.setenv(name, "/theirs")

    environment = Machine(tmp_path / "side", Recorder(), []).environment()

    assert "/theirs" not in environment.values()
    assert environment["BENTOML_HOME"].startswith(str(tmp_path))


def test_a_demo_that_is_kept_says_where_and_stays_after_a_failure(
    connected: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    ran = connected.run("demo", "--keep")

    assert ran.code == 3
    (kept,) = tmp_path.glob("airgap-demo-*")
    assert str(kept) in ran.out.replace("\n", " ")


def test_the_demo_says_what_to_install_where_bentoml_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(ConfigurationError) as error:
        scenario.run_demo(tmp_path / "demo", Recorder())

    assert "pip install 'bento-airgap[bentoml]'" in error.value.hint
    assert not (tmp_path / "demo").exists()
