"""Folders that the kernel starts no program from, with a real mount; and a host with fapolicyd."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.disk import execution
from airgap.errors import StorageError
from tests.support import environments, kits, mounts, refusals
from tests.support.sides import Side, Site


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A folder that is mounted noexec."""
    with mounts.tmpfs(tmp_path / "mounted", 4 * mounts.MIB, "noexec") as folder:
        yield folder


def test_no_environment_is_made_there(shop: Side, mounted: Path) -> None:
    words = ("env", "create", "shop", mounted / "env")
    refused = refusals.expect_refusal(shop, *words, error=StorageError)

    assert f"{mounted}/env is on a file system that is mounted noexec" in refused.err
    assert "airgap env create shop:v1 DIR" in refused.json["error"]["hint"]
    assert list(mounted.iterdir()) == []


def test_an_environment_there_is_not_run(shop: Side, mounted: Path) -> None:
    environments.pretend(mounted / "env", "shop:v1")

    refused = refusals.expect_refusal(shop, "env", "run", mounted / "env", error=StorageError)

    assert "mounted noexec" in refused.json["error"]["message"]
    assert "airgap env create shop:v1 DIR" in refused.json["error"]["hint"]


def test_a_proof_names_its_option(shop: Side, mounted: Path) -> None:
    words = ("prove", "shop", "--tmpdir", mounted)
    refused = refusals.expect_refusal(shop, *words, error=StorageError)

    assert "mounted noexec" in refused.json["error"]["message"]
    assert "--tmpdir DIR" in refused.json["error"]["hint"]
    assert list(mounted.iterdir()) == []


def test_a_kit_names_its_argument(kit_of_tiny_wheels: Path, site: Site, mounted: Path) -> None:
    done = kits.install(kit_of_tiny_wheels, site.fingerprint, mounted / "airgap")

    assert done.returncode == StorageError.exit_code
    assert f"{mounted}/airgap is on a file system that is mounted noexec" in done.stderr
    assert "install.py /opt/airgap" in done.stderr
    assert list(mounted.iterdir()) == []


def test_the_doctor_names_all_of_them(
    shop: Side, mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments.pretend(mounted / "environments/shop/v1", "shop:v1")
    (shop.bentoml / "environments").symlink_to(mounted / "environments")
    monkeypatch.setattr(tempfile, "tempdir", str(mounted))
    monkeypatch.setenv("HOME", str(mounted))

    findings = shop.run("doctor", "--json").json["findings"]

    found = [(one["level"], one["message"]) for one in findings if one["about"] == "noexec"]
    levels = [level for level, _ in found]
    assert levels == ["problem", "note", "note"]
    for message, word in zip(
        [message for _, message in found], ("environment", "proof", "kit"), strict=True
    ):
        assert word in message
        assert "mounted noexec" in message


def test_a_host_with_fapolicyd_is_told_what_to_trust(
    shop: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airgap.flow.doctor import execution as doctor
    from airgap.flow.environment import create

    for module in (execution, doctor, create):
        monkeypatch.setattr(module, "has_fapolicyd", lambda: True)
    folder, bento = shop.bentoml / "environments/shop/v1", shop.bentoml / "bentos/shop/v1"

    made = shop.run("env", "create", "shop", "--json")
    findings = shop.run("doctor", "--json").json["findings"]

    assert made.code == 0, made.err
    for path in (folder, bento):
        assert f"fapolicyd-cli --file add {path}/ --trust-file airgap" in made.err
    assert "fapolicyd-cli --update" in made.err
    assert json.loads(made.out)["outcome"] == "created"
    (note,) = [one for one in findings if one["about"] == "fapolicyd"]
    assert note["level"] == "note"
    assert f"fapolicyd-cli --file add {folder}/ --trust-file airgap" in note["hint"]
