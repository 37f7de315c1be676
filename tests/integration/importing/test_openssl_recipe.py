"""The recipe of docs/verify-with-openssl.md, run as it stands with the real openssl."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from airgap.format.root import ALGORITHMS
from tests.support import sides
from tests.support.sides import Side, Site

PAGE = sides.REPOSITORY / "docs" / "verify-with-openssl.md"

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")


def _section(number: int, kind: str = "sh") -> str:
    """The shell blocks of one section of the page."""
    (text,) = re.findall(
        rf"^## {number} .*?(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    blocks = re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert blocks, f"section {number} has no block {kind!r}"
    return "".join(blocks)


def _run(script: str, folder: Path, **variables: Path | str) -> "subprocess.CompletedProcess[str]":
    folder.mkdir(exist_ok=True)
    told = {name: str(value) for name, value in variables.items()}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={"PATH": os.environ["PATH"], "WORK": str(folder), "LC_ALL": "C", **told},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _export(side: Side, site: Site, destination: Path) -> str:
    ran = side.run("export", "shop:v1", "-o", destination, "--key", site.key(), "--json")
    bundle = ran.json["bundle"]
    assert isinstance(bundle, str)
    return bundle


FUNCTION = _section(3, "sh function")
VERIFIED = r"^(Signature Verified Successfully|Verified OK)$"


@pytest.fixture(params=ALGORITHMS)
def algorithm(request: pytest.FixtureRequest) -> str:
    """Every algorithm that this openssl has."""
    name = str(request.param)
    if name.startswith("ml-dsa") and not sides.openssl_has(name.upper()):
        pytest.skip("this openssl has no ML-DSA; 3.5 and later have")
    return name


@pytest.fixture
def signed(algorithm: str, small: Side, tmp_path: Path) -> dict[str, Path | str]:
    """What section 1 of the page says: a depot, a bundle in it, and its builder's public key."""
    site = sides.make_site(tmp_path / "site", algorithm=algorithm)
    bundle = _export(small, site, tmp_path / "depot")
    return {"DEPOT": tmp_path / "depot", "BUNDLE": bundle, "BUILDER": site.folder / "builder1.pub"}


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_the_recipe_verifies_a_bundle(signed: dict[str, Path | str], tmp_path: Path) -> None:
    ran = _run(_section(2) + FUNCTION + _section(3) + _section(4), tmp_path / "work", **signed)

    assert ran.returncode == 0, ran.stderr
    assert re.search(VERIFIED, ran.stdout, re.MULTILINE)


def test_the_signature_does_not_verify_a_changed_manifest(
    signed: dict[str, Path | str], tmp_path: Path
) -> None:
    manifest = Path(signed["DEPOT"]) / "bundles" / str(signed["BUNDLE"]) / "manifest.msgpack"
    _flip(manifest)

    ran = _run(FUNCTION + _section(3), tmp_path / "work", **signed, MANIFEST=manifest)

    assert ran.returncode != 0
    assert "Successfully" not in ran.stdout
    assert "OK" not in ran.stdout


def test_the_bundle_id_does_not_fit_a_changed_manifest(
    small: Side, site: Site, tmp_path: Path
) -> None:
    bundle = _export(small, site, tmp_path / "depot")
    _flip(tmp_path / "depot" / "bundles" / bundle / "manifest.msgpack")

    ran = _run(_section(2), tmp_path / "work", DEPOT=tmp_path / "depot", BUNDLE=bundle)

    assert ran.returncode != 0


@pytest.mark.parametrize("what", ["pack", "list"])
def test_the_packs_section_finds(what: str, small: Side, site: Site, tmp_path: Path) -> None:
    depot = tmp_path / "depot"
    folder = depot / "bundles" / _export(small, site, depot)
    pack = next((depot / "packs").rglob("*.pack"))
    _flip(pack)
    if what == "list":  # whoever changes a pack can change the list too, but not the manifest
        listed = (folder / "checksums.txt").read_text().splitlines(keepends=True)
        changed = hashlib.sha256(pack.read_bytes()).hexdigest()
        text = "".join(line.replace(pack.stem, changed, 1) for line in listed)
        (folder / "checksums.txt").write_text(text)

    manifest = folder / "manifest.msgpack"
    variables: dict[str, Path | str] = {"DEPOT": depot, "BUNDLE": folder.name, "MANIFEST": manifest}
    ran = _run(_section(4), tmp_path / "work", **variables)

    assert ran.returncode != 0
    assert ("not in the manifest" in ran.stdout) == (what == "list")


def test_an_airgap_file_unpacks_to_such_a_depot(small: Side, site: Site, tmp_path: Path) -> None:
    _export(small, site, tmp_path / "shop.airgap")
    script = _section(1, "sh airgap-file") + _section(2) + FUNCTION + _section(3) + _section(4)

    variables = {"AIRGAP_FILE": tmp_path / "shop.airgap", "BUILDER": site.folder / "builder1.pub"}
    ran = _run(script, tmp_path / "work", **variables)

    assert ran.returncode == 0, ran.stderr
    assert "Signature Verified Successfully" in ran.stdout


def test_the_recipe_verifies_a_root(algorithm: str, tmp_path: Path) -> None:
    site = sides.make_site(tmp_path / "site", algorithm=algorithm)
    variables = {"ROOT": site.root, "SITE_KEY": site.folder / "site.pub"}

    ran = _run(FUNCTION + _section(6, "sh root"), tmp_path / "work", **variables)

    assert ran.returncode == 0, ran.stderr
    assert site.fingerprint.removeprefix("SHA256:") in ran.stdout
    assert re.search(VERIFIED, ran.stdout, re.MULTILINE)


@pytest.mark.parametrize("decision", ["accept", "reject"])
def test_the_recipe_verifies_an_approval(
    decision: str, signed: dict[str, Path | str], small: Side, tmp_path: Path
) -> None:
    key = Path(signed["BUILDER"]).with_suffix(".key")
    words = ("--reject",) if decision == "reject" else ()
    assert small.run("approve", signed["DEPOT"], "--key", key, *words).code == 0
    script = FUNCTION + _section(7, "sh approval")

    good = _run(script, tmp_path / "work", **signed, APPROVER=signed["BUILDER"])
    _flip(next(Path(signed["DEPOT"]).rglob("*.attestation")))
    bad = _run(script, tmp_path / "work", **signed, APPROVER=signed["BUILDER"])

    assert good.returncode == 0, good.stderr
    assert good.stdout.splitlines()[-2:] == [signed["BUNDLE"], decision]
    assert bad.returncode != 0


def test_the_program_on_the_page_is_the_second_verifier(
    depot: Path, site: Site, tmp_path: Path
) -> None:
    (folder,) = (depot / "bundles").iterdir()
    variables: dict[str, Path | str] = {"DEPOT": depot, "BUNDLE": folder.name, "ROOT": site.root}
    script = f"cd {PAGE.parent}; {_section(5, 'sh verify.py')}"

    ran = _run(script, tmp_path / "work", **variables, FINGERPRINT=site.fingerprint)

    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("ACCEPTED ")
