"""What becomes of bundles at a site comes back to those who sent them (format §29)."""

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import airgap
from airgap import results
from airgap.errors import ConfigurationError
from airgap.format.root import Root
from airgap.format.site_rules import ReceiptRules
from tests.support import stores
from tests.support.sides import Ran, Side
from tests.support.signers import make_root, person, pin, team, write_key, write_root
from tests.support.typed_dicts import find_problems

WEIGHTS = stores.noise(50_000).replace(b"%", b"%%") + b"%s"


@dataclass
class Story:
    """Two machines, and the folder in which somebody carries bundles and receipts."""

    top: Path
    connected: Side
    isolated: Side
    root: Root

    @property
    def root_file(self) -> Path:
        return self.top / "root.msgpack"

    @property
    def receipts(self) -> Path:
        return self.top / "receipts"

    def key(self, name: str) -> Path:
        return self.top / "keys" / f"{name}.key"

    def export(self, version: str, *options: str, sequence: int | None = None) -> Path:
        """Export a model's version to the site."""
        stores.add_model(self.connected, f"ranker:{version}", {"w": WEIGHTS % version.encode()})
        depot = self.top / f"depot-{version}"
        number = ("--sequence", str(sequence)) if sequence else ()
        ran = self.connected.run(
            *("export", "--model", f"ranker:{version}", "-o", depot, "--channel", "nightly"),
            *("--audience", "ward", "--key", self.key("bob"), *number, *options),
        )
        assert ran.code == 0, ran.err
        return depot

    def take(self, depot: Path, *options: str) -> Ran:
        """Import on the isolated side, with a receipt."""
        recorder = ("--recorder-key", self.key("ray"))
        return self.isolated.run(
            "import", depot, "--receipt", self.receipts, *recorder, "--json", *options
        )

    def accept(self, path: Path, *options: str | Path) -> Ran:
        return self.connected.run(
            "receipt", "accept", path, "--root", self.root_file, "--json", *options
        )


def make_story(top: Path, root: Root) -> Story:
    connected, isolated = Side(top / "connected"), Side(top / "isolated")
    for side in (connected, isolated):
        side.bentoml.mkdir(parents=True)
    for name in ("bob", "ray", "rob", "eve", "dan"):
        write_key(top / "keys", name)
    write_root(top / "root.msgpack", root, "ann")
    pin(isolated, root)
    return Story(top, connected, isolated, root)


@pytest.fixture
def story(tmp_path: Path) -> Story:
    root = make_root(recorder=team("ray"), approver=team("dan eve"))
    rules = replace(root.rules, receipts=ReceiptRules())
    roles = {**root.roles, "approver": replace(root.roles["approver"], threshold=0)}
    return make_story(tmp_path, replace(root, rules=rules, roles=roles, created_at=7))


def only_receipt(story: Story) -> Path:
    (path,) = story.receipts.glob("*.receipt.json")
    return path


def test_an_import_and_a_refusal_are_confirmed_to_the_sender(story: Story) -> None:
    first, second = story.export("v1"), story.export("v2")
    imported = story.take(second)
    assert imported.code == 0, imported.err
    path = Path(imported.json["receipt"]["file"])
    assert path.name == f"ward.nightly.2.{imported.json['bundle'][:16]}.2.receipt.json"

    shown = story.isolated.run("receipt", "show", path, "--json").json
    assert (shown["verified"], shown["result"], shown["reason"]) == (True, "passed", None)
    assert [item["outcome"] for item in shown["items"]] == ["installed"]
    assert shown["holds"] == [imported.json["bundle"]]
    assert shown["levels"] == ["AIRGAP_BUILDERS_1"]
    assert [entry["file"] for entry in shown["evidence"]] == [
        f"builder.{person('bob').key.id}.dsse"
    ]

    missing = story.connected.run("receipt", "list", "--missing", "--json").json["missing"]
    assert [(row["site"], row["sequence"]) for row in missing] == [("ward", 1), ("ward", 2)]
    accepted = story.accept(path)
    assert accepted.code == 0, accepted.err
    (receipt,) = accepted.json["receipts"]
    assert (receipt["continuity"], receipt["is_new"]) == ("first", True)
    assert receipt["exported_here"]
    assert story.accept(path).json["receipts"][0]["is_new"] is False
    path.unlink()
    check_refusal(story, first)


