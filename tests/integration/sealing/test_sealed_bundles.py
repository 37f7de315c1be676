"""A sealed bundle, from its export to its import, and everything between without a key."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import airgap
from airgap.errors import ConfigurationError, CorruptError, PolicyError, UsageError
from airgap.flow.admission import history
from airgap.flow.location.location import LocalDepot
from airgap.format.site_rules import SiteRules
from airgap.sealing import identity_files
from airgap.server.intake.check import check_bundle
from airgap.server.intake.decisions import Ready
from tests.support import refusals, sealing, second_verifier, signers, stores
from tests.support.sealing import SealedSite
from tests.support.sides import Side


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> SealedSite:
    """Made once; tests that import do it on a copy of the isolated side."""
    return sealing.make_sealed_site(tmp_path_factory.mktemp("sealed") / "site")


@pytest.fixture(scope="module")
def depot(site: SealedSite) -> Path:
    """A depot with one sealed bundle."""
    depot = site.top / "depot"
    ran = site.export("-o", depot)
    assert ran.code == 0, ran.err
    return depot


@pytest.fixture
def isolated(site: SealedSite, tmp_path: Path) -> Side:
    side = Side(tmp_path / "isolated")
    shutil.copytree(site.isolated.top, side.top)
    return side


def expect_installed(site: SealedSite, side: Side, *sources: str | Path) -> None:
    ran = side.run("import", *sources, "--identity", site.identity, "--json")
    assert ran.code == 0, ran.err
    path = "models/secret-ranker/v1/weights.bin"
    assert (side.bentoml / path).read_bytes() == (site.connected.bentoml / path).read_bytes()


def test_what_is_sealed_is_imported_as_it_was(
    site: SealedSite, depot: Path, isolated: Side
) -> None:
    expect_installed(site, isolated, depot)
    again = isolated.run("import", depot, "--identity", site.escrow, "--json")
    assert [item["outcome"] for item in again.json["items"]] == ["already there"] * 2
    ledger = isolated.run("log", "--json")
    assert depot.name not in ledger.out
    (bundle,) = (depot / "bundles").iterdir()
    assert bundle.name not in ledger.out  # it has the bundle inside


def test_a_sealed_bundle_may_be_one_file_and_come_through_a_pipe(
    site: SealedSite, isolated: Side, tmp_path: Path
) -> None:
    file = tmp_path / "shop.airgap"
    assert site.export("-o", file).code == 0
    ran = isolated.process(
        "import", "-", "--json", "--identity", site.identity, stdin=file.read_bytes()
    )
    assert ran.returncode == 0, ran.stderr
    assert isolated.run("import", file, "--identity", site.identity).code == 0


def test_volumes_with_a_lost_one_are_imported_by_parity(
    site: SealedSite, depot: Path, isolated: Side, tmp_path: Path
) -> None:
    discs = tmp_path / "discs"
    split = isolated.run("split", depot, "-o", discs, "--volume-size", "7MB", "--parity", "100%")
    assert split.code == 0, split.err
    volumes = sorted(discs.iterdir())
    assert len(volumes) == 2
    shutil.rmtree(volumes.pop(0))
    expect_installed(site, isolated, *volumes)


def test_volumes_are_joined_without_a_key(site: SealedSite, isolated: Side, tmp_path: Path) -> None:
    discs, joined = tmp_path / "discs", tmp_path / "joined"
    assert site.export("-o", discs, "--volume-size", "7MB").code == 0
    for volume in sorted(discs.iterdir()):
        isolated.run("join", volume, "-o", joined)
    expect_installed(site, isolated, joined)


def test_copy_repair_and_gc_need_no_key(site: SealedSite, isolated: Side, tmp_path: Path) -> None:
    source, copied = tmp_path / "source", tmp_path / "copied"
    assert site.export("-o", source, "--parity", "100%").code == 0
    pack = next((source / "packs").rglob("*.pack"))
    whole = pack.read_bytes()
    pack.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert isolated.run("repair", source).code == 0
    assert pack.read_bytes() == whole
    stranger = Side(tmp_path / "stranger")
    stranger.top.mkdir()
    assert stranger.run("copy", source, copied).code == 0
    (copied / "packs" / "00").mkdir(exist_ok=True)
    orphan = copied / "packs" / "00" / f"{'0' * 64}.pack"
    orphan.write_bytes(b"orphan")
    assert stranger.run("gc", copied, "--older-than", "0").code == 0
    assert not orphan.exists()
    expect_installed(site, isolated, copied)


def test_verify_without_an_identity_reads_signatures_and_packs(
    site: SealedSite, depot: Path, isolated: Side, tmp_path: Path
) -> None:
    ran = isolated.run("verify", depot)
    assert ran.code == 0, ran.err
    assert "SEALED to 2 recipients" in ran.out
    assert "Not checked, and site ward may refuse it for that: builders inside, chan" in ran.out
    assert "Meets every requirement" not in ran.out
    inside = isolated.run("verify", depot, "--identity", site.identity)
    assert "OK: bento secret-shop:v1" in inside.out
    assert "Meets every requirement of site ward." in inside.out
    damaged = tmp_path / "damaged"
    shutil.copytree(depot, damaged)
    pack = next((damaged / "packs").rglob("*.pack"))
    pack.write_bytes(pack.read_bytes()[:-1] + b"x")
    refusals.expect_refusal(isolated, "verify", damaged, error=CorruptError)


def test_what_was_not_checked_is_named_to_programs_too(depot: Path, tmp_path: Path) -> None:
    side = Side(tmp_path / "side")
    side.top.mkdir()
    team = signers.team
    signers.pin(side, signers.make_root(approver=team("dan"), scanner=team("sue")))
    verified = side.run("verify", depot, "--json").json
    unchecked = ["builders inside", "channel", "number", "expiry", "labels"]
    assert verified["not_checked"] == [*unchecked, "scanners (malware)", "approvers (review)"]
    inbox, state = tmp_path / "inbox", tmp_path / "state"
    shutil.copytree(depot, inbox)
    assert side.run("watch", inbox, "--hold", "--once", "--state", state).code == 0
    lines = [json.loads(line) for line in (state / "log.jsonl").read_text().splitlines()]
    (held,) = [line for line in lines if line["event"] == "held"]
    assert held["not_checked"] == verified["not_checked"]


def test_list_and_inspect_say_that_a_bundle_is_sealed(depot: Path, isolated: Side) -> None:
    listed = isolated.run("list", depot, "--json").json["bundles"]
    assert [(one["standing"], one["sealed"]["recipients"]) for one in listed] == [("sealed", 2)]
    assert "sealed to 2 recipients" in isolated.run("list", depot).out
    assert "sealed to 2 recipients" in isolated.run("inspect", depot).out


def test_an_importer_without_an_identity_is_told_what_to_give(depot: Path, isolated: Side) -> None:
    told = refusals.expect_refusal(isolated, "import", depot, error=ConfigurationError)
    assert "is sealed, and no identity was given" in told.json["error"]["message"]
    assert "--identity FILE, or AIRGAP_IDENTITY" in told.json["error"]["hint"]


def test_the_variable_and_a_descriptor_give_the_identity(
    site: SealedSite, depot: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    descriptor = os.open(site.identity, os.O_RDONLY)
    try:
        ran = isolated.run("verify", depot, "--identity", f"fd:{descriptor}", "--json")
    finally:
        os.close(descriptor)
    assert [item["tag"] for item in ran.json["items"]] == ["secret-ranker:v1", "secret-shop:v1"]
    monkeypatch.setenv("AIRGAP_IDENTITY", str(site.identity))
    assert isolated.run("import", depot).code == 0


def test_the_drop_box_and_watch_verify_it_without_a_key(
    depot: Path, isolated: Side, site: SealedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    del depot
    inbox = isolated.top / "inbox"
    inbox.mkdir()
    assert site.export("-o", inbox / "shop.airgap").code == 0
    monkeypatch.setenv("AIRGAP_IDENTITY", str(site.identity))
    ran = isolated.run("watch", inbox, "--once")
    assert ran.code == 0, ran.err
    assert (isolated.bentoml / "models/secret-ranker/v1/weights.bin").exists()


def test_the_age_of_a_sealed_bundle_is_that_of_the_one_inside(
    site: SealedSite, isolated: Side, tmp_path: Path
) -> None:
    depot = tmp_path / "depot"
    words = ("-o", depot, "--channel", "shop", "--sequence")
    made = {site.export(*words, number).json["bundle"]: number for number in ("3", "4")}
    identities = identity_files.read_identities([str(site.identity)])
    for known, order in (((), [0, 0]), (identities, [3, 4])):
        with isolated.here():
            checked = [check_bundle(LocalDepot(depot, bundle), None, known) for bundle in made]
        ages = [expected.age for _, expected in checked if expected]
        assert [type(state) for state, _ in checked] == [Ready, Ready]
        assert [age.sequence for age in ages] == order
        assert {age.channel for age in ages} == {"shop" if known else "sealed"}
        bundles = {expected.bundle for _, expected in checked if expected}
        assert bundles.isdisjoint(made) is bool(known)


@pytest.mark.parametrize("way", ["config file", "descriptor"])
def test_watch_takes_sealed_bundles_in_order_by_any_way_that_an_identity_is_given(
    way: str, site: SealedSite, isolated: Side, tmp_path: Path
) -> None:
    """Number 4 would arrive first; after it, number 3 would be refused."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    words = ("--channel", "shop", "--sequence")
    for name, number in (("a.airgap", "4"), ("b.airgap", "3")):
        assert site.export("-o", inbox / name, *words, number).code == 0
    if way == "config file":
        isolated.state.joinpath("config.toml").write_text(f'identity = ["{site.identity}"]\n')
        ran = isolated.run("watch", inbox, "--once")
    else:
        descriptor = os.open(site.identity, os.O_RDONLY)
        try:
            ran = isolated.run("watch", inbox, "--once", "--identity", f"fd:{descriptor}")
        finally:
            os.close(descriptor)
    assert ran.code == 0, ran.err
    entries = isolated.run("log", "--json").json["entries"]
    imported = [entry["sequence"] for entry in entries if entry["event"] == "imported"]
    assert imported == [4, 3]  # the newest first


