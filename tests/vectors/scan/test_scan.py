"""Models that their frameworks saved get the verdicts that were written down beforehand."""

import functools
import tomllib
from pathlib import Path
from typing import Final

import pytest

from airgap.scan.item import join_files
from airgap.scan.judge_file import judge_file
from airgap.scan.verdicts import Judgment

FILES: Final = Path(__file__).with_name("files")
TABLE: Final = tomllib.loads(Path(__file__).with_name("verdicts.toml").read_text())
EXPECTED: Final[dict[str, str]] = TABLE["frameworks"]
WRONG: Final[dict[str, str]] = TABLE["refused-wrongly"]


def judge(path: Path) -> Judgment:
    with path.open("rb") as stream:
        return judge_file(path.name, stream, path.stat().st_size)


@functools.cache
def judge_all() -> dict[str, Judgment]:
    paths = sorted(FILES.iterdir())
    judgments = {path.name: judge(path) for path in paths}
    return join_files(judgments, {path.name: path.stat().st_size for path in paths})


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_model_gets_its_verdict(name: str) -> None:
    expected = "refused" if name in WRONG else EXPECTED[name]
    assert judge_all()[name].verdict == expected, judge_all()[name]


def test_few_models_without_code_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    inert = [name for name, verdict in EXPECTED.items() if verdict == "inert"]
    refused = {name for name in inert if judge_all()[name].verdict == "refused"}
    with capsys.disabled():
        print(f"\nfalse refusals among models: {len(refused)} of {len(inert)}")  # noqa: T201
    assert refused == WRONG.keys()


def test_weights_beside_a_model_are_inert_together_with_it() -> None:
    assert judge(FILES / "ext.data").verdict == "refused"
    assert judge_all()["ext.data"].verdict == "inert"
    judgments = {"external.onnx": judge(FILES / "external.onnx")}
    assert join_files(judgments, {"external.onnx": 1})["external.onnx"].verdict == "refused"
