"""The vectors of reader 2 are read for ever by both verifiers, and the bad ones never (§13)."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from airgap.errors import AirgapError
from airgap.flow.bundle import open_bundle
from airgap.flow.location.location import parse_location
from airgap.format.root import Root
from airgap.signing import trust
from airgap.signing.trust import Verified
from airgap.state import pinned_root
from tests.support import forge, second_verifier
from tests.support.sides import Side
from tests.vectors.describe import describe

HERE = Path(__file__).parent / "reader-2"
BAD: list[dict[str, str]] = json.loads((HERE / "bad.json").read_text())
FINGERPRINT = (HERE / "root" / "fingerprint.txt").read_text().strip()
ROOT = HERE / "root" / "root.msgpack"


@pytest.fixture(scope="module")
def root() -> Verified[Root]:
    return trust.accept_root(*pinned_root.read_root_files(ROOT), FINGERPRINT)


@pytest.fixture
def ward(tmp_path: Path) -> Side:
    """A machine of the vectors' site."""
    side = Side(tmp_path / "ward")
    side.top.mkdir()
    ran = side.run("trust", "init", ROOT, "--fingerprint", FINGERPRINT)
    assert ran.code == 0, ran.err
    return side


def description(name: str) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text())
    return described


@pytest.mark.parametrize("form", ["", ".airgap"], ids=["depot", "file"])
def test_a_bundle_with_labels_is_read_as_it_is_described(form: str, root: Verified[Root]) -> None:
    location = HERE / f"labelled{form}"

    assert forge.verify_in_process(location, root) > 0
    with open_bundle.open_bundle(parse_location(str(location)), forge.judging(root)) as opened:
        described = describe(opened.manifest.value)
        described["signed_by"] = list(opened.manifest.signers["builder"])
    with open_bundle.open_unverified(parse_location(str(location))) as seen:
        attachments = seen.reader.read_attachments()
    described["attachments"] = {file: len(data) for file, data in attachments.items()}
    assert described == description("labelled")


@pytest.mark.parametrize("form", ["", ".airgap"], ids=["depot", "file"])
def test_the_second_verifier_prints_the_labels(form: str) -> None:
    verdict, printed = second_verifier.verify(HERE / f"labelled{form}", ROOT, FINGERPRINT)

    assert verdict == "accepted", printed
    labels = description("labelled")["labels"]
    assert [line for line in printed.splitlines() if line.startswith("label ")] == [
        f"label {name}: {value}" for name, value in labels.items()
    ]


def test_a_bundle_and_what_completes_it_are_installed_together(ward: Side) -> None:
    ran = ward.run("import", HERE / "rest.airgap", "--depot", HERE / "first.airgap", "--json")

    assert ran.code == 0, ran.err
    assert ran.json["sequence"] == description("first")["sequence"] == 7
    assert ran.json["bundle"] == description("rest")["completes"]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad['section']} {bad['what']}")
def test_a_bad_bundle_is_refused_by_both_verifiers(
    bad: dict[str, str], root: Verified[Root]
) -> None:
    file = HERE / "bad" / bad["file"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == bad["sha256"]

    with pytest.raises(AirgapError) as caught:
        forge.verify_in_process(file, root)
    theirs, printed = second_verifier.verify(file, ROOT, FINGERPRINT)

    assert (caught.value.kind, theirs) == (bad["kind"], bad["kind"]), printed
    assert "TypeError" not in printed
    assert "AttributeError" not in printed


def test_the_table_names_every_bad_bundle() -> None:
    assert {bad["file"] for bad in BAD} == {path.name for path in (HERE / "bad").iterdir()}