def test_seal_and_unseal_give_the_bundle_back(
    site: SealedSite, isolated: Side, tmp_path: Path
) -> None:
    plain, sealed, opened = (tmp_path / name for name in ("plain", "sealed", "opened.airgap"))
    words = ("export", "secret-shop:v1", "-o", plain, "--key", site.key, "--json")
    bundle = site.connected.run(*words).json["bundle"]
    assert site.connected.run("seal", plain, sealed, "--key", site.key).code == 0
    ran = isolated.run("unseal", sealed, "-o", opened, "--identity", site.escrow, "--json")
    assert ran.code == 0, ran.err
    assert [one["bundle"] for one in ran.json["bundles"]] == [bundle]
    assert isolated.run("import", opened).code == 0
    again = site.connected.run("seal", sealed, tmp_path / "twice", "--key", site.key)
    assert (again.code, "is sealed already" in again.err) == (UsageError.exit_code, True)
    remote = isolated.run("unseal", sealed, "-o", "sftp://host/x", "--identity", site.escrow)
    assert (remote.code, "would lie open" in remote.err) == (UsageError.exit_code, True)
    plain_again = isolated.run("unseal", plain, "-o", tmp_path / "x", "--identity", site.escrow)
    assert (plain_again.code, "is not sealed" in plain_again.err) == (UsageError.exit_code, True)


