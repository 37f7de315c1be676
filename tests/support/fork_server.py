"""A process that has imported airgap, and forks a child for each command it is asked to run.

A child can be made to break before any of its write steps. The program under test knows nothing
of that: steps are seen by Python's audit events, and by standing in for the few calls that have
none. It is a process of its own because a test process has threads, which do not survive a fork.

Requests and answers are lines of JSON on standard input and output; see ``tests.support.faults``.
"""

import contextlib
import ctypes
import errno
import faulthandler
import fcntl
import gc
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from airgap.chunking import content
from airgap.cli import export as export_command
from airgap.cli import import_, main
from airgap.cli.lines import bundles as bundle_lines
from airgap.disk import durable, file_state, space
from airgap.flow.bundle import open_bundle
from airgap.flow.describe import bundle as describe_bundle
from airgap.flow.exporting import export, naming, write_bundle
from airgap.flow.importing import install_bundle, use_case
from airgap.flow.trust import keys
from airgap.store import install
from tests.support import fork_server_intake

PRELOADED: Final = (
    *(content, export_command, import_, bundle_lines, naming, use_case),
    *(open_bundle, export, install_bundle, write_bundle, describe_bundle, keys),
)
WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
MOST_SECONDS: Final = 120
"""A command that takes longer is aborted, and writes the stacks of its threads."""
HELD: Final = re.compile(r"/proc/self/fd/[0-9]+(?=/|$)")
GROWING: Final = re.compile(r"mkdir|open|reopen|write|pwrite|reserve|symlink|link|rename")
PLAIN_EVENTS: Final = {
    # audit event: (what it is called here, number of paths, where a folder's descriptor is)
    "os.mkdir": ("mkdir", 1, 2),
    "os.rename": ("rename", 2, 2),
    "os.remove": ("unlink", 1, 1),
    "os.rmdir": ("rmdir", 1, 1),
    "os.symlink": ("symlink", 2, 2),
    "os.link": ("link", 2, 2),
    "os.truncate": ("truncate", 1, None),
    "os.chmod": ("chmod", 1, 2),
}


class Steps:
    """Counts write steps, notes each in a file, and lets the fault happen when it is due."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._fault = request["fault"] or {}
        self._within = request["within"]
        self._trace = os.open(request["trace"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._lock = threading.Lock()
        self._count = 0
        self._full = False
        self._error = 0
        self.calls = 0

    def watch(self) -> None:
        """Begin to see every write step of this process; there is no end to that."""
        io.open = self._open
        os.pwrite = self._before("pwrite", os.pwrite)
        os.fsync = self._before("fsync", _not_at_all)
        if space._FALLOCATE is not None:
            space._FALLOCATE = self._before("reserve", space._FALLOCATE)  # type: ignore[misc]
        install._exchange = self._before("exchange", install._exchange)
        if durable._SYNCFS is not None:
            durable._SYNCFS = self._before("syncfs", _not_at_all)  # type: ignore[misc]
        sys.addaudithook(self._event)
        if self._fault.get("call") is not None or self._fault.get("count_calls"):
            threading.setprofile(self._profile)
            sys.setprofile(self._profile)

    def take(self, step: str) -> None:
        """Note a step, then break if it is the one to break before."""
        with self._lock:
            os.write(self._trace, f"{step}\n".encode())
            number, self._count = self._count, self._count + 1
        before = self._fault.get("before")
        if number == self._fault.get("at") or (before and re.search(before, step)):
            if not self._fault["again"]:
                self._fault = {**self._fault, "before": ""}
            self._break()
        if self._full and GROWING.match(step):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self._error:
            raise OSError(self._error, os.strerror(self._error))

    def note_calls(self) -> None:
        sys.setprofile(None)
        os.write(self._trace, f"calls {self.calls}\n".encode())

    def _break(self) -> None:
        if self._fault.get("full"):
            self._full = True
        elif error := self._fault.get("error"):
            self._error = error if self._fault["again"] else 0
            raise OSError(error, os.strerror(error))
        elif self._fault["signal"] == signal.SIGSTOP:
            # To this thread: else another one takes it, and this one goes on for a moment.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
        else:
            os.kill(os.getpid(), self._fault["signal"])

    def _profile(self, _frame: FrameType, event: str, _arg: object) -> None:
        if event == "call":
            self.calls += 1
            if self.calls == self._fault.get("call"):
                self._break()

    def _before(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def stand_in(*args: Any) -> Any:  # noqa: ANN401
            paths = [one for one in args if isinstance(one, Path)]
            texts = [resolve_path(path) for path in paths or args[:1]]
            self.take(f"{name} {' -> '.join(map(self._short, texts))}")
            return real(*args)

        return stand_in

    def _event(self, event: str, args: tuple[Any, ...]) -> None:
        if event in PLAIN_EVENTS:
            name, paths, folder = PLAIN_EVENTS[event]
            self._path_step(name, args[:paths], args[folder] if folder else -1)
        elif event == "open" and args[2] & WRITING:
            self._path_step("open" if args[2] & os.O_CREAT else "reopen", args[:1], -1)
        elif event == "fcntl.flock":
            self.take("try lock" if args[1] & fcntl.LOCK_NB else "wait for lock")

    def _path_step(self, name: str, paths: tuple[Any, ...], folder: int) -> None:
        """Count a step on paths, unless they are none of the test's (a cache of bytecode)."""
        texts = [resolve_path(path) for path in paths]
        if folder >= 0:
            above = Path(f"/proc/self/fd/{folder}").readlink()
            texts = [str(above / text) for text in texts]
        if texts and not texts[-1].startswith(self._within):
            return
        self.take(f"{name} {' -> '.join(map(self._short, texts))}")

    def _short(self, path: str) -> str:
        return path.removeprefix(self._within).lstrip("/")

    def _open(self, file: Any, mode: str = "r", *args: Any, **named: Any) -> Any:  # noqa: ANN401
        """Open as ``io.open`` does, with every write to the file seen."""
        if not set(mode) & set("wxa+"):
            return _REAL_OPEN(file, mode, *args, **named)
        raw = _SeenFile(file, mode.replace("b", "").replace("t", ""))
        raw.steps, raw.short = self, self._short(resolve_path(file))
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *args[1:], **named)


