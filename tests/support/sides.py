"""The two sides of a gap: each with stores, keys and trust, and commands that run there."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airgap.cli.main import main

REPOSITORY = Path(__file__).parents[2]


def unmeasured_environment() -> dict[str, str]:
    """Return an environment in which processes measure no coverage: they start twice as fast."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("COVERAGE_PROCESS_")
    }


@dataclass(frozen=True)
class Side:
    """One side of the gap: its stores, its state, and the environment that points there."""

    top: Path

    @property
    def bentoml(self) -> Path:
        return self.top / "bentoml"

    @property
    def hugging_face(self) -> Path:
        return self.top / "hf"

    @property
    def state(self) -> Path:
        return self.top / "airgap"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "BENTOML_HOME": str(self.bentoml),
            "BENTOML_HF_CACHE_DIR": str(self.hugging_face),
            "AIRGAP_HOME": str(self.state),
            "BENTOML_DO_NOT_TRACK": "True",
            "HF_HUB_OFFLINE": "1",
        }

    @contextmanager
    def here(self) -> Iterator[None]:
        """Be on this side: in this process, for the length of the block."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            yield

    def run(self, *arguments: str | Path) -> "Ran":
        """Run the command line in this process."""
        return run_cli(arguments, self.environment)

    def process(
        self, *arguments: str | Path, stdin: bytes = b"", prefix: Sequence[str] = ()
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run the command line in a process of its own; ``prefix`` is a command that starts it."""
        return subprocess.run(
            [*prefix, sys.executable, "-m", "airgap", *map(str, arguments)],
            env={**os.environ, **self.environment},
            capture_output=True,
            check=False,
            timeout=120,
            input=stdin,
        )


@dataclass(frozen=True)
class Ran:
    """What a command line printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which must be exactly one JSON object."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


def run_cli(arguments: Sequence[str | Path], environment: Mapping[str, str]) -> Ran:
    """Run ``airgap`` in this process with captured text output. Bytes need ``Side.process``."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in environment.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
    code = ended.value.code
    assert isinstance(code, int)
    return Ran(code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Site:
    """Keys and a root, made at run time."""

    folder: Path
    fingerprint: str
    builders: int

    @property
    def root(self) -> Path:
        return self.folder / "root.msgpack"

    def key(self, number: int = 1) -> Path:
        return self.folder / f"builder{number}.key"


def make_site(
    folder: Path, *, builders: int = 1, threshold: int = 1, algorithm: str = "ed25519"
) -> Site:
    """Make a site's keys and its root."""
    nobody = {"AIRGAP_HOME": str(folder / "nobody")}
    for name in ["site", *(f"builder{number + 1}" for number in range(builders))]:
        made = ("--dir", folder, "--no-passphrase", "--algorithm", algorithm, "--json")
        assert run_cli(["key", "generate", name, *made], nobody).code == 0
    options: list[str | Path] = []
    for number in range(builders):
        options += ["--builder", folder / f"builder{number + 1}.pub"]
    options += ["--threshold", f"builder={threshold}", "-o", folder / "root.msgpack", "--json"]
    made_root = run_cli(
        ["root", "create", "--site", "ward", "--root-key", folder / "site.key", *options], nobody
    )
    return Site(folder, made_root.json["fingerprint"], builders)


def trust(side: Side, site: Site) -> None:
    """Let a side trust a site."""
    ran = side.run("trust", "init", site.root, "--fingerprint", site.fingerprint)
    assert ran.code == 0, ran.err


def openssl_has(algorithm: str) -> bool:
    """Tell whether there is an openssl that can sign with an algorithm."""
    if shutil.which("openssl") is None:
        return False
    listed = subprocess.run(
        ["openssl", "list", "-signature-algorithms"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return algorithm in listed.stdout
