"""A site made with --fips: nothing that FIPS mode refuses is called, on either side of the gap."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airgap.errors import ConfigurationError
from airgap.flow.kit import curves
from tests.support import fips, refusals, second_verifier, sides, store_invariants
from tests.support.second_verifier import verify
from tests.support.sides import Side, Site

SECRET = {"AIRGAP_PASSPHRASE": "correct horse battery"}


@pytest.fixture
def other(tmp_path: Path) -> Side:
    """A machine that trusts nobody."""
    side = Side(tmp_path / "other")
    side.top.mkdir()
    return side


@pytest.fixture
def _passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRET.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("_passphrase")
def test_a_bundle_crosses_without_anything_that_fips_mode_refuses(
    small: Side, other: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fips.refuse_unapproved(monkeypatch)
    depot, made = tmp_path / "depot", ("--dir", tmp_path, "--fips")

    begun = small.run("init", "ward", "--fips", "--json").json
    assert small.run("key", "generate", "approver", *made).code == 0
    site_key, builder = Path(begun["site_key"]), Path(begun["builder_key"])
    root = tmp_path / "root.msgpack"
    roles = ("--builder", builder.with_suffix(".pub"), "--approver", tmp_path / "approver.pub")
    created = small.run(
        "root", "create", "--site", "ward", "--root-key", site_key, *roles, "-o", root, "--json"
    )
    assert created.code == 0, created.err
    exported = small.run("export", "shop:v1", "-o", depot, "--key", builder, "--json")
    approved = small.run(
        "approve", depot, "--key", tmp_path / "approver.key", "--bundle", exported.json["bundle"]
    )
    assert approved.code == 0, approved.err
    sides.trust(other, Site(tmp_path, created.json["fingerprint"], 1))
    imported = other.run("import", depot)

    assert imported.code == 0, imported.err
    assert store_invariants.items(other) == store_invariants.items(small)
    assert second_without_openssl(depot, root, created.json["fingerprint"]) == "accepted"
    if shutil.which("openssl"):
        assert verify(depot, root, created.json["fingerprint"])[0] == "accepted"


def second_without_openssl(depot: Path, root: Path, fingerprint: str) -> str:
    """Return the verdict of verify.py as a kit's install.py runs it where there is no openssl."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(second_verifier.program(), "openssl", curves.openssl)
        return verify(depot, root, fingerprint)[0]


@pytest.mark.usefixtures("_passphrase")
def test_an_ed25519_root_is_refused_by_name(
    depot: Path, other: Side, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    del depot
    fips.refuse_unapproved(monkeypatch)

    words = ("trust", "init", site.root, "--fingerprint", site.fingerprint)
    refused = refusals.expect_refusal(other, *words, error=ConfigurationError)

    assert "ed25519" in refused.json["error"]["message"]
    assert "FIPS mode" in refused.json["error"]["message"]
    assert "--fips" in refused.json["error"]["hint"]


def test_the_drop_box_is_refused_by_name(other: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("hashlib.scrypt")

    refused = refusals.expect_refusal(other, "serve", "hash-password", error=ConfigurationError)

    assert "scrypt" in refused.json["error"]["message"]


@fips.needs_module
def test_a_bundle_crosses_with_a_real_fips_module(small: Side, other: Side, tmp_path: Path) -> None:
    mode = {**os.environ, **fips.real_environment(tmp_path / "fips"), **SECRET}
    depot = tmp_path / "depot"

    def run(side: Side, *words: str | Path) -> str:
        command = [sys.executable, "-m", "airgap", *map(str, words)]
        done = subprocess.run(
            command,
            env={**mode, **side.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(small, "init", "ward", "--fips")
    run(small, "export", "shop:v1", "-o", depot)
    root = small.state / "keys" / "root.msgpack"
    fingerprint = small.run("root", "show", root, "--json").json["fingerprint"]
    run(other, "trust", "init", root, "--fingerprint", fingerprint)
    run(other, "import", depot)
    verified = subprocess.run(
        [
            sys.executable,
            second_verifier.PROGRAM,
            depot,
            "--root",
            root,
            "--fingerprint",
            fingerprint,
        ],
        env=mode,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert store_invariants.items(other) == store_invariants.items(small)
    assert verified.stdout.splitlines()[-1].startswith("ACCEPTED ")