class _SeenFile(io.FileIO):
    steps: Steps
    short: str

    def write(self, data: Any, /) -> int:  # noqa: ANN401
        self.steps.take(f"write {self.short}")
        return super().write(data)


_REAL_OPEN: Final = io.open


def serve() -> None:
    """Answer requests until there are no more. In a child, run its command and exit."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    gc.freeze()  # what is not looked at is not copied
    for line in requests:
        request = json.loads(line)
        if "wait" in request:
            answer = wait(request["wait"])
        elif "rehearse" in request:
            answer = rehearse(request["rehearse"], request["environment"])
        elif "run" in request:
            answer = subprocess.run(request["run"], check=False).returncode
        else:
            answer = os.fork()
            if answer == 0:
                answers.close()
                requests.close()
                run(request)
        answers.write(b"%d\n" % answer)
        answers.flush()


def wait(child: int) -> int:
    """Wait for a child to stop or to end, but not for ever; return its status."""

    def abort(*_: object) -> None:
        os.kill(child, signal.SIGABRT)
        os.kill(child, signal.SIGCONT)  # a stopped process takes no signal

    signal.signal(signal.SIGALRM, abort)
    signal.alarm(MOST_SECONDS)
    try:
        return os.waitpid(child, os.WUNTRACED)[1]
    finally:
        signal.alarm(0)


def rehearse(arguments: list[str], environment: dict[str, str]) -> int:
    """Run a command in this process, so that children find imported and cached what it needs."""
    before = dict(os.environ)
    os.environ.update(environment)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            main.main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        os.environ.clear()
        os.environ.update(before)
        gc.freeze()


def run(request: dict[str, Any]) -> NoReturn:
    """Be the command: as a process of its own would, from first line to interpreter's end."""
    os.environ.clear()
    os.environ.update(request["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    faulthandler.enable()
    for name, descriptor, flags in (
        ("stdin", 0, os.O_RDONLY),
        ("stdout", 1, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        ("stderr", 2, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        os.dup2(os.open(request[name], flags, 0o600), descriptor)
    if request["largest_file"]:
        limit_file_size(request["largest_file"])
    if request["powerless"]:
        _drop_capabilities()
    # Or it would depend on the clock whether the last files are kept, which takes steps.
    setattr(file_state, "_FINE_GRAIN", 0)  # noqa: B010  (it is final)
    if not request["swap"]:
        install._exchange = lambda *_: False
    steps = Steps(request)
    steps.watch()
    try:
        if request["arguments"][0] == "@intake":
            fork_server_intake.main(*request["arguments"][1:])
        main.main(request["arguments"])
    finally:
        limit_file_size(resource.RLIM_INFINITY)  # what coverage writes at the end is not limited
        with contextlib.suppress(OSError):
            steps.note_calls()


def limit_file_size(size: int) -> None:
    """Let writing a file beyond ``size`` bytes fail in this process."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def resolve_path(path: "int | str | bytes | os.PathLike[str]") -> str:
    """Return the path of a descriptor, and a path below one that a process holds (/proc)."""
    text = f"/proc/self/fd/{path}" if isinstance(path, int) else os.fsdecode(path)
    held = HELD.match(text)
    return f"{Path(held[0]).readlink()}{text[held.end() :]}" if held else text


def _not_at_all(_descriptor: int) -> int:
    """Sync nothing: a process that is killed loses nothing that it wrote, and syncing is slow."""
    return 0


def _drop_capabilities() -> None:
    """Let permissions count for root as well (capset, version 3, with nothing set)."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None).capset(header, nothing):
        raise OSError("capset failed")


if __name__ == "__main__":
    serve()
