"""An environment whose creation or removal is killed is never half there."""

import os
import select
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from airgap.errors import ConfigurationError, MissingError
from tests.support import environments, refusals, store_invariants
from tests.support.faults import Fault, Launcher
from tests.support.sides import Side


def start(side: Side, *words: str | Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "airgap", "env", *map(str, words)],
        env={**os.environ, **side.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_for_end(process: int) -> None:
    """Wait until a process has ended, which need not be a child of this one."""
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(process)
        try:
            assert select.select([descriptor], [], [], 60)[0], "it did not end"
        finally:
            os.close(descriptor)


@pytest.fixture
def folder(isolated: Side) -> Path:
    return isolated.bentoml / "environments/shop/v1"


def prepare(side: Side, *lines: str) -> None:
    """A Bento with a wheelhouse whose pip runs these lines first, as long as a file is there."""
    go = side.top / "armed"
    go.touch()
    pip = environments.quick_pip(
        "import os, signal",
        f"if os.path.exists({str(go)!r}):",
        f"    os.unlink({str(go)!r})",
        "    open('half', 'w').close()",
        *(f"    {line}" for line in lines),
    )
    environments.install(side, environments.bento())
    environments.install(side, environments.wheelhouse(pip=pip))


def test_one_that_is_killed_while_pip_goes_on_is_made_anew_after_that(
    isolated: Side, folder: Path
) -> None:
    fifo = isolated.top / "fifo"
    os.mkfifo(fifo)
    prepare(isolated, "os.kill(os.getppid(), signal.SIGKILL)", f"open({str(fifo)!r}).read()")
    killed = start(isolated, "create", "shop")
    assert killed.wait(timeout=60) == -signal.SIGKILL
    killed.communicate(timeout=60)

    (listed,) = isolated.run("env", "list", "--json").json["environments"]
    refused = refusals.expect_refusal(isolated, "env", "run", "shop", error=MissingError)
    again = start(isolated, "create", "shop")
    assert again.stderr is not None
    waits = again.stderr.readline()
    fifo.write_text("go on")
    _, errors = again.communicate(timeout=60)

    assert listed["state"] == "changing"
    assert "right now" in refused.json["error"]["message"]
    assert b"waiting for it" in waits
    assert again.returncode == 0, errors
    assert not (folder / "half").exists()
    (listed,) = isolated.run("env", "list", "--json").json["environments"]
    assert listed["state"] == "complete"


def test_one_that_is_killed_is_told_of_and_can_be_removed(isolated: Side, folder: Path) -> None:
    fifo = isolated.top / "fifo"
    os.mkfifo(fifo)
    told = f"open({str(fifo)!r}, 'w').write(str(os.getpid()))"
    prepare(isolated, told, "os.kill(os.getppid(), signal.SIGKILL)", "os._exit(1)")
    killed = start(isolated, "create", "shop")
    wait_for_end(int(fifo.read_text()))  # pip holds the environment until it has ended
    assert killed.wait(timeout=60) == -signal.SIGKILL
    killed.communicate(timeout=60)

    (listed,) = isolated.run("env", "list", "--json").json["environments"]
    doctor = isolated.run("doctor", "--json").json["findings"]
    refused = refusals.expect_refusal(isolated, "env", "run", "shop", error=MissingError)
    removed = isolated.run("env", "remove", "shop")

    assert listed["state"] == "incomplete"
    assert any("incomplete" in found["message"] for found in doctor if found["level"] == "note")
    assert "incomplete" in refused.json["error"]["message"]
    assert removed.code == 0, removed.err
    assert not folder.exists()


@pytest.mark.slow  # two virtual environments for each step
def test_one_that_is_killed_before_any_write_step_is_incomplete_and_a_rerun_finishes(
    isolated: Side, launcher: Launcher, tmp_path: Path
) -> None:
    environments.install(isolated, environments.bento())
    environments.install(isolated, environments.wheelhouse(pip=environments.quick_pip()))
    side, step = Side(tmp_path / "copy/side"), 0
    words = ("env", "create", "shop")
    while True:
        shutil.rmtree(side.top, ignore_errors=True)
        side = store_invariants.copy(isolated, side.top)
        ended = launcher.run(side, *words, fault=Fault(at=step))
        if not ended.killed:
            break
        made = side.bentoml / "environments/shop/v1"
        is_complete = (made / "airgap-environment.json").exists()
        ran = launcher.run(side, "env", "run", "shop", "--dry-run")
        assert ran.code == (0 if is_complete else MissingError.exit_code), ended.last
        again = launcher.run(side, *words)
        assert again.code == 0, f"{ended.last}: {again.err}"
        assert (made / "airgap-environment.json").exists()
        step += 1
    assert ended.code == 0, ended.err
    assert step > 5


def test_one_that_is_stopped_leaves_nothing(isolated: Side, folder: Path) -> None:
    fifo = isolated.top / "fifo"
    os.mkfifo(fifo)
    prepare(isolated, "os.kill(os.getppid(), signal.SIGTERM)", f"open({str(fifo)!r}).read()")

    stopped = start(isolated, "create", "shop")
    _, errors = stopped.communicate(timeout=60)

    assert stopped.returncode == 130, errors
    assert not folder.parent.parent.exists()


def test_one_whose_interpreter_cannot_make_it_leaves_nothing(isolated: Side) -> None:
    environments.install(isolated, environments.bento())
    environments.install(isolated, environments.wheelhouse())
    program = isolated.top / "python"
    program.write_text(
        '#!/bin/sh\ncase "$*" in *" venv "*) echo no venv; exit 1; esac\n'
        "for script; do :; done\n"  # the last word
        f"exec {sys.executable} -c \"import sys; sys.executable = '$0'; "
        'sys.argv.pop(0); exec(open(sys.argv[0]).read())" "$script"\n'
    )
    program.chmod(0o755)

    ran = refusals.expect_refusal(
        isolated, "env", "create", "shop", "--python", program, error=ConfigurationError
    )

    assert ran.json["error"]["details"] == ["no venv"]