def check_refusal(story: Story, depot: Path) -> None:
    """Import a bundle that is older than the site's last, and let the sender see that."""
    refused = story.take(depot)
    assert refused.code == 12
    (line,) = (line for line in refused.json["error"]["details"] if line.startswith("receipt: "))
    path = Path(line.removeprefix("receipt: "))
    assert path == only_receipt(story)
    (receipt,) = story.accept(path).json["receipts"]
    assert (receipt["result"], receipt["reason"]) == ("failed", "policy")
    assert receipt["continuity"] == "newer"
    assert story.connected.run("receipt", "list", "--missing", "--json").json["missing"] == []
    rows = story.connected.run("receipt", "list", "--json").json["receipts"]
    assert [row["result"] for row in rows] == ["passed", "failed"]


def test_of_a_later_refusal_there_is_no_receipt_of_the_first_one(story: Story) -> None:
    first, second, third = (story.export(version) for version in ("v1", "v2", "v3"))
    assert story.take(second).code == 0
    path = only_receipt(story)
    assert "all files of 1 bundle, with their sizes; their contents were not read" in (
        story.isolated.run("receipt", "show", path).out
    )
    path.unlink()
    assert story.take(first).code == 12
    only_receipt(story).unlink()
    assert story.take(first).code == 12
    only_receipt(story).unlink()  # the same refusal: the receipt is made again
    assert story.take(third).code == 0
    only_receipt(story).unlink()

    refused = story.take(first)

    assert refused.code == 12
    details = " ".join(refused.json["error"]["details"])
    assert "has only an earlier refusal of this bundle: entry 4, " in details
    assert not [*story.receipts.glob("*.receipt.json")]


def test_a_receipt_says_what_was_judged_when_and_by_which_root(story: Story) -> None:
    depot = story.export("v1")
    first = Path(story.take(depot).json["receipt"]["file"])
    again = Path(story.take(depot).json["receipt"]["file"])
    assert again == first  # nothing was judged anew
    older = story.isolated.run("receipt", "show", first, "--json").json
    following = replace(story.root, version=2, created_at=8)
    write_root(story.top / "next" / "root.msgpack", following, "ann")
    updated = story.isolated.run("trust", "update", story.top / "next" / "root.msgpack")
    assert updated.code == 0, updated.err

    taken = story.take(depot)
    newer = story.isolated.run("receipt", "show", taken.json["receipt"]["file"], "--json").json

    assert [item["outcome"] for item in taken.json["items"]] == ["already there"]
    assert (older["root_version"], newer["root_version"]) == (1, 2)
    assert taken.json["receipt"]["file"] != str(first)  # its name has the number of the entry
    entries = story.isolated.run("log", "--json").json["entries"]
    judged = [(entry["event"], entry["root_version"]) for entry in reversed(entries)]
    made = ("receipt-made", 2)
    assert judged[-3:] == [("trusted", 2), ("imported", 2), made]
    story.take(depot)
    assert story.isolated.run("log", "--json").json["entries"] == entries


def test_further_signatures_are_judged_anew_and_fewer_change_nothing(story: Story) -> None:
    depot = story.export("v1")
    assert story.take(depot).code == 0
    approved = story.connected.run("approve", depot, "--key", story.key("dan"))
    assert approved.code == 0, approved.err

    path = Path(story.take(depot).json["receipt"]["file"])

    levels = story.isolated.run("receipt", "show", path, "--json").json["levels"]
    assert levels == ["AIRGAP_APPROVERS_1", "AIRGAP_BUILDERS_1"]
    entries = story.isolated.run("log", "--json").json["entries"]
    for attested in depot.glob("bundles/*/approver*"):
        attested.unlink()
    path.unlink()
    assert Path(story.take(depot).json["receipt"]["file"]) == path
    again = story.isolated.run("receipt", "show", path, "--json").json
    assert again["levels"] == levels  # as the entry has it
    assert story.isolated.run("log", "--json").json["entries"] == entries