def test_bundles_of_one_depot_share_sealed_packs(site: SealedSite, tmp_path: Path) -> None:
    depot = tmp_path / "depot"
    first, second = (site.export("-o", depot).json for _ in range(2))
    assert (second["packs_written"], second["packs_there"]) == (0, first["packs_written"])
    assert first["bundle"] != second["bundle"]
    assert first["sealed"]["inner"] == second["sealed"]["inner"]
    other = site.export("-o", depot, "--audience", "ward").json
    assert other["packs_there"] == 0
    secrets = list((site.connected.state / "sealed").iterdir())
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}
    for path in secrets:
        path.write_bytes(b"damaged")
    assert site.export("-o", depot).json["packs_there"] == 0


def test_a_removed_recipient_begins_another_epoch(site: SealedSite, tmp_path: Path) -> None:
    depot, options = tmp_path / "depot", ("--insecure-recipients", "--seal-to")
    both = (*options, site.identity.with_suffix(".recipient"), "--seal-to")
    escrow = site.escrow.with_suffix(".recipient")
    assert site.export("-o", depot, *both, escrow).code == 0
    assert site.export("-o", depot, *options, escrow).json["packs_there"] == 0
    assert site.export("-o", depot, *both, escrow).json["packs_written"] == 0


def test_the_sizes_of_packs_are_whole_steps_of_plain_text(depot: Path) -> None:
    for pack in (depot / "packs").rglob("*.pack"):
        data = pack.read_bytes()
        header = data.index(b"\n", data.index(b"\n--- ") + 1) + 1
        mib = (len(data) - header - 16) // (1024 * 1024)
        assert len(data) == header + 16 + mib * (1024 * 1024 + 16 * 16)


