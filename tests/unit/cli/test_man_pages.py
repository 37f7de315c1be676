"""The manual pages: one for each command, which groff reads without a warning."""

import doctest
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from airgap.cli.examples import EXAMPLES
from airgap.cli.main import COMMANDS
from tests.support.sides import REPOSITORY

PROGRAM: Final = REPOSITORY / "docs/man.py"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man")
    variables = {"AIRGAP_JOBS": "7", "PYTHONPATH": str(REPOSITORY), "COLUMNS": "33"}
    subprocess.run([sys.executable, PROGRAM, folder], env=variables, check=True, timeout=60)
    return folder


def _print(page: Path) -> str:
    ran = subprocess.run(
        ["groff", "-man", "-Tutf8", "-P-cbou", "-rLL=200n", page],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return ran.stdout


def test_every_command_has_a_page(pages: Path) -> None:
    assert {f"airgap-{name}.1" for name in COMMANDS} <= {page.name for page in pages.iterdir()}
    assert (pages / "airgap-root-sign.1").exists()


def test_a_reader_of_manuals_has_no_warning(pages: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("needs groff")
    words: list[str | Path] = ["groff", "-man", "-ww", "-z", *sorted(pages.iterdir())]
    ran = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)

    assert ran.stderr == ""


def test_examples_are_shown_as_they_are_typed(pages: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("needs groff")
    export = next(example for example in EXAMPLES if example.line.startswith("airgap export"))

    printed = _print(pages / "airgap-export.1")

    assert f"\n           {export.line}\n" in printed
    assert "--with-env" in printed
    assert "[default: 7]" not in printed


def test_no_text_becomes_a_request() -> None:
    spec = importlib.util.spec_from_file_location("man", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert doctest.testmod(module) == doctest.TestResults(failed=0, attempted=1)