def test_what_a_site_holds_is_a_base(story: Story) -> None:
    accepted = story.accept(Path(story.take(story.export("v1")).json["receipt"]["file"]))
    assert accepted.code == 0, accepted.err
    held = story.connected.run("receipt", "holds", "ward", "--json").json
    assert held["bundles"] == held["exported_here"] != []

    stores.add_model(story.connected, "twin:v1", {"w": WEIGHTS % b"v1"})
    out = story.top / "difference"
    ran = story.connected.run(
        *("export", "--model", "twin:v1", "-o", out, "--base", "receipt:ward"),
        *("--key", story.key("bob"), "--json"),
    )
    assert ran.code == 0, ran.err
    assert story.isolated.run("import", out).code == 0
    assert ran.json["bytes_written"] < len(WEIGHTS)

    nobody = story.connected.run(
        *("export", "--model", "twin:v1", "-o", out, "--base", "receipt:clinic"),
        *("--key", story.key("bob")),
    )
    assert nobody.code == 13
    assert "No receipt of site clinic" in nobody.err


def test_a_machine_that_was_restored_from_a_copy_is_found_at_the_next_courier(story: Story) -> None:
    """The copy has everything that the machine knows of itself: there it looks whole."""
    story.accept(Path(story.take(story.export("v1")).json["receipt"]["file"]))
    copy = story.top / "copy"
    shutil.copytree(story.isolated.top, copy)
    second = story.accept(Path(story.take(story.export("v2")).json["receipt"]["file"]))
    assert second.code == 0, second.err
    shutil.rmtree(story.isolated.top)
    copy.rename(story.isolated.top)

    third = story.take(story.export("v3"))
    assert third.code == 0, third.err
    accepted = story.accept(Path(third.json["receipt"]["file"]))
    assert accepted.code == 11
    assert "was rewritten" in accepted.json["error"]["message"]
    evidence = story.connected.state / "receipts" / "ward" / "evidence"
    (folder,) = evidence.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == [
        "kept.receipt.json",
        "new.receipt.json",
    ]
    assert len(story.connected.run("receipt", "holds", "ward", "--json").json["bundles"]) == 2


def test_a_ledger_that_is_new_needs_a_person(story: Story) -> None:
    story.accept(Path(story.take(story.export("v1")).json["receipt"]["file"]))
    shutil.rmtree(story.isolated.top)
    story.isolated.bentoml.mkdir(parents=True)
    pin(story.isolated, story.root)
    path = Path(story.take(story.export("v2")).json["receipt"]["file"])
    refused = story.accept(path)
    assert refused.code == 12
    assert "--new-ledger" in refused.json["error"]["hint"]
    accepted = story.accept(path, "--new-ledger", "replaces")
    assert accepted.code == 0, accepted.err
    held = story.connected.run("receipt", "holds", "ward", "--json").json
    assert held["bundles"] == [accepted.json["receipts"][0]["bundle"]]


def test_a_repeated_import_makes_the_receipt_again_and_appends_nothing(story: Story) -> None:
    depot = story.export("v1")
    made = [story.take(depot) for _ in range(3)]
    assert [ran.code for ran in made] == [0, 0, 0]
    log = story.isolated.run("log", "--json").json["entries"]
    assert [entry["event"] for entry in log] == ["receipt-made", "imported", "begun"]
    shown = story.isolated.run("receipt", "show", only_receipt(story), "--json").json
    assert [item["outcome"] for item in shown["items"]] == ["already there"]


