"""The gate's verdicts on files made for each of them, written down beforehand."""

import functools
import io

import pytest

from airgap.scan.assess import assess_file
from airgap.scan.verdicts import Assessment
from tests.unit.scan.files import CASES, Case


@functools.cache
def assess(case: Case) -> Assessment:
    return assess_file(case.name, io.BytesIO(case.data), len(case.data))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_gets_the_verdict_that_is_right_for_it(case: Case) -> None:
    assessment = assess(case)
    assert assessment.verdict == case.verdict, assessment
    assert case.reason in " | ".join(assessment.reasons)


def test_there_are_files_enough() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.verdict for case in CASES} == {"inert", "listed", "program", "refused"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_verdict_that_is_not_inert_says_why(case: Case) -> None:
    assessment = assess(case)
    assert (assessment.verdict in {"refused", "program"}) == bool(assessment.reasons)
    assert all("\n" not in reason and len(reason) < 400 for reason in assessment.reasons)
