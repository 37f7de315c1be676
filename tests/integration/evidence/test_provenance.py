"""How a bundle was made, and what was attested, as statements for other programs (format §31)."""

import base64
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import airgap
from airgap.format.bundle_statement import PROVENANCE, VERIFICATION_RESULT
from tests.conftest import _add_shop
from tests.support import sides, stores
from tests.support import signers as people
from tests.support.faults import Fault, Launcher
from tests.support.sides import Side, Site
from tests.support.typed_dicts import find_problems


@dataclass(frozen=True)
class Office:
    """An office that has exported ``shop:v1`` with its provenance, and had it scanned."""

    folder: Path
    side: Side
    site: Site
    scanner: Path

    def location(self, form: str) -> Path:
        return self.folder / form

    def statement(self, name: str) -> dict[str, Any]:
        (path,) = self.location("depot").glob(f"bundles/*/{name}.*.intoto.json")
        statement: dict[str, Any] = json.loads(
            base64.b64decode(json.loads(path.read_text())["payload"])
        )
        return statement


@pytest.fixture(scope="module")
def office(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Office:
    folder = tmp_path_factory.mktemp("office")
    side = Side(folder / "connected")
    side.top.mkdir()
    _add_shop(side)
    (folder / "model.sig").write_bytes(b"upstream")
    made = Office(folder, side, site, people.write_key(folder, "sam"))
    for form in ("depot", "shop.airgap"):
        ran = side.run(
            *("export", "shop:latest", "-o", made.location(form), "--key", site.key()),
            *("--provenance", "--builder-id", "https://ci.example/bundles"),
            *("--attach", folder / "model.sig", "--label", "class=public"),
        )
        assert ran.code == 0, ran.err
        ran = side.run(
            *("attest", made.location(form), "--role", "scanner", "--intoto"),
            *("--findings", folder / "model.sig", "--note", "clean", "--key", made.scanner),
        )
        assert ran.code == 0, ran.err
    return made


def test_what_was_asked_for_and_what_went_in_is_signed(office: Office) -> None:
    said = office.statement("provenance")

    assert said["predicateType"] == PROVENANCE
    definition, details = said["predicate"]["buildDefinition"], said["predicate"]["runDetails"]
    asked = definition["externalParameters"]
    assert (asked["bentos"], asked["withModels"]) == (["shop:latest"], True)
    assert asked["labels"] == {"class": "public"}
    names = [one["name"] for one in definition["resolvedDependencies"]]
    assert names == ["model ranker:v1", "bento shop:v1"]
    assert details["builder"] == {"id": "https://ci.example/bundles"}
    assert [one["name"].partition(".")[0] for one in details["byproducts"]] == ["model"]
    text = json.dumps(said)
    assert str(office.folder) not in text  # no path of this machine


@pytest.mark.parametrize("form", ["depot", "shop.airgap"])
def test_verify_says_who_states_it_and_what_is_not_checked(form: str, office: Office) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "300")
        trusting = Side(office.folder / f"trusting-{form}")
        trusting.top.mkdir()
        sides.trust(trusting, office.site)
        ran = trusting.run("verify", office.location(form), "--json")
        shown = trusting.run("verify", office.location(form)).out

    assert ran.code == 0, ran.err
    verdicts = {
        row["file"].partition(".")[0]: (row["verdict"], row["predicate_type"])
        for row in ran.json["attachments"]
    }
    assert verdicts == {  # the site's root has no scanner
        "model": ("not checked", None),
        "provenance": ("signed", PROVENANCE),
        "scanner": ("not checked", VERIFICATION_RESULT),
    }
    assert "about this bundle; nothing relies on it" in shown
    assert shown.count("not checked by airgap") == 3  # the report of an unknown scanner as well


def test_list_and_inspect_mark_them_as_not_checked(office: Office) -> None:
    listed = office.side.run("list", office.location("depot")).out
    inspected = office.side.run("inspect", office.location("depot")).out

    assert "4 attachments, not checked by airgap" in listed
    assert inspected.count("not checked by airgap") == 4
    assert PROVENANCE in inspected


def test_what_another_command_checks_is_not_said_to_be_unchecked(
    office: Office, tmp_path: Path
) -> None:
    stamp = tmp_path / "builder.tsr"
    stamp.write_bytes(b"stamp")
    depot = shutil.copytree(office.location("depot"), tmp_path / "depot")
    assert office.side.run("attach", depot, stamp).code == 0

    assert "not checked by this command" in office.side.run("inspect", depot).out


