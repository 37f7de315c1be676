"""Threat model: a site decides which labels it accepts (format §4.4, §7.6)."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import PolicyError
from airgap.format.site_rules import LabelRule, SiteRules
from tests.support import forge, refusals, second_verifier, signers
from tests.support.forge import Forge
from tests.support.sides import Side
from tests.support.signers import make_root

RULES = {
    "classification": LabelRule(("open", "restricted"), required=True),
    "project": LabelRule(),
}


def bundle(folder: Path, labels: dict[str, str]) -> Path:
    """A bundle that ``bob`` signed."""
    fields = {"labels": labels, "reader": 2} if labels else {}
    made = forge.draft(forge.model({"w.bin": b"w"}), **fields)
    return Forge(folder, signers.person("bob")).depot(made)


@pytest.fixture
def ward(tmp_path: Path) -> Side:
    """A machine whose site accepts some labels."""
    side = Side(tmp_path / "ward")
    side.top.mkdir()
    signers.pin(side, replace(make_root(), created_at=9, rules=SiteRules(labels=RULES)))
    return side


def verify_too(tmp_path: Path, location: Path) -> str:
    """Ask the second verifier, with the root that is pinned."""
    root = tmp_path / "pinned-ward" / "root.msgpack"
    fingerprint = f"SHA256:{forge.sha256(root.read_bytes()).hex()}"
    return second_verifier.verify(location, root, fingerprint)[0]


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"project": "ranker"},
        {"classification": "secret"},
        {"classification": "Open"},
        {"classification": "open", "owner": "ward 7"},
    ],
    ids=repr,
)
def test_a_site_does_not_take_a_bundle_with_other_labels(
    labels: dict[str, str], ward: Side, tmp_path: Path
) -> None:
    location = bundle(tmp_path, labels)
    shutil.rmtree(location / "packs")

    refusals.expect_refusal(ward, "verify", location, error=PolicyError)
    refusals.expect_refusal(ward, "import", location, error=PolicyError)
    if shutil.which("openssl"):
        assert verify_too(tmp_path, location) == "policy"


@pytest.mark.parametrize(
    "labels",
    [{"classification": "open"}, {"classification": "restricted", "project": "für alle"}],
    ids=repr,
)
def test_a_site_takes_the_labels_that_it_names(
    labels: dict[str, str], ward: Side, tmp_path: Path
) -> None:
    location = bundle(tmp_path, labels)

    ran = ward.run("import", location, "--json")

    assert ran.code == 0, ran.err
    assert all(f"label {name}: {value}" in ran.err for name, value in labels.items())
    if shutil.which("openssl"):
        assert verify_too(tmp_path, location) == "accepted"


def test_a_site_without_rules_takes_any_labels(isolated: Side, forged: Forge) -> None:
    made = forge.draft(forge.model({}), labels={"classification": "any"}, reader=2)

    assert isolated.run("import", forged.depot(made)).code == 0