def test_a_receipt_leaves_with_the_approvals_that_the_root_demands(
    tmp_path: Path,
) -> None:
    root = make_root(recorder=team("ray"), approver=team("dan eve"))
    rules = replace(root.rules, receipts=ReceiptRules(approvals=1, notes=True))
    roles = {**root.roles, "approver": replace(root.roles["approver"], threshold=0)}
    story = make_story(tmp_path, replace(root, rules=rules, roles=roles, created_at=7))
    made = story.take(story.export("v1", sequence=3))
    path = Path(made.json["receipt"]["file"])
    assert path.parent.name == "unapproved"
    assert made.json["receipt"]["approvals_needed"] == 1
    refused = story.accept(path)
    assert refused.code == 11
    assert "0 of the 1 approvals" in refused.json["error"]["message"]
    stranger = story.isolated.run("receipt", "approve", path, "--key", story.key("bob"))
    assert stranger.code == 3

    approved = story.isolated.run("receipt", "approve", path, "--key", story.key("eve"), "--json")
    assert approved.code == 0, approved.err
    assert approved.json["may_leave"]
    assert Path(approved.json["file"]) == only_receipt(story)
    accepted = story.accept(only_receipt(story))
    assert accepted.code == 0, accepted.err
    assert accepted.json["receipts"][0]["signed_by"]["approver"] == [person("eve").key.id]


def test_a_terse_receipt_names_nothing_but_the_bundle_id(story: Story) -> None:
    made = story.take(story.export("v1"), "--terse-receipt")
    path = Path(made.json["receipt"]["file"])
    assert path.name == f"ward.{made.json['bundle'][:16]}.2.receipt.json"
    shown = story.isolated.run("receipt", "show", path, "--json").json
    assert (shown["channel"], shown["items"], shown["evidence"]) == (None, [], [])
    assert story.accept(path).code == 0


def test_a_receipt_is_read_out_as_a_note(story: Story) -> None:
    made = story.take(story.export("v1"))
    lines = story.isolated.run("receipt", "note", made.json["receipt"]["file"]).out.splitlines()
    assert len(lines) == 5
    noted = story.connected.run(
        "receipt", "accept", "--site", "ward", "--note", " ".join(lines), "--json"
    )
    assert noted.json["bundles"] == [made.json["bundle"]]
    (row,) = story.connected.run("receipt", "list", "--json").json["receipts"]
    assert (row["by"], row["bundle"]) == ("note", made.json["bundle"])
    (row,) = story.connected.run("receipt", "list", "--missing", "--json").json["missing"]
    assert row["has_note"]
    wrong = " ".join(lines).replace("passed", "failed")
    assert story.connected.run("receipt", "accept", "--site", "ward", "--note", wrong).code == 2


def test_without_a_key_of_a_recorder_nothing_is_imported(story: Story) -> None:
    depot = story.export("v1")
    for options in ((), ("--recorder-key", story.key("bob"))):
        ran = story.isolated.run("import", depot, "--receipt", story.receipts, *options)
        assert ran.code == 3
    assert not (story.isolated.bentoml / "models").exists()


def test_the_config_file_makes_receipts_of_every_import(story: Story) -> None:
    depot = story.export("v1")
    (story.isolated.state / "config.toml").write_text(
        f'recorder_key = "{story.key("ray")}"\n[import]\nreceipt = "{story.receipts}"\n'
    )
    assert story.isolated.run("import", depot).code == 0
    only_receipt(story).unlink()
    watched = story.top / "watched"
    watched.mkdir()
    shutil.copytree(story.export("v2"), watched / "depot")
    ran = story.isolated.process("watch", watched, "--once", "--settle", "0")
    assert ran.returncode == 0, ran.stderr
    document = json.loads(only_receipt(story).read_bytes())
    assert len(document["signatures"]) == 1


def export_recorded(story: Story, version: str) -> Path:
    """Export with a checkpoint of the sender's ledger beside the bundle."""
    return story.export(version, "--recorder-key", str(story.key("rob")))


@pytest.fixture
def witnessed(tmp_path: Path) -> Story:
    """A story in which both machines are recorders."""
    root = replace(make_root(recorder=team("ray rob")), created_at=7)
    return make_story(tmp_path, root)


