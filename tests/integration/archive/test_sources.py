"""Bundles come into an archive from media, other archives and servers, and sealed (§35.5)."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import airgap
from airgap.carrier.depot import Depot
from airgap.errors import CorruptError, MissingError, PolicyError, UsageError
from airgap.flow.archive import carriers
from airgap.flow.depot.open_depot import DamagedBundle, StoredBundle, read_bundles
from airgap.flow.retention import records
from tests.servers import kinds
from tests.servers.addresses import Address, address_of
from tests.servers.folder_on_server import FolderOnServer, Server
from tests.support import sealing, signers, stores, volumes
from tests.support.archive_site import POLICY, SAME, ArchiveSite, clock_at, make_archive_site
from tests.support.refusals import expect_refusal
from tests.support.sealing import SealedSite

_SERVERS = [
    *(name for name in kinds.QUICK if name not in kinds.LOCAL),
    *(pytest.param(name, marks=pytest.mark.servers) for name in ("rgw", "vsftpd-tls")),
]


@pytest.fixture
def vault(tmp_path: Path) -> ArchiveSite:
    return make_archive_site(tmp_path, approvers=0)


@pytest.fixture(scope="module", params=_SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A running server of each kind."""
    start = {**kinds.QUICK, **kinds.REAL}[request.param]
    with start(tmp_path_factory.mktemp(str(request.param))) as one:
        yield one


