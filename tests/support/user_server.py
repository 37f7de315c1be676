"""A process of root's, in a mount namespace, that runs each command as the user it is asked to.

It forks a child for each command, which gives up root's rights for good. The interpreter and airgap
may lie where only root can read them (`/root/.pyenv`): here, every user can.

Requests and answers are lines of JSON on standard input and output; see ``tests.support.users``.
"""

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any, Final, NoReturn

from airgap.cli import import_, main

PRELOADED: Final = (import_, main)
MOST_SECONDS: Final = 60
_OPEN: Final = 0o005


def mount(*words: str | Path) -> None:
    """Run mount; an error ends the server."""
    subprocess.run(["mount", *map(str, words)], check=True, timeout=60)


def open_to_everybody(needed: list[Path], holding: Path) -> None:
    """Make folders readable whose parents are only root's: an empty folder replaces that parent."""
    for number, path in enumerate(dict.fromkeys(path.resolve() for path in needed)):
        above = [*reversed(path.parents)]
        closed = next((folder for folder in above if not _is_open(folder)), None)
        if closed is None:
            continue
        held = holding / str(number)
        held.mkdir()
        mount("--bind", path, held)
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", closed)
        path.mkdir(parents=True)
        mount("--bind", held, path)


def _is_open(folder: Path) -> bool:
    return folder.stat().st_mode & _OPEN == _OPEN


def make_read_only(volume: Path) -> None:
    """Mount every file system read-only, but not the volume."""
    mount("--bind", volume, volume)
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [re.sub(r"\\040", " ", line.split()[4]) for line in lines]
    for point in dict.fromkeys(points):
        if Path(point) != volume:
            subprocess.run(
                ["mount", "-o", "remount,bind,ro", point],
                check=False,
                capture_output=True,
                timeout=60,
            )


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run one command as a user, and return what it printed."""
    out, err = os.memfd_create("out"), os.memfd_create("err")
    child = os.fork()
    if child == 0:
        _become(request, out, err)
    _, status = os.waitpid(child, 0)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "out": _read(out),
        "err": _read(err),
    }


def _read(descriptor: int) -> str:
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return file.read().decode()


def _become(request: dict[str, Any], out: int, err: int) -> NoReturn:
    """Be the user, run the command, and end."""
    code = 70
    try:
        signal.alarm(MOST_SECONDS)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.chdir("/")
        os.setgroups(request["groups"])
        os.setresgid(*[request["gid"]] * 3)
        os.setresuid(*[request["uid"]] * 3)
        os.umask(request["umask"])
        os.environ.clear()
        os.environ.update(request["environment"])
        if request["script"]:
            sys.argv = request["arguments"]
            runpy.run_path(request["arguments"][0], run_name="__main__")
            code = 0
        else:
            main.main(request["arguments"])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001  (the test sees it)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def serve() -> None:
    """Answer requests until standard input ends."""
    setting = json.loads(sys.stdin.readline())
    mount("--make-rprivate", "/")
    holding = Path(setting["holding"])
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", holding)
    open_to_everybody([Path(path) for path in setting["needed"]], holding)
    for source, target in setting["binds"]:
        mount("--bind", source, target)
    if setting["read_only_but"]:
        make_read_only(Path(setting["read_only_but"]))
    _say("ready")
    for line in sys.stdin:
        _say(json.dumps(run(json.loads(line))))


if __name__ == "__main__":
    serve()
