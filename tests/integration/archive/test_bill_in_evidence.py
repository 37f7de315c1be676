"""The bill of materials is part of what an archive knows of a bundle (format §35.3)."""

import json
from pathlib import Path
from typing import Any

import pytest

from airgap.bom import cyclonedx
from tests.support.archive_site import SAME, ArchiveSite, make_archive_site

CARD = b"---\nlicense: apache-2.0\n---\n# Ranker\n"


@pytest.fixture
def vault(tmp_path: Path) -> ArchiveSite:
    return make_archive_site(tmp_path)


def _find_bills(archive: Path, bundle: str) -> list[Path]:
    return sorted((archive / "archive/evidence" / bundle).glob("*.bom.cdx.json"))


def _read_bill(site: ArchiveSite, bundle: str) -> dict[str, Any]:
    (path,) = _find_bills(site.archive, bundle)
    value: dict[str, Any] = json.loads(path.read_text())
    return value


def test_it_is_the_one_that_airgap_bom_writes_and_the_record_names_it(vault: ArchiveSite) -> None:
    bundle = vault.add_whole(
        vault.export("v1", {"README.md": CARD, "own.bin": SAME}), vault.archive
    )
    again = vault.top / "again.json"
    ran = vault.side.run("bom", f"{vault.archive}#{bundle}", "-o", again)
    assert ran.code == 0, ran.err
    (path,) = _find_bills(vault.archive, bundle)
    assert path.read_bytes() == again.read_bytes()
    (model,) = _read_bill(vault, bundle)["components"]
    assert [one["license"]["id"] for one in model["licenses"]] == ["Apache-2.0"]
    assert "bom.cdx.json" in {file["name"] for file in vault.show(bundle)["evidence"]}


def test_a_later_version_of_airgap_makes_no_second_one(
    vault: ArchiveSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = vault.add_whole(vault.export("v1"), vault.archive)
    monkeypatch.setattr(cyclonedx, "__version__", "99.0")
    assert vault.add(vault.archive).json["bundles"][0]["new"] is False
    assert len(_find_bills(vault.archive, bundle)) == 1
    longer = vault.add(vault.archive, name="logs")
    assert longer.json["bundles"][0]["new"] is True
    assert len(_find_bills(vault.archive, bundle)) == 1
    for record in map(vault.read_record, vault.list_records()):
        assert "bom.cdx.json" in {file["name"] for file in record["evidence"]}


def test_what_is_in_a_base_is_in_the_bill(vault: ArchiveSite) -> None:
    base = vault.export("v1", {"README.md": CARD, "same.bin": SAME})
    changed = vault.export("v2", {"README.md": CARD, "new.bin": b"new"}, "--base", base)
    vault.add_whole(base, vault.archive)
    bundle = vault.add_whole(changed, vault.archive)
    (model,) = _read_bill(vault, bundle)["components"]
    assert [one["license"]["id"] for one in model["licenses"]] == ["Apache-2.0"]


def test_a_bill_that_would_be_too_long_lacks_files(
    vault: ArchiveSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot = vault.export("v1")
    monkeypatch.setattr("airgap.flow.archive.evidence._BILL_BYTES", 2_000)
    bundle = vault.add_whole(depot, vault.archive)
    (model,) = _read_bill(vault, bundle)["components"]
    assert "components" not in model
