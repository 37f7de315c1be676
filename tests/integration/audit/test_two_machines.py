"""A report on a machine of the site, by its own state: real commands on both sides (§38.1)."""

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import airgap
from airgap.flow.ledger.record import EventRecord, record_event
from airgap.format.root import RoleKeys
from airgap.format.site_rules import Recipient, SiteRules, TimestampAuthority
from tests.integration.audit.test_report import run_command
from tests.support import stores
from tests.support.archive_site import clock_at
from tests.support.sides import Ran, Side
from tests.support.signers import make_root, person, team, write_key, write_root
from tests.support.stamp_authority import YEAR, StampAuthority

NAMES = ("bob", "sam", "dan", "ray", "rob")


class Machines:
    """Two machines of a site, an authority for time stamps, and what is carried between them."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.connected, self.isolated = Side(top / "connected"), Side(top / "isolated")
        for side in (self.connected, self.isolated):
            side.bentoml.mkdir(parents=True)
        for name in NAMES:
            write_key(top / "keys", name)
        now = int(time.time())
        self.authority = StampAuthority(start=now - YEAR, end=now + YEAR)
        (top / "ca.pem").write_bytes(self.authority.pem)
        rules = SiteRules(
            people={person("bob").key.id: "Bob Baker"},
            timestamp_authorities=(TimestampAuthority(self.authority.digest),),
        )
        root = make_root(scanner=team("sam"), approver=team("dan"), recorder=team("ray rob"))
        roles = {
            **root.roles,
            "scanner": RoleKeys(root.roles["scanner"].key_ids, 0),
            "approver": RoleKeys(root.roles["approver"].key_ids, 0),
        }
        self.root = replace(root, roles=roles, created_at=7, rules=rules)
        self.fingerprint = write_root(top / "root.msgpack", self.root, "ann")
        for side in (self.connected, self.isolated):
            self.run(side, "trust", "init", top / "root.msgpack", "--fingerprint", self.fingerprint)

    def key(self, name: str) -> Path:
        return self.top / "keys" / f"{name}.key"

    def run(self, side: Side, *words: str | Path, code: int = 0) -> Ran:
        ran = side.run(*words)
        assert ran.code == code, ran.err
        return ran

    def export(self, version: str, *options: str | Path) -> Path:
        stores.add_model(self.connected, f"ranker:{version}", {"w": version.encode() * 999})
        depot = self.top / f"depot-{version}"
        words = ("export", "--model", f"ranker:{version}", "-o", depot, "--channel", "nightly")
        self.run(self.connected, *words, "--audience", "ward", "--key", self.key("bob"), *options)
        return depot

    def stamp(self, depot: Path) -> None:
        words = ("timestamp", depot, "--certificate", self.top / "ca.pem")
        query, response = self.top / "q.tsq", self.top / "r.tsr"
        self.run(self.connected, *words, "--request", query)
        response.write_bytes(self.authority.answer(query.read_bytes(), time.time()))
        self.run(self.connected, *words, "--request", query, "--response", response)

    def take(self, depot: Path, *options: str | Path, code: int = 0) -> Path:
        """Import with a receipt; return it."""
        words = ("--receipt", self.top / "receipts", "--recorder-key", self.key("ray"))
        self.run(self.isolated, "import", depot, *words, *options, code=code)
        return max(
            (self.top / "receipts").glob("*.receipt.json"), key=lambda p: p.stat().st_mtime_ns
        )

    def accept(self, receipt: Path) -> None:
        self.run(self.connected, "receipt", "accept", receipt)


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Machines:
    """Of four bundles, one is stamped and scanned, one lies in a file, and one is refused."""
    both = Machines(tmp_path_factory.mktemp("machines"))
    first, second = both.export("v1", "--bom"), both.export("v2")
    both.stamp(first)
    report = both.top / "scan.txt"
    report.write_text("clean\n")
    attest = ("attest", first, "--role", "scanner", "--findings", report)
    both.run(both.connected, *attest, "--key", both.key("sam"))
    both.accept(both.take(first))
    both.take(second)
    archive = both.top / "shop.airgap"
    both.run(both.connected, "copy", both.export("v3", "--sequence", "1000"), archive)
    both.take(archive)
    both.take(both.export("v4", "--sequence", "3"), code=12)
    for side, name, options in (
        (both.connected, "rob", ("--exports",)),
        (both.isolated, "ray", ()),
    ):
        both.run(side, "ledger", "checkpoint", *options, "--key", both.key(name))
    return both


def test_each_machine_reports_on_its_own_ledgers(machines: Machines, tmp_path: Path) -> None:
    depots = [machines.top / f"depot-{version}" for version in ("v1", "v2")]
    words = ("-o", tmp_path / "r.html", "--evidence", tmp_path / "evidence", "--json")
    ran = machines.run(machines.connected, "audit", *depots, machines.top / "shop.airgap", *words)

    report = ran.json
    assert [ledger["side"] for ledger in report["ledgers"]] == ["exports"]
    kinds = report["verdict"]["kinds"]
    assert kinds["missing-receipt"] == 3  # v1 came back
    assert kinds["stamp-missing"] == 2
    assert "unmatched" not in kinds
    rows = {one["items"][0]["tag"]: one for one in report["moved"] if one["items"]}
    assert rows["ranker:v1"]["items"][0]["licences"] is not None
    assert rows["ranker:v1"]["partner"] == "confirmed"
    assert rows["ranker:v1"]["receipts"][0]["result"] == "passed"
    stamped = {one["bundle"]: one["stamped"] for one in report["times"]}
    assert stamped[rows["ranker:v1"]["bundle"]]
    assert not stamped[rows["ranker:v2"]["bundle"]]
    done = run_command("sh check.sh", tmp_path / "evidence")
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(item["command"].startswith("openssl ts") for item in report["evidence"])


def test_the_isolated_machine_shows_the_refusal(machines: Machines, tmp_path: Path) -> None:
    words = ("-o", tmp_path / "r.html", "--evidence", tmp_path / "evidence", "--json")
    report = machines.run(machines.isolated, "audit", *words).json

    assert report["verdict"]["outcomes"] == {"imported": 3, "refused": 1}
    assert report["verdict"]["kinds"] == {"refused": 1, "gap": 1, "unscanned": 2}
    assert "What is in 4 bundles of 4: no location was read that has them." in report["not_shown"]
    done = run_command("sh check.sh", tmp_path / "evidence")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def copy(machines: Machines, tmp_path: Path) -> Side:
    """A copy of the isolated machine, whose history a test may change."""
    return Side(Path(shutil.copytree(machines.isolated.top, tmp_path / "copy")))


def test_a_reset_and_entries_without_a_checkpoint_are_exceptions(
    machines: Machines, copy: Side, tmp_path: Path
) -> None:
    head = machines.run(copy, "log", "--json").json["head"]
    machines.run(copy, "trust", "reset-state", "--yes", head, "--reason", "from a backup")

    report = machines.run(copy, "audit", "-o", tmp_path / "r.html", "--json").json

    before = {"refused": 1, "gap": 1, "unscanned": 2}  # they are in the ledger put aside
    assert report["verdict"]["kinds"] == {**before, "reset": 1, "not-covered": 1}
    (reset,) = (one for one in report["exceptions"] if one["kind"] == "reset")
    assert head in reset["statement"]
    assert reset["note"] == "from a backup"


def read_signatures(report: dict[str, Any]) -> dict[tuple[str, bool], dict[str, Any]]:
    (row,) = report["rules"]["bundles"]
    return {(one["role"], one["kept"]): one for one in row["signatures"]}


def test_signatures_that_a_depot_lost_are_shown_as_the_import_counted_them(
    machines: Machines, tmp_path: Path
) -> None:
    depot = tmp_path / "depot"
    shutil.copytree(machines.top / "depot-v1", depot)
    (builder,) = depot.glob("bundles/*/builder.*.dsse")
    (scanner,) = depot.glob("bundles/*/scanner.*.dsse")
    words = ("audit", depot, "--bundle", builder.parent.name, "--json")
    out = ("-o", tmp_path / "r.html", "--evidence", tmp_path / "evidence")
    whole = read_signatures(machines.run(machines.isolated, *words, *out[:2]).json)
    assert whole.keys() == {("builder", False), ("scanner", False)}
    builder.unlink()
    scanner.write_bytes(scanner.read_bytes().replace(b'"sig":"', b'"sig":"AAAA', 1))

    report = machines.run(machines.isolated, *words, *out).json

    shown = read_signatures(report)
    assert shown.keys() == {("builder", True), ("scanner", False), ("scanner", True)}
    assert [shown[key]["counts"] for key in sorted(shown)] == [True, False, True]
    assert report["rules"]["bundles"][0]["results"]["2"]["result"] == "no"
    assert b"the location has lost it, the import kept it" in (tmp_path / "r.html").read_bytes()
    done = run_command("sh check.sh", tmp_path / "evidence")
    assert done.returncode == 0, done.stdout + done.stderr
    cited = {one["number"]: one for one in report["evidence"]}
    for role in ("builder", "scanner"):
        (number,) = shown[role, True]["evidence"]
        assert cited[number]["file"].startswith(f"counted/{builder.parent.name}/{role}.")
        assert "openssl pkeyutl -verify" in cited[number]["command"]

    other = machines.run(machines.isolated, *words, machines.top / "depot-v1", *out[:2]).json
    assert ("builder", True) not in read_signatures(other)  # another location has it


def test_a_checkpoint_by_a_key_that_the_root_no_longer_names_does_not_count(
    machines: Machines, copy: Side, tmp_path: Path
) -> None:
    ray, rob = (person(name).key.id for name in ("ray", "rob"))
    roles = {**machines.root.roles, "recorder": RoleKeys((rob,), 1)}
    keys = tuple(key for key in machines.root.keys if key.id != ray)
    root = replace(machines.root, version=2, keys=keys, roles=roles, created_at=8)
    write_root(tmp_path / "root-2.msgpack", root, "ann")
    machines.run(copy, "trust", "update", tmp_path / "root-2.msgpack")

    words = ("-o", tmp_path / "r.html", "--evidence", tmp_path / "evidence", "--json")
    report = machines.run(copy, "audit", *words).json

    (exception,) = (one for one in report["exceptions"] if one["kind"] == "not-covered")
    assert "does not name as a recorder" in exception["statement"]
    assert report["ledgers"][0]["checkpoint"] is None
    done = run_command("sh check.sh", tmp_path / "evidence")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_an_archive_keeps_is_dated(machines: Machines, tmp_path: Path) -> None:
    """An archive is a depot: its bundles are read, and its entries are in the ledger of exports."""
    side = Side(Path(shutil.copytree(machines.connected.top, tmp_path / "side")))
    depot = machines.top / "depot-v2"
    (folder,) = (depot / "bundles").iterdir()
    with side.here():
        record_event("ward", "exporting", EventRecord("held", bundle=bytes.fromhex(folder.name)))

    words = ("-o", tmp_path / "r.html", "--json", "--item", "ranker:v2")
    ran = machines.run(side, "audit", depot, *words)

    (row,) = ran.json["times"]
    assert [claim["what"] for claim in row["claimed"]] == ["created", "exported (L1)", "held (L1)"]
    assert ran.json["verdict"]["kinds"]["not-covered"] == 1  # the entry after the checkpoint


def test_a_ledger_that_is_damaged_contradicts_itself(
    machines: Machines, copy: Side, tmp_path: Path
) -> None:
    path = copy.state / "sites/ward/ledger"
    path.write_bytes(path.read_bytes()[:-60])

    ran = machines.run(copy, "audit", "-o", tmp_path / "r.html", "--json", code=12)

    assert ran.json["verdict"]["opinion"] == "contradiction"
    assert ran.json["exceptions"][0]["kind"] == "ledger-fault"
    assert (tmp_path / "r.html").exists()


def test_folders_that_both_sides_export_are_joined_on_a_laptop(
    machines: Machines, tmp_path: Path
) -> None:
    for side, name, options in (
        (machines.connected, "exports", ("--exports",)),
        (machines.isolated, "imports", ()),
    ):
        machines.run(side, "ledger", "export", *options, "-o", tmp_path / name)
    laptop = Side(tmp_path / "laptop")
    laptop.top.mkdir()
    ran = machines.run(
        laptop,
        *("audit", machines.top / "depot-v1", "-o", tmp_path / "r.html", "--json"),
        *("--ledger", tmp_path / "exports", "--ledger", tmp_path / "imports"),
        *("--receipts", machines.connected.state / "receipts/ward/accepted"),
        *("--root", machines.top / "root.msgpack", "--fingerprint", machines.fingerprint),
    )
    partners = [one["partner"] for one in ran.json["moved"]]
    assert partners == ["joined", "no receipt", "no receipt", "no receipt"]
    assert not laptop.state.exists()


def test_a_single_proof_shows_one_entry(machines: Machines, tmp_path: Path) -> None:
    machines.run(machines.isolated, "ledger", "prove", "2", "-o", tmp_path / "proof")
    laptop = Side(tmp_path / "laptop")
    laptop.top.mkdir()
    ran = machines.run(
        laptop,
        *("audit", "-o", tmp_path / "r.html", "--ledger", tmp_path / "proof", "--json"),
        *("--root", machines.top / "root.msgpack", "--fingerprint", machines.fingerprint),
        *("--evidence", tmp_path / "evidence"),
    )
    assert ran.json["verdict"]["kinds"]["not-shown"] == 1
    assert ran.json["verdict"]["entries"] == 1
    done = run_command("sh check.sh", tmp_path / "evidence")
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class SealedDepot:
    """A machine that has exported a sealed bundle, and the identity that opens it."""

    side: Side
    depot: Path
    identity: Path
    root: tuple[str | Path, ...]

    def audit(self, machines: Machines, source: Path, *words: str | Path) -> dict[str, Any]:
        """Make a report, and check its evidence."""
        evidence = source.with_name("evidence")
        shutil.rmtree(evidence, ignore_errors=True)
        page = source.with_name("r.html")
        out = ("-o", page, "--evidence", evidence, "--now", "2100-01-01", "--json")
        with clock_at("2100-01-01"):
            report: dict[str, Any] = machines.run(self.side, "audit", source, *out, *words).json
        done = run_command("sh check.sh", evidence)
        assert done.returncode == 0, done.stdout + done.stderr
        return report


@pytest.fixture
def sealed(machines: Machines, tmp_path: Path) -> SealedDepot:
    for name in ("opener", "stranger"):
        words = ("key", "generate", name, "--seal", "--algorithm", "x25519", "--dir", tmp_path)
        machines.run(machines.connected, *words)
    recipient = (tmp_path / "opener.recipient").read_text().split()[0]
    rules = replace(machines.root.rules, recipients=(Recipient(recipient, "ward", "site"),))
    root = replace(machines.root, rules=rules)
    side = Side(tmp_path / "side")
    side.bentoml.mkdir(parents=True)
    fingerprint = write_root(tmp_path / "root.msgpack", root, "ann")
    machines.run(side, "trust", "init", tmp_path / "root.msgpack", "--fingerprint", fingerprint)
    stores.add_model(side, "ranker:v1", {"w": b"secret" * 99})
    export = ("export", "--model", "ranker:v1", "-o", tmp_path / "depot", "--seal", "--bom")
    machines.run(side, *export, "--audience", "ward", "--key", machines.key("bob"))
    named = ("--root", tmp_path / "root.msgpack", "--fingerprint", fingerprint)
    return SealedDepot(side, tmp_path / "depot", tmp_path / "opener.identity", named)


def test_of_a_sealed_bundle_it_says_what_was_not_looked_into(
    machines: Machines, sealed: SealedDepot, tmp_path: Path
) -> None:
    report = sealed.audit(machines, sealed.depot)

    (row,) = report["moved"]
    assert (row["sealed"]["recipients"], row["sealed"]["opened"]) == (1, False)
    assert row["sealed"]["index"] != row["bundle"]  # joined by the entry `sealed`
    assert row["items"] is None
    assert any("1 sealed bundle" in sentence for sentence in report["not_shown"])
    results = report["rules"]["bundles"][0]["results"]
    assert results["8"]["result"] == "not checked"
    assert b"ranker" not in (tmp_path / "r.html").read_bytes()
    assert sealed.audit(machines, sealed.depot, "--identity", tmp_path / "stranger.identity") == (
        report
    )


def test_what_a_machine_sets_for_its_imports_opens_nothing(
    machines: Machines, sealed: SealedDepot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'identity = "{sealed.identity}"\n')
    monkeypatch.setenv("AIRGAP_CONFIG", str(config))
    monkeypatch.setenv("AIRGAP_IDENTITY", str(sealed.identity))
    monkeypatch.setenv("AIRGAP_AUDIT_IDENTITIES", str(sealed.identity))
    words = ("-o", tmp_path / "r.html", "--json")
    report = machines.run(sealed.side, "audit", sealed.depot, *words).json
    with sealed.side.here():
        again = airgap.audit(tmp_path / "again.html", [sealed.depot])
    assert report["moved"][0]["sealed"]["opened"] is False
    assert again["moved"] == report["moved"]
    assert machines.run(sealed.side, "list", sealed.depot, "--json").json["bundles"][0]["items"]


def test_an_auditor_with_an_identity_sees_what_is_inside(
    machines: Machines, sealed: SealedDepot, tmp_path: Path
) -> None:
    closed = sealed.audit(machines, sealed.depot)
    words = ("--identity", sealed.identity, "--include-sealed")
    report = sealed.audit(machines, sealed.depot, *words)

    (row,) = report["moved"]
    assert (row["bundle"], row["sealed"]["opened"]) == (closed["moved"][0]["bundle"], True)
    assert row["sealed"]["index"] == closed["moved"][0]["sealed"]["index"]
    assert [(item["tag"], item["licences"]) for item in row["items"]] == [("ranker:v1", [])]
    (rules,) = report["rules"]["bundles"]
    assert rules["results"]["8"]["result"] == "yes"
    files = {tmp_path / "evidence" / one["file"] for one in report["evidence"] if one["file"]}
    for bundle in (row["bundle"], row["sealed"]["index"]):  # both have their builder's signature
        assert tmp_path / f"evidence/bundles/{bundle}/manifest.msgpack" in files
        assert list((tmp_path / "evidence/bundles" / bundle).glob("builder.*.dsse"))
    assert len(rules["signatures"]) == 2
    assert not any("sealed bundle" in sentence for sentence in report["not_shown"])
    assert b"opened for this report" in (tmp_path / "r.html").read_bytes()
    (medium,) = report["media"]
    assert (medium["opened"], medium["packs"]) == (True, closed["media"][0]["packs"])


def read_evidence(folder: Path) -> bytes:
    """Return all evidence but the report, and its list of digests."""
    texts = ("report.html", "report.json", "SHA256SUMS", "check.sh")
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return b"".join(path.read_bytes() for path in files if path.name not in texts)


def test_the_evidence_names_what_is_inside_only_if_a_person_asks_for_that(
    machines: Machines, sealed: SealedDepot, tmp_path: Path
) -> None:
    opened = ("--identity", sealed.identity)
    words = ("--receipt", tmp_path / "receipts", "--recorder-key", machines.key("ray"))
    machines.run(sealed.side, "import", sealed.depot, *opened, *words)
    (receipt,) = (tmp_path / "receipts").iterdir()
    machines.run(sealed.side, "receipt", "accept", receipt)

    for more in ((), opened):
        report = sealed.audit(machines, sealed.depot, *more)
        assert b"ranker" not in read_evidence(tmp_path / "evidence")
        assert (b"ranker" in (tmp_path / "r.html").read_bytes()) == bool(more)
        (row,) = report["moved"]
        assert bool(row["items"]) == bool(more)
        assert row["receipts"][0]["evidence"] == []
        assert not (tmp_path / "evidence/receipts").exists()
        (bundle,) = report["rules"]["bundles"]
        inner = [one for one in bundle["signatures"] if not one["evidence"]]
        assert len(inner) == bool(more)
        assert any("`--include-sealed` adds it" in one for one in report["not_shown"])

    report = sealed.audit(machines, sealed.depot, *opened, "--include-sealed")
    assert read_evidence(tmp_path / "evidence").count(b"ranker") > 1
    (file,) = (tmp_path / "evidence/receipts").iterdir()
    assert file.read_bytes() == receipt.read_bytes()
    assert len(report["moved"][0]["receipts"][0]["evidence"]) == 1
    assert not any("--include-sealed" in one for one in report["not_shown"])


def test_a_sealed_file_is_joined_with_what_is_inside_without_a_ledger(
    machines: Machines, sealed: SealedDepot, tmp_path: Path
) -> None:
    machines.run(sealed.side, "copy", sealed.depot, tmp_path / "sealed.airgap")
    laptop = replace(sealed, side=Side(tmp_path / "laptop"))
    laptop.side.top.mkdir()
    words = (*sealed.root, "--identity", sealed.identity)
    report = laptop.audit(machines, tmp_path / "sealed.airgap", *words)
    (row,) = report["moved"]
    assert [item["tag"] for item in row["items"]] == ["ranker:v1"]
    assert row["sealed"]["index"] != row["bundle"]