def test_both_sides_witness_each_others_ledgers(witnessed: Story) -> None:
    story = witnessed
    first = story.take(export_recorded(story, "v1"))
    assert [seen["verdict"] for seen in first.json["witnessed"]] == ["first"]
    accepted = story.accept(Path(first.json["receipt"]["file"]))
    assert accepted.code == 0, accepted.err
    (seen,) = accepted.json["receipts"][0]["witnessed"]
    assert seen["origin"] == first.json["witnessed"][0]["origin"]

    second = story.take(export_recorded(story, "v2"))
    assert {seen["verdict"] for seen in second.json["witnessed"]} == {"newer", "own"}
    assert story.accept(Path(second.json["receipt"]["file"])).code == 0
    shown = story.isolated.run("receipt", "show", second.json["receipt"]["file"], "--json").json
    assert shown["witnessed"][0]["size"] > seen["size"]


def test_a_sender_that_was_restored_is_seen_at_the_site(witnessed: Story) -> None:
    story = witnessed
    assert story.take(export_recorded(story, "v1")).code == 0
    copy = story.top / "copy"
    shutil.copytree(story.connected.state, copy)
    assert story.take(export_recorded(story, "v2")).code == 0
    shutil.rmtree(story.connected.state)
    copy.rename(story.connected.state)

    other = ("--recorder-key", str(story.key("rob")))
    imported = story.take(story.export("v3", *other, sequence=9))
    assert imported.code == 0, imported.err
    assert [seen["verdict"] for seen in imported.json["witnessed"]] == ["rewritten"]
    assert "may have been restored from a copy" in imported.err
    assert list((story.isolated.state / "receipts/ward/evidence").iterdir())


def test_a_site_that_was_restored_finds_out_by_the_next_bundle(witnessed: Story) -> None:
    story = witnessed
    assert story.take(export_recorded(story, "v1")).code == 0
    copy = story.top / "copy"
    shutil.copytree(story.isolated.top, copy)
    story.accept(Path(story.take(export_recorded(story, "v2")).json["receipt"]["file"]))
    shutil.rmtree(story.isolated.top)
    copy.rename(story.isolated.top)

    imported = story.take(export_recorded(story, "v3"))
    assert imported.code == 0, imported.err
    assert "own rewritten" in {seen["verdict"] for seen in imported.json["witnessed"]}
    assert "This machine's ledger" in imported.err


def test_after_a_reset_the_ledger_before_it_accuses_nobody(witnessed: Story) -> None:
    """The sender goes on to send the last checkpoint that it has of it."""
    story = witnessed
    assert story.take(export_recorded(story, "v1")).code == 0
    copy = story.top / "copy"
    shutil.copytree(story.isolated.top, copy)
    story.accept(Path(story.take(export_recorded(story, "v2")).json["receipt"]["file"]))
    shutil.rmtree(story.isolated.top)
    copy.rename(story.isolated.top)
    assert story.take(export_recorded(story, "v3")).code == 0
    head = story.isolated.run("trust", "show", "--json").json["history"]["head"]
    reset = ("trust", "reset-state", "--reason", "restored", "--yes", head)
    assert story.isolated.run(*reset).code == 0

    imported = story.take(export_recorded(story, "v4"))

    verdicts = {seen["verdict"] for seen in imported.json["witnessed"]}
    assert verdicts == {"newer", "own before a reset"}
    assert "rewritten" not in imported.err
    shown = story.isolated.run("receipt", "show", imported.json["receipt"]["file"], "--json").json
    assert len(shown["witnessed"]) == 1


def fits(value: object, hint: object) -> bool:
    assert list(find_problems(value, hint)) == []
    return True