@pytest.fixture
def address(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Address:
    """What is typed to reach a folder of that server which no other test uses."""
    folder = FolderOnServer(server, "archive").folder
    found = address_of(server, folder, tmp_path / "server.toml")
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    return found


def test_an_archive_on_a_server_keeps_as_one_in_a_folder(
    vault: ArchiveSite, address: Address
) -> None:
    bundle = vault.add_whole(vault.export("v1"), str(address), name="logs")
    name = address.bundle(bundle)
    again = vault.add(str(address), name="logs")
    assert (again.code, again.json["bundles"][0]["new"]) == (0, False), again.err
    held = vault.run("hold", name, "--reason", "case 7", "--key", vault.key("ray"), "--json")
    assert held.code == 0, held.err
    expect_refusal(vault.side, "delete", name, "--yes", error=PolicyError)
    shown = vault.run("show", name, "--json")
    assert (shown.code, shown.json["kept"]) == (0, True), shown.err
    with clock_at("2027-09-01"):
        lift = ("--hold", held.json["hold"], "--reason", "closed", "--key", vault.key("ray"))
        assert vault.run("release", name, *lift).code == 0
        let_go = vault.run("release", name, "--reason", "old", "--key", vault.key("ray"))
        assert let_go.code == 0, let_go.err
        assert vault.side.run("delete", name, "--yes").code == 0
        gone = vault.side.run("gc", str(address), "--older-than", "0", "--json")
        assert (gone.code, len(gone.json["removed"])) == (0, 1), gone.err
        assert vault.run("show", name, "--json").json["tombstone"] is True


def test_records_and_evidence_of_another_archive_are_taken_along(
    vault: ArchiveSite, tmp_path: Path
) -> None:
    bundle = vault.add_whole(vault.export("v1"), vault.archive)
    name = f"{vault.archive}#{bundle}"
    vault.run("hold", name, "--reason", "case 7", "--key", vault.key("ray"))
    copy = replace(vault, top=tmp_path / "second")
    copy.top.mkdir()
    options = ("--class", "high-risk", "--policy", vault.policy, "--key", vault.key("ray"))
    ran = vault.run("add", vault.archive, copy.archive, *options, "--json")
    assert (ran.code, ran.json["bundles"][0]["new"]) == (0, False), ran.err
    for part in ("records", f"evidence/{bundle}"):
        names = [
            sorted(path.name for path in (archive / "archive" / part).iterdir())
            for archive in (vault.archive, copy.archive)
        ]
        assert names[0] == names[1]
    expect_refusal(vault.side, "delete", f"{copy.archive}#{bundle}", "--yes", error=PolicyError)


def test_the_policies_of_another_archive_are_taken_along(
    vault: ArchiveSite, tmp_path: Path
) -> None:
    """Its records name them: without them, no check of the second archive could pass."""
    vault.add_whole(vault.export("v1"), vault.archive)
    longer = replace(vault, top=tmp_path / "second")
    longer.top.mkdir()
    longer.policy.write_text(POLICY.replace("10y", "12y"))
    words = ("--class", "high-risk", "--policy", longer.policy, "--key", vault.key("ray"))
    added = vault.run("add", vault.archive, longer.archive, *words)
    assert added.code == 0, added.err
    assert len(list((longer.archive / "archive/policy").iterdir())) == 2
    checked = vault.run("check", longer.archive)
    assert checked.code == 0, checked.out


def test_each_record_that_is_taken_along_is_read_once(
    vault: ArchiveSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("v1", "v2", "v3"):
        vault.add_whole(vault.export(version, {"own.bin": version.encode()}), vault.archive)
    reads: list[str] = []
    read_file = records._read_file

    def count(file: str, raw: bytes) -> records.StoredRecord:
        reads.append(file)
        return read_file(file, raw)

    monkeypatch.setattr(records, "_read_file", count)
    ran = vault.add(vault.archive, tmp_path / "second")
    assert (ran.code, len(ran.json["bundles"])) == (0, 3), ran.err
    assert sorted(reads) == sorted(path.name for path in vault.list_records())


def test_volumes_and_single_files_are_added(vault: ArchiveSite, tmp_path: Path) -> None:
    depot = vault.export("v1")
    single = tmp_path / "one.airgap"
    assert vault.side.run("copy", depot, single).code == 0
    bundle = vault.add_whole(single, vault.archive)
    volumes.fill(vault.side)
    words = ("export", "shop:v1", "-o", tmp_path / "out", "--volume-size", volumes.SEVEN)
    ran = vault.side.run(*words, "--key", vault.key("bob"))
    assert ran.code == 0, ran.err
    folders = sorted((tmp_path / "out").iterdir())
    assert len(folders) > 1
    added = vault.add_whole(*folders, vault.archive)
    assert added != bundle
    assert vault.side.run("verify", f"{vault.archive}#{added}").code == 0
    expect_refusal(
        vault.side,
        "archive",
        "add",
        "-",
        vault.archive,
        "--class",
        "logs",
        "--policy",
        vault.policy,
        "--key",
        vault.key("ray"),
        error=UsageError,
    )


def test_volumes_do_not_go_to_a_server_and_nothing_is_read(
    vault: ArchiveSite, tmp_path: Path
) -> None:
    folders = (tmp_path / "volume-1", tmp_path / "volume-2")  # neither is there
    words = ("archive", "add", *folders, "sftp://vault.example/archive", "--class", "logs")
    keys = ("--policy", vault.policy, "--key", vault.key("ray"))
    ran = expect_refusal(vault.side, *words, *keys, error=UsageError)
    assert "2 volumes" in ran.json["error"]["message"]
    assert "airgap join" in ran.json["error"]["hint"]


def test_files_that_a_person_gives_are_kept(vault: ArchiveSite, tmp_path: Path) -> None:
    folder = tmp_path / "proof"
    folder.mkdir()
    (folder / "entry.json").write_text("{}")
    (folder / "entry.tlog-proof").write_text("proof")
    bundle = vault.add_whole(vault.export("v1"), vault.archive, "--evidence", folder)
    (file,) = (f for f in vault.show(bundle)["evidence"] if f["name"] == "entry.tlog-proof")
    assert file["sha256"] == hashlib.sha256(b"proof").hexdigest()
    (folder / "a name").write_text("{}")
    words = ("--class", "logs", "--policy", vault.policy, "--key", vault.key("ray"))
    given = ("archive", "add", vault.archive, *words, "--evidence")
    expect_refusal(vault.side, *given, folder / "a name", error=UsageError)
    expect_refusal(vault.side, *given, folder / "nothing", error=MissingError)


def test_a_policy_that_the_root_does_not_name_is_refused(tmp_path: Path) -> None:
    vault = make_archive_site(tmp_path, approvers=0)
    depot = vault.export("v1")
    digest = hashlib.sha256(POLICY.encode()).digest()
    rules = replace(vault.root.rules, policies={"archive": digest})
    side = replace(vault.side, top=tmp_path / "other")
    side.bentoml.mkdir(parents=True)
    signers.pin(side, replace(vault.root, rules=rules))
    other = replace(vault, side=side)
    loose = tmp_path / "loose.toml"
    loose.write_text(POLICY.replace("10y", "1y"))
    words = ("archive", "add", depot, vault.archive, "--class", "high-risk")
    options = ("--key", vault.key("ray"), "--policy")
    ran = expect_refusal(side, *words, *options, loose, error=PolicyError)
    assert digest.hex() in ran.json["error"]["message"]
    assert other.side.run(*words, *options, vault.policy).code == 0


def test_the_python_api_deletes_nothing_that_is_kept(vault: ArchiveSite) -> None:
    vault.add_whole(vault.export("v1"), vault.archive)
    before = stores.snapshot(vault.archive)
    with vault.side.here(), pytest.raises(PolicyError):
        airgap.models.delete("ranker:v1", depot=str(vault.archive))
    assert stores.snapshot(vault.archive) == before


def test_push_by_force_does_not_replace_what_is_kept(vault: ArchiveSite) -> None:
    vault.add_whole(vault.export("v1"), vault.archive)
    stores.add_model(vault.side, "ranker:v1", {"other.bin": b"other"})
    words = ("push", "--model", "ranker:v1", vault.archive, "--force", "--key", vault.key("bob"))
    expect_refusal(vault.side, *words, error=PolicyError)


@pytest.fixture
def sealed(tmp_path: Path) -> SealedSite:
    (tmp_path / "archive.toml").write_text(POLICY)
    return sealing.make_sealed_site(tmp_path, post_quantum=False)


def _add_sealed(site: SealedSite, *options: str | Path) -> tuple[str | Path, ...]:
    ran = site.export("-o", site.top / "depot")
    assert ran.code == 0, ran.err
    words = ("archive", "add", site.top / "depot", site.top / "archive", "--class", "logs")
    keys = ("--policy", site.top / "archive.toml", "--key", site.top / "keys/ray.key")
    return (*words, *keys, *options)


def test_a_sealed_bundle_says_how_its_escrow_is_known(sealed: SealedSite) -> None:
    words = _add_sealed(sealed)
    ran = sealed.isolated.run(*words, "--json")
    assert (ran.code, ran.json["bundles"][0]["escrow"]) == (0, "named"), ran.err
    own = sealed.isolated.run(*words, "--identity", sealed.identity, "--json")
    assert own.json["bundles"][0]["escrow"] == "named"  # the site's identity proves no escrow
    proven = sealed.isolated.run(*words, "--identity", sealed.escrow, "--json")
    assert (proven.json["bundles"][0]["escrow"], proven.json["bundles"][0]["new"]) == (
        "opened",
        True,
    )
    again = sealed.isolated.run(*words, "--json")
    assert again.json["bundles"][0]["new"] is False
    assert not list((sealed.top / "archive").rglob("*bom*"))  # it would tell what is inside


def test_a_sealed_bundle_without_an_escrow_is_refused(tmp_path: Path) -> None:
    (tmp_path / "archive.toml").write_text(POLICY)
    site = sealing.make_sealed_site(tmp_path, escrow=False, post_quantum=False)
    ran = expect_refusal(site.isolated, *_add_sealed(site), error=PolicyError)
    assert "names no escrow" in ran.json["error"]["message"]


def test_receipts_and_imports_are_evidence(vault: ArchiveSite, tmp_path: Path) -> None:
    depot, receipts = vault.export("v1"), tmp_path / "receipts"
    recorder = ("--recorder-key", vault.key("ray"))
    imported = vault.side.run("import", depot, "--receipt", receipts, *recorder, "--json")
    assert imported.code == 0, imported.err
    (receipt,) = receipts.glob("*.receipt.json")
    accepted = vault.side.run("receipt", "accept", receipt)
    assert accepted.code == 0, accepted.err
    bundle = vault.add_whole(depot, vault.archive)
    names = {file["name"] for file in vault.show(bundle)["evidence"]}
    assert receipt.name in names
    assert {"ledger.importing.2.msgpack", "ledger.importing.2.tlog-proof"} <= names
    assert vault.add(depot, vault.archive).json["bundles"][0]["new"] is False


def test_what_is_missing_or_damaged_in_the_evidence_shows(vault: ArchiveSite) -> None:
    bundle = vault.add_whole(vault.export("v1"), vault.archive)
    assert vault.run("show", f"{vault.archive}#{bundle}").code == 0
    manifest, root, *_ = sorted((vault.archive / "archive/evidence" / bundle).glob("*.msgpack"))
    manifest.write_bytes(b"other")
    root.unlink()
    ran = vault.run("show", f"{vault.archive}#{bundle}")
    assert ran.code == CorruptError.exit_code
    assert "damaged: " in ran.out
    assert "missing: " in ran.out
    expect_refusal(vault.side, "archive", "show", f"{vault.archive}#ffffffff", error=MissingError)
    expect_refusal(vault.side, "archive", "show", vault.archive, error=UsageError)
    expect_refusal(vault.side, "archive", "list", vault.top / "nothing", error=MissingError)


def test_the_manifests_of_an_archive_are_searched_once_for_all_that_is_added(
    vault: ArchiveSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many bundles build on others, also on those that are added before them."""
    searched: list[str] = []

    def search(depot: Depot) -> Iterator[StoredBundle | DamagedBundle]:
        searched.append(depot.location)
        return read_bundles(depot)

    monkeypatch.setattr(carriers, "read_bundles", search)
    kept = vault.export("v0", {"same.bin": SAME})
    base = vault.add_whole(kept, vault.archive)
    source = vault.top / "source"
    for number, content in enumerate((b"one", b"two"), 1):
        files = {"same.bin": SAME, "new.bin": content * 9_000}
        depot = vault.export(f"v{number}", files, "--base", kept)
        assert vault.side.run("copy", depot, source).code == 0
    third = vault.export(
        "v3", {"new.bin": b"two" * 9_000}, "--base", vault.top / "depot-v2", "--base", kept
    )
    assert vault.side.run("copy", third, source).code == 0

    ran = vault.add(source, vault.archive)

    assert ran.code == 0, ran.err
    assert searched == [str(vault.archive)]
    added = [one["bundle"] for one in ran.json["bundles"]]
    bases = sorted(tuple(vault.read_record(path)["bases"]) for path in vault.list_records())
    assert bases == sorted([(), (base,), (base,), (added[1],)])
