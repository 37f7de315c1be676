"""The gate's verdicts on files made for each of them, written down beforehand."""

import functools
import io
import tomllib
from typing import Final, Never

import pytest

from airgap.scan.contents import Budget, Content
from airgap.scan.item import join_files
from airgap.scan.judge_file import judge_file
from airgap.scan.pickle_operations import find_name
from airgap.scan.verdicts import Judgment, Unreadable
from tests.support.sides import REPOSITORY
from tests.unit.scan.files import CASES, Case
from tests.unit.scan.hostile_files import HOSTILE_CASES

TABLE: Final = tomllib.loads((REPOSITORY / "tests/vectors/scan/verdicts.toml").read_text())
ALL: Final = (*CASES, *HOSTILE_CASES)


@functools.cache
def judge(case: Case) -> Judgment:
    judgment = judge_file(case.name, io.BytesIO(case.data), len(case.data))
    return join_files({case.name: judgment}, {case.name: len(case.data)})[case.name]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_gets_the_verdict_that_is_right_for_it(case: Case) -> None:
    assert judge(case).verdict == TABLE["made"][case.name], judge(case)
    assert (judge(case).verdict == "inert") == (not judge(case).reasons)
    assert all("\n" not in reason and len(reason) < 400 for reason in judge(case).reasons)


def test_the_table_names_every_file_and_no_other() -> None:
    assert {case.name for case in CASES} == TABLE["made"].keys()
    assert {case.name for case in HOSTILE_CASES} == TABLE["hostile"].keys()
    assert len(ALL) >= 60
    assert {judge(case).verdict for case in CASES} == {"inert", "code", "refused"}


def test_files_without_code_are_rarely_refused(capsys: pytest.CaptureFixture[str]) -> None:
    inert = [case for case in CASES if TABLE["made"][case.name] == "inert"]
    wrongly = [case.name for case in inert if judge(case).verdict != "inert"]
    with capsys.disabled():
        print(f"\nfalse refusals among made files: {len(wrongly)} of {len(inert)}")  # noqa: T201
    assert wrongly == []


class _Failing(io.BytesIO):
    """A stream that fails in a way that nobody foresaw."""

    def read(self, _size: int | None = -1, /) -> Never:
        raise ZeroDivisionError


def test_what_makes_the_gate_fail_is_refused() -> None:
    judgment = judge_file("a.bin", _Failing(b"abc"), 3)
    assert judgment.verdict == "refused"
    assert judgment.reasons == ("the gate failed on it (ZeroDivisionError)",)
    assert judge_file("a.txt", io.BytesIO(b"ab"), 3).reasons == ("it ends too early",)


def test_what_costs_too_much_counts_as_a_pickle() -> None:
    assert find_name(Content.of_bytes(b"N0" * 60 + b"hello", Budget(steps=50)))
    assert not find_name(Content.of_bytes(b"N0" * 20 + b"hello", Budget(steps=50)))
    with pytest.raises(Unreadable, match="has more in it"):
        Budget(1).spend_unpacked(97)


def test_what_no_reader_gets_through_is_not_a_pickle() -> None:
    for text in (b"\x93NUMPY", b"echo\n", b"class A:\n    pass\n", b"a\nb\n", b"import os\n", b"."):
        assert not find_name(Content.of_bytes(text, Budget())), text


def test_weights_count_for_the_model_that_names_them() -> None:
    model = next(case for case in HOSTILE_CASES if case.name == "missing-data.onnx")
    judgments = {
        "m/a.onnx": judge_file("a.onnx", io.BytesIO(model.data), len(model.data)),
        "m/w.bin": judge_file("w.bin", io.BytesIO(b"\x01" * 16), 16),
    }
    sizes = {"m/a.onnx": len(model.data), "m/w.bin": 16}
    assert join_files(judgments, sizes)["m/w.bin"].verdict == "inert"
    for size in (15, 17):
        joined = join_files(judgments, {**sizes, "m/w.bin": size})
        assert "refused" in {judgment.verdict for judgment in joined.values()}
