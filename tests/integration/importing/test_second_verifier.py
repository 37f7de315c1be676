"""docs/verify.py as an auditor meets it: in a depot, with approvals, with what it lacks."""

import ast
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from airgap.carrier.texts import texts
from tests.support import second_verifier, sides, signers, stores
from tests.support.sides import Side, Site
from tests.support.signers import make_root, person, team

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")


def test_the_packaged_verifier_is_the_documented_one() -> None:
    assert texts()["verify.py"] == second_verifier.PROGRAM.read_bytes()


def test_it_is_short_and_runs_on_python_3_9() -> None:
    text = second_verifier.PROGRAM.read_text()

    ast.parse(text, feature_version=(3, 9))
    assert max(map(len, text.splitlines())) <= 100
    # 500 before version 2: roots (format §7.6), labels (§4.4), named attestations (§14). Then: the
    # indexes of sealed bundles (§34.3).
    assert len(text.splitlines()) <= 605
    imported = {one.split()[1] for one in text.splitlines() if one.startswith(("import ", "from "))}
    assert imported <= sys.stdlib_module_names


def test_a_depot_and_a_file_bring_it_along(depot: Path, archive: Path) -> None:
    assert (depot / "verify.py").read_bytes() == second_verifier.PROGRAM.read_bytes()
    with tarfile.open(archive) as opened:
        member = opened.extractfile("verify.py")
        assert member is not None
        assert member.read() == second_verifier.PROGRAM.read_bytes()


def test_the_readme_says_that_it_must_be_trusted_from_elsewhere(depot: Path) -> None:
    text = (depot / "README.txt").read_text()

    assert "python3 verify.py" in text
    assert "from a source that you trust" in text
    assert "PROVES NOTHING" in (depot / "verify.py").read_text()


def test_somebody_elses_verify_py_is_left_alone(small: Side, site: Site, tmp_path: Path) -> None:
    stores.write_files(tmp_path / "depot", {"verify.py": b"mine"})

    assert small.run("export", "shop:v1", "-o", tmp_path / "depot", "--key", site.key()).code == 0

    assert (tmp_path / "depot" / "verify.py").read_bytes() == b"mine"


def test_it_runs_as_a_program_of_its_own(depot: Path, site: Site) -> None:
    program, root = str(depot / "verify.py"), str(site.root)
    command = [sys.executable, "-I", program, str(depot), "--root", root, "--fingerprint"]

    good = subprocess.run(
        [*command, site.fingerprint], capture_output=True, check=False, timeout=120
    )
    bad = subprocess.run(
        [*command, f"SHA256:{'0' * 64}"], capture_output=True, check=False, timeout=120
    )

    assert (good.returncode, good.stderr) == (0, b"")
    assert good.stdout.splitlines()[-1].startswith(b"ACCEPTED ")
    assert bad.returncode == 11
    assert bad.stdout.startswith(b"REFUSED not-trusted")


def test_a_root_that_came_along_will_do_if_its_fingerprint_is_right(
    small: Side, site: Site, tmp_path: Path
) -> None:
    depot = tmp_path / "depot"
    options = ("--key", site.key(), "--include-root", site.root)
    assert small.run("export", "shop:v1", "-o", depot, *options).code == 0

    root = depot / "roots" / "1.root.msgpack"
    assert second_verifier.verify(depot, root, site.fingerprint)[0] == "accepted"
    assert second_verifier.verify(depot, root, f"SHA256:{'1' * 64}")[0] == "not-trusted"


def test_of_several_bundles_it_verifies_all_or_the_one_that_is_named(
    small: Side, site: Site, tmp_path: Path
) -> None:
    depot, key = tmp_path / "depot", ("--key", site.key())
    first = small.run("export", "shop:v1", "-o", depot, *key, "--json").json["bundle"]
    other = small.run(
        "export", "--model", "ranker:v1", "-o", depot, *key, "--audience", "attic", "--json"
    ).json["bundle"]

    both = second_verifier.verify(depot, site.root, site.fingerprint)
    named = second_verifier.verify(f"{depot}#{first[:8]}", site.root, site.fingerprint)
    not_ours = second_verifier.verify(f"{depot}#{other}", site.root, site.fingerprint)

    assert (both[0], named[0], not_ours[0]) == ("policy", "accepted", "policy")
    assert named[1].splitlines()[-1].startswith(f"ACCEPTED {first}")


@pytest.mark.parametrize("what", ["symlink", "fifo", "missing"])
def test_a_pack_that_is_no_file_is_refused_as_airgap_does(
    what: str, depot: Path, site: Site
) -> None:
    pack = next(depot.rglob("*.pack"))
    pack.rename(depot / "elsewhere")
    if what == "symlink":
        pack.symlink_to(depot / "elsewhere")
    elif what == "fifo":
        import os

        os.mkfifo(pack)

    verdict, _ = second_verifier.verify(depot, site.root, site.fingerprint)

    assert verdict == ("missing" if what == "missing" else "corrupt")


# Approvals (format §14)