def test_an_attestation_is_stated_at_the_same_moment(office: Office) -> None:
    said = office.statement("scanner")
    claims = airgap.inspect(office.location("depot"))["signatures"]
    (scan,) = [claim for claim in claims if claim["role"] == "scanner"]

    assert said["predicate"]["timeCreated"] == scan["time"]
    assert said["predicate"]["properties"] == ["AIRGAP_SCANNER_MALWARE_ACCEPTED"]
    assert said["predicate"]["airgap:attestation/v1"]["note"] == "clean"


def test_a_file_has_room_for_all_that_is_attached(office: Office, tmp_path: Path) -> None:
    large = tmp_path / "large.sarif"
    large.write_bytes(b"x" * 300_000)

    made = airgap_export(office, tmp_path / "x.airgap", "--attach", large)

    assert b"x" * 300_000 in made


def test_the_same_export_says_the_same(office: Office, tmp_path: Path) -> None:
    made = [airgap_export(office, tmp_path / name) for name in ("one.airgap", "two.airgap")]

    assert made[0] == made[1]


def airgap_export(office: Office, path: Path, *more: str | Path) -> bytes:
    words = ("export", "shop:v1", "-o", path, "--key", office.site.key(), "--provenance")
    ran = office.side.run(*words, *more)
    assert ran.code == 0, ran.err
    return path.read_bytes()


def test_a_kill_between_the_two_signatures_is_finished_by_the_next_run(
    office: Office, launcher: Launcher, tmp_path: Path
) -> None:
    kept, depot = tmp_path / "kept", tmp_path / "depot"
    ran = office.side.run("export", "shop:v1", "-o", kept, "--key", office.site.key())
    assert ran.code == 0, ran.err
    generate = ("key", "generate", "eve", "--dir", tmp_path, "--no-passphrase")
    assert office.side.run(*generate, "--algorithm", "ecdsa-p256-sha256").code == 0
    # Unlike with Ed25519, the second run's signatures are others, as with a later time.
    words = ("approve", depot, "--key", tmp_path / "eve.key", "--intoto", "--note", "fine")
    step = 0
    while True:
        shutil.rmtree(depot, ignore_errors=True)
        shutil.copytree(kept, depot)
        ended = launcher.run(office.side, *words, fault=Fault(at=step))
        if not ended.killed:
            break
        again = office.side.run(*words)
        is_done = "another signature by this key" in again.err  # killed after its last write
        assert again.code == 0 or is_done, (ended.last, again.err)
        files = {path.suffix for path in depot.glob("bundles/*/approver.*")} - {".part"}
        assert files == {".json", ".attestation", ".dsse"}, ended.last
        step += 3

    assert step > 3


def test_where_nothing_can_be_attached_it_is_refused(office: Office, tmp_path: Path) -> None:
    key = ("--key", office.site.key())
    for words in (
        ("--provenance",),
        ("--attach", office.folder / "model.sig"),
    ):
        ran = office.side.run("export", "shop:v1", "-o", tmp_path / "x.bento", *key, *words)
        assert (ran.code, list(tmp_path.iterdir())) == (2, [])
    stock = tmp_path / "y"
    ran = office.side.run("export", "shop:v1", "-o", stock, "--format", "folder", *key)
    assert ran.code == 0, ran.err
    before = stores.snapshot(tmp_path)
    ran = office.side.run("approve", stock, "--intoto", "--key", office.scanner)
    assert (ran.code, stores.snapshot(tmp_path)) == (2, before)


@pytest.mark.parametrize(
    "uri", ["ci", ":x", "https:", "https://a b", "x:\x1b[2J", "x:" + "y" * 1000]
)
def test_who_builds_is_a_uri(uri: str, office: Office, tmp_path: Path) -> None:
    key = ("--key", office.site.key())
    words = ("--provenance", "--builder-id", uri)

    ran = office.side.run("export", "shop:v1", "-o", tmp_path / "depot", *key, *words)

    assert (ran.code, list(tmp_path.iterdir())) == (2, [])


def test_python_says_the_same(office: Office, tmp_path: Path) -> None:
    with office.side.here():
        airgap.export_bundle(
            tmp_path / "depot",
            bentos=["shop:v1"],
            key=office.site.key(),
            attach=[office.folder / "model.sig"],
            provenance=True,
        )
        attached = airgap.attach(tmp_path / "depot", office.folder / "model.sig", name="again")
        collected = airgap.collect_evidence(tmp_path / "depot", tmp_path / "all.jsonl")
    files = [row["file"] for row in airgap.inspect(tmp_path / "depot")["attachments"]]

    assert (collected["form"], collected["count"], collected["verified"]) == ("file", 2, False)
    assert not list(find_problems(collected, airgap.results.EvidenceDict))
    assert not list(find_problems(attached, airgap.results.AttachedFileDict))
    assert [file.partition(".")[0] for file in files] == ["again", "model", "provenance"]
    assert attached["file"] in files
