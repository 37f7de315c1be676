"""What the Python API returns has the documented fields, and is what the commands print."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import airgap
from airgap import keys, results, roots
from airgap.errors import MissingError, UsageError
from tests.support import stores
from tests.support.sides import Side, Site
from tests.support.typed_dicts import find_problems


@pytest.fixture
def office(small: Side, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Side]:
    """Be on the connected side, with ``shop:v1`` and a key."""
    monkeypatch.setenv("AIRGAP_KEY", str(site.key()))
    with small.here():
        yield small


@pytest.fixture
def ward(isolated: Side) -> Iterator[Side]:
    """Be on the isolated side."""
    with isolated.here():
        yield isolated


def fits(value: object, hint: object) -> bool:
    assert list(find_problems(value, hint)) == []
    return True


def test_an_export_and_its_plan(office: Side, site: Site, tmp_path: Path) -> None:
    labels = {"project": "north"}
    plan = airgap.plan_export(tmp_path / "depot", bentos=["shop:v1"], models=["ranker"])
    planned = office.run("export", "shop:v1", "-o", f"{tmp_path}/depot", "--dry-run", "--json")
    assert not (tmp_path / "depot").exists()

    done = airgap.export_bundle(tmp_path / "depot", bentos=["shop:v1"], labels=labels)

    assert fits(plan, results.ExportPlanDict)
    assert fits(done, results.ExportDict)
    assert (done["labels"], done["packs_there"]) == (labels, 0)
    assert [item["tag"] for item in plan["items"]] == ["ranker:v1", "shop:v1"]
    assert plan.keys() == planned.json.keys()
    assert plan["size"] == planned.json["size"] == done["size"]
    assert plan["stored_size"] == done["stored_size"]
    assert plan["output"] == done["output"] == planned.json["output"]
    options = ("--key", site.key(), "--label", "project=north", "--json")
    printed = office.run("export", "shop:v1", "-o", tmp_path / "depot", *options).json
    assert printed.keys() == done.keys()
    assert printed["bundle"] == done["bundle"]


def test_an_export_of_nothing_names_what_is_missing(office: Side, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="path or to volumes"):
        airgap.export_bundle(bentos=["shop:v1"])
    with pytest.raises(MissingError):
        airgap.export_bundle(tmp_path / "x.airgap", bentos=["nothing:v1"])
    with pytest.raises(UsageError, match="without with_env"):
        airgap.export_bundle(tmp_path / "x.airgap", bentos=["shop:v1"], targets=["cp311"])
    assert not list(tmp_path.glob("*.airgap"))
    assert office.bentoml.is_dir()


def test_volumes(office: Side, isolated: Side, tmp_path: Path) -> None:
    stores.add_model(office, "large:v1", {"weights.bin": stores.noise(500_000)})

    done = airgap.export_bundle(
        tmp_path / "made", bentos=["shop:v1"], models=["large"], volume_size=1_700_000
    )

    assert fits(done, results.ExportDict)
    assert len(done["volumes"]) == 2
    notes: list[airgap.ProgressEvent] = []
    other = keys.generate("other", tmp_path, passphrase=None)
    airgap.sign(done["volumes"][0], key=other.private, progress=notes.append)
    assert "volume 1 of 2" in notes[0].text
    with isolated.here():
        with pytest.raises(MissingError):
            airgap.verify(done["volumes"][:1])
        assert airgap.verify(done["volumes"])["bundle"] == done["bundle"]
        with pytest.raises(UsageError, match="nothing to verify"):
            airgap.verify([])


def test_media_that_are_mounted(office: Side, tmp_path: Path) -> None:
    (tmp_path / "medium").mkdir()

    done = airgap.export_bundle(bentos=["shop:v1"], volumes=[tmp_path / "medium"])

    assert (done["output"], done["volumes"]) == ("", [str(tmp_path / "medium")])
    assert office.bentoml.is_dir()


@pytest.mark.parametrize("dry_run", [True, False])
def test_an_import(ward: Side, archive: Path, *, dry_run: bool) -> None:
    done = airgap.import_bundle(archive, dry_run=dry_run)

    assert fits(done, results.ImportDict)
    assert done["dry_run"] is dry_run
    assert (ward.bentoml / "bentos/shop/v1").is_dir() is not dry_run
    printed = ward.run("import", archive, "--dry-run", "--json").json
    assert printed.keys() == done.keys()


def test_an_import_of_what_nobody_signed(
    ward: Side, office: Side, site: Site, tmp_path: Path
) -> None:
    with office.here():
        where = airgap.export_bento("shop:v1", tmp_path / "shop.bento", with_models=False)
    Path(f"{where}.airgap-manifest").unlink()
    for signature in tmp_path.glob("shop.bento.*"):
        signature.unlink()

    with ward.here(), pytest.warns(UserWarning, match="shop.bento") as warned:
        done = airgap.import_bundle(where, insecure_allow_unsigned=True)

    assert fits(done, results.ImportDict)
    assert done["bundle"] is None
    assert "site" not in done
    assert warned[0].filename == __file__
    assert site.root.exists()


def test_an_import_needs_a_source(ward: Side) -> None:
    with pytest.raises(UsageError, match="nothing to import"):
        airgap.import_bundle()
    assert ward.state.is_dir()


def test_verify_inspect_and_diff_print_what_the_commands_print(
    ward: Side, archive: Path, depot: Path
) -> None:
    commands: list[tuple[object, Any, tuple[str | Path, ...]]] = [
        (airgap.verify(archive), results.VerificationDict, ("verify", archive)),
        (airgap.inspect(depot), results.InspectionDict, ("inspect", depot)),
        (
            airgap.inspect(archive, files=True),
            results.InspectionDict,
            ("inspect", archive, "--files"),
        ),
        (airgap.diff(archive, depot), results.DiffDict, ("diff", archive, depot)),
    ]
    for returned, hint, arguments in commands:
        assert fits(returned, hint)
        assert returned == ward.run(*arguments, "--json").json


def test_a_diff_of_two_bundles(office: Side, tmp_path: Path) -> None:
    old = airgap.export_model("ranker", tmp_path / "old.airgap")
    stores.add_model(office, "ranker:v2", {"weights.bin": stores.noise(400_001), "new": b"1"})

    changes = airgap.diff(old, airgap.export_model("ranker:v2", tmp_path / "new.airgap"))

    assert fits(changes, results.DiffDict)
    assert [change["item"] for change in changes["changed"]] == ["model ranker:v2"]


def test_what_a_depot_holds(ward: Side, depot: Path) -> None:
    (depot / "bundles" / ("0" * 64)).mkdir()
    (depot / "bundles" / ("0" * 64) / "manifest.msgpack").write_bytes(b"damaged")

    found = airgap.get("shop", depot)
    listed = airgap.list(depot=depot)

    assert fits(found, results.FoundBundleDict)
    assert fits(listed, list[results.DepotBundleDict])
    assert found == ward.run("get", "shop", depot, "--json").json
    assert [bundle["bundle"] for bundle in airgap.models.list("ranker", depot)] == [found["bundle"]]


def test_what_is_installed_here(ward: Side, archive: Path) -> None:
    airgap.import_bundle(archive)

    items, checked, entries = airgap.list_items(), airgap.check(), airgap.log(limit=5)

    assert fits(items, list[results.StoredItemDict])
    assert fits(checked, results.CheckDict)
    assert fits(entries, results.LogDict)
    assert items == ward.run("list", "--json").json["items"]
    assert checked == ward.run("check", "--json").json
    assert entries == ward.run("log", "--limit", "5", "--json").json
    assert [item["state"] for item in checked["items"]] == ["intact", "intact"]


def test_damage_is_returned_and_not_raised(ward: Side, archive: Path) -> None:
    airgap.import_bundle(archive)
    (ward.bentoml / "models/ranker/v1/notes.txt").write_bytes(b"other")
    (ward.bentoml / "bentos/shop/v1/README.md").unlink()

    checked = airgap.check(["ranker"])

    assert fits(airgap.check(), results.CheckDict)
    assert checked["damaged"]
    assert [item["differences"][0]["path"] for item in checked["items"]] == ["notes.txt"]


def test_a_removal(ward: Side, archive: Path) -> None:
    airgap.import_bundle(archive)
    with pytest.raises(airgap.ConflictError):
        airgap.remove(["ranker:v1"])

    planned = airgap.remove(["shop:v1"], dry_run=True)
    assert (ward.bentoml / "bentos/shop/v1").is_dir()
    assert planned == ward.run("remove", "shop:v1", "--dry-run", "--json").json
    removed = airgap.remove(["shop:v1"])

    assert fits(removed, results.RemovalDict)
    assert removed == {**planned, "dry_run": False}
    assert not (ward.bentoml / "bentos/shop/v1").exists()
    pruned = airgap.prune()
    assert fits(pruned, results.RemovalDict)
    assert [item["tag"] for item in pruned["removed"]] == ["ranker:v1"]
    assert fits(airgap.check(), results.CheckDict)
    with pytest.raises(UsageError, match="keep is 0"):
        airgap.prune(keep=0)


def test_what_prune_keeps(ward: Side, office: Side, tmp_path: Path) -> None:
    with office.here():
        where = airgap.export_model("ranker", tmp_path)
    with ward.here():
        airgap.import_bundle(where)
        kept = airgap.prune(dry_run=True)

    assert fits(kept, results.RemovalDict)
    assert [item["tag"] for item in kept["kept"]] == ["ranker:v1"]


def test_roots_and_trust(ward: Side, site: Site, tmp_path: Path) -> None:
    trusted = airgap.trust.show()
    assert fits(trusted, results.TrustDict)
    assert trusted == ward.run("trust", "show", "--json").json
    described = roots.read(site.root)
    assert fits(described, results.RootFileDict)
    assert described == ward.run("root", "show", site.root, "--json").json
    scanner = keys.generate("scanner", tmp_path, passphrase=None)
    changed = roots.change(
        site.root,
        roots.add_key("scanner", scanner.key),
        roots.demand("malware", "scanner", max_age=86400),
        roots.limit_label("project", ["north"], required=True),
        roots.forbid_options("http"),
        roots.limit_trust_anchors(["ca"]),
        roots.name_key(scanner.key, "A. Scanner"),
        roots.set_expiry(2**33),
        roots.set_minimum_sequence("production", 3),
        roots.revoke_bundle("0" * 64),
        output=tmp_path / "next.msgpack",
    )

    assert fits(changed, results.RootFileDict)
    assert changed["minimum_sequences"] == {"production": 3}
    assert changed["complete"] is False


def test_what_is_signed(
    ward: Side, site: Site, depot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = tmp_path / "report.txt"
    report.write_text("clean\n")
    made = [keys.generate(name, tmp_path, passphrase=None) for name in ("one", "two", "three")]
    one, two, three = [keys.load(pair.private) for pair in made]

    approved = airgap.approve(depot, key=one, note="Read it.")
    attested = airgap.attest(depot, role="scanner", findings=report, key=two)
    rejected = airgap.attest(
        depot, role="scanner", findings=report, key=three, reject=True, attach=False
    )
    waived = airgap.waive(
        depot, site="ward", reason="A test.", expires_at=int(time.time()) + 60, key=one
    )
    countersigned = airgap.sign_waiver(waived["waiver"], digest=waived["digest"], key=two)

    for statement in (approved, attested, rejected):
        assert fits(statement, results.StatementDict)
    assert [approved["decision"], attested["name"], rejected["decision"]] == [
        "accept",
        "malware",
        "reject",
    ]
    assert fits(waived, results.WaiverDict)
    assert countersigned["signed_by"] == sorted([one.id, two.id])
    signed = airgap.sign(depot, key=one)
    assert fits(signed, results.SignatureDict)
    described = airgap.inspect(depot)
    assert fits(described, results.InspectionDict)
    assert len(described["signatures"]) == 5
    with pytest.raises(airgap.NotTrustedError):
        airgap.sign_waiver(waived["waiver"], digest=f"SHA256:{'0' * 64}", key=three)
    assert ward.state.is_dir()
    assert site.root.exists()