SAID = {
    "nothing": ([], "policy"),
    "one accepts": ([("eve", "approve")], "policy"),
    "two accept": ([("eve", "approve"), ("fay", "approve")], "accepted"),
    "one of three rejects": ([("eve", "approve"), ("fay", "approve"), ("gus", "reject")], "policy"),
    "a stranger accepts": ([("eve", "approve"), ("zoe", "approve")], "policy"),
    "the builder accepts": ([("eve", "approve"), ("bob", "approve")], "policy"),
}


@pytest.mark.parametrize("case", SAID)
def test_approvals_count_as_for_airgap(case: str, connected: Side, tmp_path: Path) -> None:
    said, expected = SAID[case]
    stores.add_model(connected, "ranker:v1", {"w": b"w"})
    root, location = tmp_path / "keys" / "root.msgpack", tmp_path / "x.airgap"
    fingerprint = signers.write_root(root, make_root(approver=team("eve fay gus", 2)), "ann")
    keys = {
        name: signers.write_key(tmp_path / "keys", name)
        for name in ("bob", "eve", "fay", "gus", "zoe")
    }
    ran = connected.run("export", "--model", "ranker:v1", "-o", location, "--key", keys["bob"])
    assert ran.code == 0, ran.err
    for name, word in said:
        words = ("--reject",) if word == "reject" else ()
        assert connected.run("approve", location, "--key", keys[name], *words).code == 0

    verdict, printed = second_verifier.verify(location, root, fingerprint)

    assert verdict == expected, printed
    side = Side(tmp_path / "ward")
    side.top.mkdir()
    signers.pin(side, make_root(approver=team("eve fay gus", 2)))
    assert side.run("verify", location).code == (0 if expected == "accepted" else 12)


def test_it_compares_the_reports_that_lie_in_a_depot(connected: Side, tmp_path: Path) -> None:
    stores.add_model(connected, "ranker:v1", {"w": b"w"})
    root, depot = tmp_path / "keys" / "root.msgpack", tmp_path / "depot"
    fingerprint = signers.write_root(root, make_root(scanner=team("eve")), "ann")
    bob, eve = (signers.write_key(tmp_path / "keys", name) for name in ("bob", "eve"))
    stores.write_files(tmp_path, {"report.json": b"{}"})
    words = ("--key", eve, "--role", "scanner", "--findings", tmp_path / "report.json")
    for command in (
        ("export", "--model", "ranker:v1", "-o", depot, "--key", bob),
        ("attest", depot, *words),
        ("copy", depot, tmp_path / "x.airgap"),
    ):
        assert connected.run(*command).code == 0
    (report,) = depot.rglob("*.findings")

    def told(location: Path) -> str:
        verdict, printed = second_verifier.verify(location, root, fingerprint)
        assert verdict == "accepted"
        return next(line for line in printed.splitlines() if line.startswith(f"{report.name}: "))

    assert told(depot).endswith(": as signed")
    assert told(tmp_path / "x.airgap").endswith(": not compared, padding is not read")
    report.write_bytes(b"[]")
    assert told(depot).endswith(": NOT THE FILE THAT WAS SIGNED")
    report.unlink()
    assert told(depot).endswith(".findings: not there")
    report.symlink_to(tmp_path / "report.json")
    assert told(depot).endswith(".findings: no regular file")


def test_a_revoked_bundle_is_refused(depot: Path, tmp_path: Path) -> None:
    (folder,) = (depot / "bundles").iterdir()
    root = make_root(builder=team("bob"), revoked_bundles=(bytes.fromhex(folder.name),))
    fingerprint = signers.write_root(tmp_path / "keys" / "root.msgpack", root, "ann")
    raw = (folder / "manifest.msgpack").read_bytes()
    (signed,) = signers.signatures("builder", raw, "bob")
    stores.write_files(folder, {f"builder.{person('bob').key.id}.dsse": signed})

    verdict, printed = second_verifier.verify(
        depot, tmp_path / "keys" / "root.msgpack", fingerprint
    )

    assert (verdict, "revoked" in printed) == ("not-trusted", True)


# What openssl cannot do


def test_without_openssl_it_says_that_it_cannot_check(
    depot: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    verdict, printed = second_verifier.verify(depot, site.root, site.fingerprint)

    assert verdict == "cannot check"
    assert printed.startswith("CANNOT CHECK: openssl")


@pytest.mark.parametrize("algorithm", ["ml-dsa-65", "ml-dsa-87"])
def test_ml_dsa_is_checked_where_openssl_has_it_and_else_said_not_to_be(
    algorithm: str, small: Side, tmp_path: Path
) -> None:
    site = sides.make_site(tmp_path / "site", algorithm=algorithm)
    assert small.run("export", "shop:v1", "-o", tmp_path / "d", "--key", site.key()).code == 0

    verdict, printed = second_verifier.verify(tmp_path / "d", site.root, site.fingerprint)

    assert verdict == ("accepted" if sides.openssl_has(algorithm.upper()) else "cannot check")
    assert verdict == "accepted" or f"cannot check {algorithm}" in printed