def test_recipients_that_are_not_in_the_root_need_a_word(site: SealedSite, tmp_path: Path) -> None:
    told = site.export("-o", tmp_path / "depot", "--seal-to", "age1nobody")
    assert told.code == UsageError.exit_code
    assert "--insecure-recipients" in told.json["error"]["hint"]
    stranger = Side(tmp_path / "stranger")
    stranger.top.mkdir()
    words = ("seal", tmp_path / "x", tmp_path / "y", "--key", site.key)
    assert "trusts nobody" in stranger.run(*words).err
    signers.pin(stranger, signers.make_root())
    assert "names no recipients" in stranger.run(*words).err


def test_an_archive_for_stock_bentoml_is_not_sealed(site: SealedSite, tmp_path: Path) -> None:
    assert site.export("-o", tmp_path / "shop.tar").code == UsageError.exit_code


def test_python_seals_and_unseals(
    site: SealedSite, isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, again = tmp_path / "shop.airgap", tmp_path / "again"
    with site.connected.here():
        done = airgap.export_bundle(
            str(file), bentos=["secret-shop:v1"], key=str(site.key), seal=True
        )
        assert done["sealed"] is not None
    monkeypatch.setenv("AIRGAP_IDENTITY", str(site.identity))
    with isolated.here():
        assert airgap.verify(file, identities=[site.escrow])["items"]
        (copied,) = airgap.unseal(file, tmp_path / "opened.airgap")
        assert copied["bundle"] == done["sealed"]["inner"]
        (sealed,) = airgap.seal(tmp_path / "opened.airgap", again, key=str(site.key))
        assert airgap.import_bundle(again)["bundle"] == copied["bundle"]
        with pytest.raises(ConfigurationError):
            airgap.import_bundle(again, identities=[site.key])
    made = airgap.keys.generate_identity("new", tmp_path, algorithm="x25519")
    assert made.recipient.startswith("age1")
    assert sealed["packs_copied"] == 2


def test_keys_that_seal_are_made_by_a_command(tmp_path: Path, isolated: Side) -> None:
    ran = isolated.run("key", "generate", "new", "--dir", tmp_path, "--seal", "--json")
    assert (ran.code, ran.json["algorithm"]) == (0, "mlkem768x25519")
    assert (
        "keep this file secret"
        in isolated.run(
            "key", "generate", "old", "--dir", tmp_path, "--seal", "--algorithm", "x25519"
        ).out
    )
    for words in (("--fips",), ("--algorithm", "ed25519"), ()):
        name = "a/b" if not words else "x"
        ran = isolated.run("key", "generate", name, "--dir", tmp_path, "--seal", *words)
        assert ran.code == UsageError.exit_code


def test_a_revoked_index_is_refused(site: SealedSite, depot: Path, tmp_path: Path) -> None:
    del site
    side = Side(tmp_path / "other")
    side.top.mkdir()
    signers.pin(side, signers.make_root(site="other"))
    told = side.run("verify", depot, "--json")
    assert told.code == 0  # the same builder, and no audience
    (bundle,) = (depot / "bundles").iterdir()
    third = Side(tmp_path / "third")
    third.top.mkdir()
    revoked = signers.make_root(revoked_bundles=(bytes.fromhex(bundle.name),))
    signers.pin(third, revoked)
    assert "revoked" in third.run("verify", depot).err


def test_an_index_for_another_site_is_refused_before_it_is_opened(
    site: SealedSite, tmp_path: Path, isolated: Side
) -> None:
    depot = tmp_path / "depot"
    assert site.export("-o", depot, "--audience", "north").code == 0
    told = isolated.run("import", depot, "--identity", site.identity, "--json")
    assert told.json["error"]["kind"] == PolicyError.kind
    assert stores.snapshot(isolated.bentoml) == {}


def test_the_second_verifier_checks_the_index_and_the_packs(
    site: SealedSite, depot: Path, tmp_path: Path
) -> None:
    root = site.top / f"pinned-{site.isolated.top.name}" / "root.msgpack"
    fingerprint = f"SHA256:{hashlib.sha256(root.read_bytes()).hexdigest()}"
    verdict, printed = second_verifier.verify(depot, root, fingerprint)
    assert verdict == "accepted", printed
    damaged = tmp_path / "damaged"
    shutil.copytree(depot, damaged)
    pack = next((damaged / "packs").rglob("*.pack"))
    pack.write_bytes(pack.read_bytes()[:-1] + b"x")
    assert second_verifier.verify(damaged, root, fingerprint)[0] == CorruptError.kind


def test_what_is_sealed_is_not_approved_unseen(site: SealedSite, depot: Path) -> None:
    told = site.connected.run("approve", depot, "--key", site.key)
    assert (told.code, "about what is inside" in told.err) == (UsageError.exit_code, True)


def test_a_rejection_leaves_no_report_and_no_note_beside_a_sealed_bundle(
    site: SealedSite, depot: Path, tmp_path: Path
) -> None:
    rejected, report = tmp_path / "rejected", tmp_path / "report.txt"
    shutil.copytree(depot, rejected)
    report.write_text("secret-ranker:v1 has a pickle\n")
    (bundle,) = (rejected / "bundles").iterdir()
    words = ("attest", rejected, "--bundle", bundle.name, "--role", "scanner", "--key", site.key)
    options = ("--reject", "--findings", report, "--note", "secret-ranker is bad")
    ran = site.connected.run(*words, *options)
    assert ran.code == 0, ran.err
    assert f"{report} is not attached" in ran.err
    assert "the note is not signed: the ledger of this machine has it" in ran.err
    files = {path.relative_to(rejected) for path in rejected.rglob("*") if path.is_file()}
    new = files - {path.relative_to(depot) for path in depot.rglob("*") if path.is_file()}
    assert sorted(file.suffix for file in new) == [".attestation", ".dsse"]
    assert not [file for file in new if b"secret-ranker" in (rejected / file).read_bytes()]
    ledger = site.connected.state / "ledgers" / "ward" / "exporting" / "ledger"
    assert b"secret-ranker is bad" in ledger.read_bytes()


def test_a_seal_is_recorded_before_it_is_published(
    site: SealedSite, isolated: Side, tmp_path: Path
) -> None:
    file, opened, sealed = (tmp_path / name for name in ("a.airgap", "b.airgap", "sealed"))
    exported = site.export("-o", file, "--channel", "shop", "--sequence", "5").json
    words = ("unseal", file, "-o", opened, "--identity", site.identity)
    assert isolated.run(*words).code == 0
    side = Side(tmp_path / "side")
    shutil.copytree(site.connected.top, side.top)
    seal = ("seal", opened, sealed, "--key", site.key, "--json")
    assert side.run(*seal).code == 0
    (raw,) = (path.read_bytes() for path in sealed.rglob("manifest.msgpack"))
    with side.here():
        *_, first, last = history.read_entries("ward", "exporting")
    assert (first.event, last.event) == ("sealed", "sealed")
    assert first.documents["index"].hex() == exported["bundle"]
    assert last.bundle is not None
    assert last.bundle.hex() == exported["sealed"]["inner"]
    assert (last.channel, last.sequence) == ("shop", 5)
    assert last.documents["index"] == hashlib.sha256(raw).digest()
    assert set(last.documents) == {"index", f"envelope:{last.who.key}"}
    assert last.signed_by["builder"] == (last.who.key,)
    (side.state / "ledgers/ward/exporting/state").unlink()
    shutil.rmtree(sealed)
    ran = side.run(*seal)
    assert ran.json["error"]["kind"] == PolicyError.kind
    assert not list(sealed.rglob("manifest.msgpack"))


def test_a_root_forbids_recipients_of_ones_own(site: SealedSite, tmp_path: Path) -> None:
    side = Side(tmp_path / "side")
    side.top.mkdir()
    rules = SiteRules(forbidden_options=("recipients",))
    signers.pin(side, replace(signers.make_root(), created_at=0, rules=rules))
    public = site.identity.with_suffix(".recipient")
    words = ("seal", tmp_path / "x", tmp_path / "y", "--key", site.key, "--seal-to", public)
    told = side.run(*words, "--insecure-recipients", "--json")
    assert told.json["error"]["kind"] == PolicyError.kind


def test_a_sealed_bundle_is_scanned_with_an_identity_alone(
    site: SealedSite, depot: Path, tmp_path: Path
) -> None:
    without = site.isolated.run("scan", depot, "--json")
    ran = site.isolated.run("scan", depot, "--identity", site.identity, "--json")
    with site.isolated.here():
        report = airgap.scan_bundle(depot, identities=[site.identity], tmpdir=tmp_path)

    assert without.code not in {0, 12}
    assert {item["item"] for item in ran.json["items"]} == {
        "bento secret-shop:v1",
        "model secret-ranker:v1",
    }
    assert {**report, "signed_by": None} == ran.json
    assert not list(tmp_path.iterdir())