def test_in_python_it_is_the_same(story: Story) -> None:
    depot, receipt = story.export("v1"), story.receipts
    with story.isolated.here():
        done = airgap.import_bundle(depot, receipt=receipt, recorder_key=story.key("ray"))
        made = done["receipt"]
        assert made is not None
        shown = airgap.receipts.show(made["file"])
        with pytest.raises(ConfigurationError, match="no key"):
            airgap.import_bundle(depot, receipt=receipt)
    assert fits(done, results.ImportDict)
    assert fits(shown, results.ShownReceiptDict)
    assert shown == story.isolated.run("receipt", "show", made["file"], "--json").json
    with story.connected.here():
        (missing,) = airgap.receipts.list_missing()
        accepted = airgap.receipts.accept(made["file"], root=story.root_file)
        (row,) = airgap.receipts.list_accepted("ward")
        held = airgap.receipts.holds("ward")
        approved = airgap.receipts.approve(made["file"], key=story.key("eve"))
    assert fits(missing, results.UnconfirmedDict)
    assert fits(accepted, results.AcceptedReceiptDict)
    assert fits(row, results.ConfirmationDict)
    assert fits(held, results.SiteHoldsDict)
    assert fits(approved, results.ApprovedReceiptDict)
    assert held["exported_here"] == [done["bundle"]]
    listed = story.connected.run("receipt", "list", "--json").json
    assert listed == {"receipts": [row]}


def test_an_import_whose_receipt_cannot_be_written_says_that_it_is_done(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot = story.export("v1")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("airgap.flow.receipts.make.durable.make_folder", refuse)
        ran = story.take(depot)
    assert ran.code == 15
    assert "The bundle was imported, but there is no receipt" in ran.json["error"]["message"]
    again = story.take(depot).json["receipt"]
    assert Path(again["file"]) == only_receipt(story)


def test_what_counted_stands_in_a_receipt(tmp_path: Path) -> None:
    root = make_root(recorder=team("ray"), approver=team("dan eve"), scanner=team("kim"))
    story = make_story(tmp_path, replace(root, created_at=7))
    write_key(tmp_path / "keys", "kim")
    depot, report = story.export("v1"), tmp_path / "report.txt"
    report.write_text("clean")
    scan = ("--role", "scanner", "--findings", report, "--key", story.key("kim"))
    assert story.connected.run("attest", depot, *scan).code == 0
    assert story.connected.run("approve", depot, "--key", story.key("eve")).code == 0
    made = story.take(depot)
    assert made.code == 0, made.err
    shown = story.isolated.run("receipt", "show", made.json["receipt"]["file"], "--json").json
    assert shown["levels"] == ["AIRGAP_APPROVERS_1", "AIRGAP_BUILDERS_1", "AIRGAP_SCANNERS_1"]
    names = [
        entry["file"].split(".")[0] + Path(entry["file"]).suffix for entry in shown["evidence"]
    ]
    assert sorted(names) == [
        *("approver.attestation", "approver.dsse", "builder.dsse"),
        *("scanner.attestation", "scanner.dsse"),
    ]
    for entry in shown["evidence"]:
        file = depot / "bundles" / made.json["bundle"] / entry["file"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == entry["sha256"]


def test_an_attachment_that_is_no_checkpoint_is_passed_over(witnessed: Story) -> None:
    depot = export_recorded(witnessed, "v1")
    (file,) = depot.glob("bundles/*/*.checkpoint")
    good = file.read_bytes()
    bad = {"a" * 16: b"{}", "b" * 16: good.replace(b'"', b"'"), "c" * 16: good + b"\n"}
    for name, data in bad.items():
        file.with_name(f"{name}.{'0' * 64}.checkpoint").write_bytes(data)
    imported = witnessed.take(depot)
    assert imported.code == 0, imported.err
    assert [seen["verdict"] for seen in imported.json["witnessed"]] == ["first"]
    assert imported.err.count("is passed over") == 3


def test_the_checkpoint_travels_in_a_file_too(witnessed: Story) -> None:
    stores.add_model(witnessed.connected, "ranker:v1", {"w": WEIGHTS % b"v1"})
    path = witnessed.top / "bundle.airgap"
    keys = ("--key", witnessed.key("bob"), "--recorder-key", witnessed.key("rob"))
    ran = witnessed.connected.run(
        "export", "--model", "ranker:v1", "-o", path, "--audience", "ward", *keys
    )
    assert ran.code == 0, ran.err
    assert len(witnessed.take(path).json["witnessed"]) == 1
