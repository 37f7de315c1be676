"""Models that their frameworks saved get the verdicts that were written down beforehand."""

import json
from pathlib import Path
from typing import Final

import pytest

from airgap.scan.assess import assess_file
from airgap.scan.item import join_files
from airgap.scan.verdicts import Assessment

FILES: Final = Path(__file__).with_name("files")
VERDICTS: Final[dict[str, str]] = json.loads(
    Path(__file__).with_name("verdicts.json").read_text(encoding="utf-8")
)


def assess(name: str) -> Assessment:
    path = FILES / name
    with path.open("rb") as stream:
        return assess_file(name, stream, path.stat().st_size)


@pytest.mark.parametrize("name", sorted(VERDICTS))
def test_a_model_gets_its_verdict(name: str) -> None:
    assessment = assess(name)
    assert assessment.verdict == VERDICTS[name], assessment


def test_weights_beside_a_model_are_inert_together_with_it() -> None:
    assessments = {name: assess(name) for name in ("external.onnx", "ext.data")}
    assert assessments["ext.data"].verdict == "refused"
    joined = join_files(assessments)
    assert {name: assessment.verdict for name, assessment in joined.items()} == {
        "external.onnx": "inert",
        "ext.data": "inert",
    }
    alone = join_files({"external.onnx": assessments["external.onnx"]})
    assert alone["external.onnx"].reasons == ("its weights, ext.data, are not in the item",)


def test_few_models_that_run_nothing_are_refused() -> None:
    """A whole model in HDF5 may hold a program; it is refused though this one holds none."""
    harmless = [
        name for name in VERDICTS if name not in {"lambda.keras", "pyop.onnx", "own_class.pt"}
    ]
    refused = [name for name in harmless if assess(name).verdict == "refused"]
    assert set(refused) == {"before_1_6.pt", "dense.h5"}
