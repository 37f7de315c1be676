"""Bills of materials of bundles, wherever they are, and of what is installed."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import airgap
from airgap import results
from airgap.bom import documents
from airgap.errors import (
    ConfigurationError,
    MissingError,
    NotTrustedError,
    PolicyError,
    UsageError,
)
from airgap.flow.admission import history
from airgap.flow.bundle.open_bundle import open_unverified
from airgap.flow.exporting import bill_statement
from airgap.flow.importing import item_documents
from airgap.flow.location.location import parse_location
from tests.support import bill_items, sealing, sides, stores
from tests.support.bill_items import COMMIT, LICENCE_TEXTS
from tests.support.sides import Side, Site
from tests.support.typed_dicts import find_problems

FILES = {
    "README.md": bill_items.card(license="mit", datasets=["a/b"], base_model="org/base"),
    "LICENSE": LICENCE_TEXTS["MIT"],
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": bill_items.safetensors({"license": "mit"}) + stores.noise(300_000),
}
Export = Callable[..., Path]


@pytest.fixture
def export(connected: Side, site: Site, tmp_path: Path) -> Export:
    """Export a Bento with a snapshot and a model that has a licence; return where the bundle is."""
    stores.add_snapshot(connected, "org/model", COMMIT, FILES)
    stores.add_model(connected, "ranker:v1", {"w.bin": b"w" * 99, "LICENSE": b"Our own.\n"})
    entry = stores.hugging_face_entry("org/model", COMMIT)
    stores.add_bento(connected, "shop:v1", {"src/a.py": b"pass\n"}, models=[entry, "ranker:v1"])

    def run(to: str, *options: str | Path) -> Path:
        location = tmp_path / to
        ran = connected.run("export", "shop:v1", "-o", location, "--key", site.key(), *options)
        assert ran.code == 0, ran.err
        return location

    return run


def test_the_bill_is_the_same_from_each_form_and_with_any_number_of_threads(
    export: Export, isolated: Side
) -> None:
    depot, archive = export("depot"), export("shop.airgap")
    bills = {
        isolated.run("bom", location, "--jobs", jobs).out
        for location in (depot, archive)
        for jobs in ("1", "5")
    }
    (text,) = bills

    assert bill_items.validate(text, "1.6") is None
    bundle = isolated.run("inspect", depot, "--json").json["bundle"]
    document = json.loads(text)
    assert {"name": "airgap:bundle", "value": bundle} in document["metadata"]["properties"]
    assert document["metadata"]["component"]["name"] == "shop"
    assert [one["name"] for one in document["components"]] == ["ranker", "model", "a/b"]
    model = document["components"][1]
    assert model["licenses"] == [{"license": {"id": "MIT", "acknowledgement": "declared"}}]
    assert model["modelCard"]["modelParameters"]["architectureFamily"] == "bert"


def test_a_bill_can_be_had_of_an_archive_for_stock_bentoml(export: Export, isolated: Side) -> None:
    document = isolated.run("bom", export("shop.bento"), "--json").json

    model = next(one for one in document["components"] if one["name"] == "model")
    assert model["licenses"][0]["license"]["id"] == "MIT"


def test_a_bill_is_written_into_a_file_in_the_later_form(
    export: Export, isolated: Side, tmp_path: Path
) -> None:
    depot, file = export("depot"), tmp_path / "bill.json"
    ran = isolated.run("bom", depot, "-o", file, "--format", "cyclonedx-1.7", "--json")

    assert bill_items.validate(file.read_text(), "1.7") is None
    assert (ran.json["items"], ran.json["unread"]) == (3, [])
    shown = isolated.run("bom", depot, "-o", file, "--no-files")
    assert "sha256 " in shown.out
    assert "model.safetensors" not in file.read_text().replace("model.safetensors:", "")


def test_a_bill_of_what_is_installed_names_the_same_files(export: Export, isolated: Side) -> None:
    depot = export("depot")
    bundled = isolated.run("bom", depot, "--json").json
    assert isolated.run("import", depot).code == 0
    installed = isolated.run("bom", "--installed", "shop:v1", "--json").json
    everything = isolated.run("bom", "--installed", "--json").json

    assert installed == everything
    for document in (bundled, installed):
        del document["metadata"]["properties"], document["serialNumber"]
    assert installed == bundled


def test_an_old_bundle_and_one_for_another_site_have_bills(export: Export, isolated: Side) -> None:
    old = export("old", "--channel", "c")
    new = export("new", "--channel", "c")
    other = export("other", "--audience", "another")
    assert isolated.run("import", new).code == 0

    assert isolated.run("verify", other).code != 0
    for location in (old, other):
        assert isolated.run("bom", location).code == 0


def test_a_bundle_of_strangers_has_no_bill(
    export: Export, isolated: Side, connected: Side, tmp_path: Path
) -> None:
    depot = export("depot")
    strangers = sides.make_site(tmp_path / "strangers")
    stranger = Side(tmp_path / "stranger")
    stranger.top.mkdir()
    sides.trust(stranger, strangers)

    assert stranger.run("bom", depot).code == NotTrustedError.exit_code
    assert connected.run("bom", depot).code == ConfigurationError.exit_code
    assert isolated.run("bom", tmp_path / "nothing").code == MissingError.exit_code


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["bom"], UsageError.exit_code),
        (["bom", "a", "b"], UsageError.exit_code),
        (["bom", "--installed"], MissingError.exit_code),
        (["bom", "--installed", "absent:v1"], MissingError.exit_code),
        (["bom", "--installed", "../x"], UsageError.exit_code),
    ],
)
def test_what_cannot_have_a_bill_is_named(words: list[str], code: int, isolated: Side) -> None:
    assert isolated.run(*words).code == code


def test_a_missing_pack_is_named(export: Export, isolated: Side) -> None:
    depot = export("depot")
    for pack in depot.glob("packs/*/*"):
        pack.unlink()

    assert isolated.run("bom", depot).code == MissingError.exit_code


def test_documents_in_another_bundle_are_said_to_be_unread(
    export: Export, isolated: Side, connected: Side, site: Site, tmp_path: Path
) -> None:
    base = export("base")
    stores.add_model(connected, "ranker:v2", {"w.bin": b"v" * 99, "LICENSE": b"Our own.\n"})
    made = tmp_path / "difference"
    options = ("--model", "ranker:v2", "-o", made, "--key", site.key(), "--base", base)
    assert connected.run("export", *options).code == 0

    document = isolated.run("bom", made, "--json").json
    shown = [(one["name"], one["value"]) for one in document["components"][0]["properties"]]
    reason = "LICENSE is not readable: a part of it is in another bundle"
    assert ("airgap:unread", reason) in shown

    assert isolated.run("import", base).code == 0
    document = isolated.run("bom", made, "--json").json
    names = [one["name"] for one in document["components"][0]["properties"]]
    assert "airgap:unread" not in names


def test_what_exceeds_the_memory_is_said_to_be_unread(
    export: Export, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot = export("depot")
    monkeypatch.setattr(item_documents, "DOCUMENTS_BYTES", 300)
    text = isolated.run("bom", depot).out

    assert "too much lies before it in the bundle" in text
    assert documents.DOCUMENTS_BYTES > 300


POLICY = 'allow = ["MIT"]\nreview = ["gemma"]\nunknown = "{}"\n'


def test_a_policy_says_of_each_item_why(export: Export, isolated: Side, tmp_path: Path) -> None:
    depot, policy = export("depot"), tmp_path / "policy.toml"
    policy.write_text(POLICY.format("warn"))
    ran = isolated.run("licenses", depot, "--policy", policy, "--json")

    assert ran.code == 0
    verdicts = {item["item"].split(":")[0]: item["verdict"] for item in ran.json["items"]}
    assert verdicts == {
        "model ranker": "warning",
        "hugging-face org--model": "allowed",
        "bento shop": "warning",
    }
    policy.write_text(POLICY.format("refuse"))
    refused = isolated.run("licenses", depot, "--policy", policy)
    assert refused.code == 12
    assert refused.out.startswith("refused: model ranker:v1: it states no licence\n")


def test_an_export_with_a_policy_refuses_before_it_writes(
    export: Export, connected: Side, site: Site, tmp_path: Path
) -> None:
    policy, made = tmp_path / "policy.toml", tmp_path / "made"
    policy.write_text(POLICY.format("refuse"))
    export("depot")
    options = ("shop:v1", "-o", made, "--key", site.key(), "--license-policy", policy)

    assert connected.run("export", *options).code == 12
    assert connected.run("export", *options, "--dry-run").code == 12
    assert not made.exists()
    policy.write_text(POLICY.format("warn"))
    ran = connected.run("export", *options)
    assert ran.code == 0
    assert "Licence of model ranker:v1: it states no licence." in ran.err


def test_what_needs_a_review_is_noted_at_export(
    export: Export, connected: Side, site: Site, tmp_path: Path
) -> None:
    policy, made = tmp_path / "policy.toml", tmp_path / "made"
    policy.write_text(POLICY.format("review"))
    export("depot")
    options = ("shop:v1", "-o", made, "--key", site.key(), "--license-policy", policy)
    ran = connected.run("export", *options)

    assert ran.code == 0
    assert "airgap approve --name licence" in " ".join(ran.err.split())


def test_a_sealed_bundle_has_a_bill_for_those_who_can_open_it(tmp_path: Path) -> None:
    site = sealing.make_sealed_site(tmp_path, escrow=False, post_quantum=False)
    depot, policy = tmp_path / "sealed", tmp_path / "policy.toml"
    policy.write_text('unknown = "refuse"\n')
    made = site.export("-o", depot)
    assert made.code == 0, made.err

    closed = site.isolated.run("bom", depot)
    assert closed.code == ConfigurationError.exit_code
    assert "secret" not in closed.out
    opened = site.isolated.run("bom", depot, "--identity", site.identity, "--json")
    assert opened.json["metadata"]["component"]["name"] == "secret-shop"
    for command, option in (("licenses", "--policy"), ("import", "--license-policy")):
        ran = site.isolated.run(command, depot, option, policy, "--identity", site.identity)
        assert ran.code == 12, ran.err
    assert not list(site.isolated.top.rglob("staging"))


def test_the_ledger_of_exports_names_the_policy(
    export: Export, connected: Side, site: Site, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY.format("warn"))
    export("depot")
    for name in ("made", "made.bento"):
        options = ("-o", tmp_path / name, "--key", site.key(), "--license-policy", policy)
        assert connected.run("export", "shop:v1", *options).code == 0

    with connected.here():
        entries = [
            entry for entry in history.read_entries("any", "exporting") if entry.event == "exported"
        ]
    assert [sorted(entry.documents) for entry in entries] == [
        ["manifest"],
        ["licences", "manifest", "policy"],
        ["licences", "manifest", "policy"],
    ]


def test_python_returns_what_the_commands_print(
    export: Export, isolated: Side, tmp_path: Path
) -> None:
    depot, policy = export("depot"), tmp_path / "policy.toml"
    policy.write_text(POLICY.format("review"))
    with isolated.here():
        bill = airgap.bill_of_materials(depot, files=False)
        report = airgap.licenses(depot, policy=policy)
        with pytest.raises(PolicyError):
            airgap.import_bundle(depot, license_policy=policy)
        for path, installed in ((None, None), (depot, [])):
            with pytest.raises(UsageError):
                airgap.bill_of_materials(path, installed=installed)
            with pytest.raises(UsageError):
                airgap.licenses(path, policy=policy, installed=installed)
        with pytest.raises(UsageError):
            airgap.bill_of_materials(depot, format="spdx")  # type: ignore[arg-type]
        airgap.import_bundle(depot)
        assert airgap.bill_of_materials(installed=[], files=False)["components"]
        assert airgap.licenses(policy=policy, installed=["shop"])["passes"]

    assert bill == isolated.run("bom", depot, "--no-files", "--json").json
    assert not list(find_problems(report, results.LicenceReportDict))
    assert report == isolated.run("licenses", depot, "--policy", policy, "--json").json


def find_bill(side: Side, location: Path) -> dict[str, Any]:
    """Return the bill that travels with a bundle, which a builder of the side's root has signed."""
    (attached,) = side.run("verify", location, "--json").json["attachments"]
    assert attached["file"].startswith("bom.")
    assert attached["verdict"] == "signed"
    with side.here(), open_unverified(parse_location(str(location))) as opened:
        (raw,) = opened.reader.read_attachments().values()
    statement = json.loads(base64.b64decode(json.loads(raw)["payload"]))
    assert statement["predicateType"] == "https://cyclonedx.org/bom"
    assert statement["subject"][0]["digest"]["sha256"] == opened.bundle
    predicate: dict[str, Any] = statement["predicate"]
    return predicate


@pytest.mark.parametrize("to", ["depot", "shop.airgap"])
def test_a_bill_that_travels_is_the_one_that_is_made_there(
    to: str, export: Export, isolated: Side
) -> None:
    location = export(to, "--bom", "--channel", "c")

    assert find_bill(isolated, location) == isolated.run("bom", location, "--json").json


def test_a_bill_that_is_too_long_to_travel_lacks_files(
    export: Export, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bill_statement, "_MOST_PAYLOAD_BYTES", 100)
    location = export("depot", "--bom")

    made = isolated.run("bom", location, "--no-files", "--json").json
    assert find_bill(isolated, location) == made


def test_an_archive_for_stock_bentoml_has_no_bill(
    export: Export, connected: Side, site: Site, tmp_path: Path
) -> None:
    export("depot")
    made = tmp_path / "new.bento"
    ran = connected.run("export", "shop:v1", "-o", made, "--key", site.key(), "--bom")

    assert ran.code == UsageError.exit_code
    assert not made.exists()
