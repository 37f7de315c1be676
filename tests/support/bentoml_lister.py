"""Asks the real `bentoml list` about stores, in one process of its own: bentoml starts slowly.

    python bentoml_lister.py

Each line on standard input is a JSON list of ``[kind, tag, text]``; each line on standard output
is what `bentoml list` or `bentoml models list` raised over a store of them, or empty.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Self

Described = tuple[str, str, str]
"""Kind (``bento`` or ``model``), tag, and the text of its description."""


class BentoMLLister:
    """The process, as a context. It is asked one question after the other."""

    def __enter__(self) -> Self:
        self._scratch = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            env={
                **os.environ,
                "BENTOML_HOME": self._scratch.name,
                "BENTOML_DO_NOT_TRACK": "True",
                "COLUMNS": "200",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)
        self._scratch.cleanup()

    def find_error(self, items: Sequence[Described]) -> str:
        """Return what BentoML raises over a store of these items; empty if it lists them."""
        from tests.support.answers import read_answer  # the process itself has no such package

        assert self._process.stdin
        self._process.stdin.write(json.dumps(items) + "\n")
        self._process.stdin.flush()
        answer: str = json.loads(read_answer(self._process))
        return answer


def main(questions: IO[str], answers: IO[str]) -> None:
    """Answer until the questions end."""
    from bentoml._internal.configuration.containers import BentoMLContainer
    from bentoml_cli.cli import cli
    from click.testing import CliRunner

    home = Path(os.environ["BENTOML_HOME"])
    assert Path(BentoMLContainer.bentoml_home.get()) == home
    for question in questions:
        for folder in ("bentos", "models"):
            shutil.rmtree(home / folder, ignore_errors=True)
            (home / folder).mkdir()
        items = json.loads(question)
        for kind, tag, text in items:
            folder_of_item = home / f"{kind}s" / tag.replace(":", "/")
            folder_of_item.mkdir(parents=True)
            (folder_of_item / f"{kind}.yaml").write_bytes(text.encode(errors="surrogatepass"))
        error = ""
        for kind in sorted({kind for kind, _, _ in items}):
            command = ["list"] if kind == "bento" else ["models", "list"]
            done = CliRunner().invoke(cli, command)
            if done.exit_code:
                error = error or f"{' '.join(command)}: {done.exception!r:.300} {done.output:.300}"
        answers.write(json.dumps(error) + "\n")
        answers.flush()


if __name__ == "__main__":
    real = sys.stdout
    sys.stdout = sys.stderr
    main(sys.stdin, real)
