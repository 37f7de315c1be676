"""Scripts that use slow packages, each in a forked process: importing BentoML takes a second.

``Scripts`` talks to a process that has imported these packages and asked them nothing. Requests and
answers are lines of JSON on its standard input and output.
"""

import gc
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, Self

from tests.support.answers import read_answer
from tests.support.sides import REPOSITORY, unmeasured_environment

__all__ = ["BENTOML", "Scripts"]

BENTOML: Final = (
    *("bentoml.bentos", "bentoml.models", "bentoml_cli.cli"),
    *("bentoml._internal.io_descriptors", "bentoml._internal.service"),
    *("airgap.api.bentos", "airgap.api.models", "airgap.api.importing", "airgap.chunking.content"),
)
"""What most scripts with BentoML import. None of these reads the environment then."""


class Scripts:
    """The process, as a context. It runs one script after the other."""

    def __init__(self, folder: Path, modules: Sequence[str]) -> None:
        """Start it.

        Args:
            folder: where scripts print to.
            modules: what it imports before the first script.
        """
        self._output = folder / "output"
        self._errors = folder / "errors"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.python_scripts", *modules],
            cwd=REPOSITORY,
            env={**unmeasured_environment(), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)

    def run(
        self, program: str, environment: Mapping[str, str], *arguments: str | Path
    ) -> "subprocess.CompletedProcess[str]":
        """Run a script with exactly this environment."""
        assert self._process.stdin
        request = {
            "program": program,
            "arguments": list(map(str, arguments)),
            "environment": dict(environment),
            "output": str(self._output),
            "errors": str(self._errors),
        }
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        code = int(read_answer(self._process))
        output, errors = self._output.read_text(), self._errors.read_text()
        return subprocess.CompletedProcess(arguments, code, output, errors)

    def print(self, program: str, environment: Mapping[str, str], *arguments: str | Path) -> str:
        """Run a script that must succeed; return what it printed."""
        ran = self.run(program, environment, *arguments)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def bentoml(self, environment: Mapping[str, str], *arguments: str | Path) -> str:
        """Run the real ``bentoml``, which must succeed; return what it printed."""
        return self.print("from bentoml_cli.cli import cli; cli()", environment, *arguments)


def serve() -> None:
    """Answer each request with the exit code of its script, until there are no more."""
    for module in sys.argv[1:]:
        importlib.import_module(module)
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    assert "huggingface_hub" not in sys.modules, "it reads the environment when it is imported"
    gc.freeze()
    for line in requests:
        child = os.fork()
        if child == 0:
            requests.close()
            answers.close()
            run(json.loads(line))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answers.write(b"%d\n" % code)
        answers.flush()


def run(request: dict[str, Any]) -> NoReturn:
    """Be the interpreter that runs the script."""
    os.environ.clear()
    os.environ.update(request["environment"])
    for name, descriptor in (("output", 1), ("errors", 2)):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(request[name], flags, 0o600), descriptor)
    sys.argv = ["-c", *request["arguments"]]
    code = compile(request["program"], "<string>", "exec")
    exec(code, {"__name__": "__main__"})  # noqa: S102  (the test's own)
    sys.exit(0)


if __name__ == "__main__":
    serve()
