"""The blocks of docs/keys-hardware.md, run as they stand with a real agent and a real token."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import key_backends, sides
from tests.support.key_backends import Agent, run
from tests.support.sides import Side

PAGE = sides.REPOSITORY / "docs" / "keys-hardware.md"


def _block(kind: str) -> str:
    blocks = re.findall(rf"^```sh {kind}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks, f"the page has no block {kind!r}"
    return "".join(blocks)


def _run(side: Side, script: str, folder: Path) -> str:
    """Run a script on a side, with this ``airgap``; return what it prints."""
    shim = f'airgap() {{ "{sys.executable}" -m airgap "$@"; }}\n'
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", shim + script],
        cwd=folder,
        env={**os.environ, **side.environment, "PYTHONPATH": str(sides.REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def _key_id(public: Path) -> str:
    key_id = key_backends.airgap("key", "fingerprint", public, "--json").json["key_id"]
    assert isinstance(key_id, str)
    return key_id


@pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="openssh-client is not here")
def test_the_page_signs_with_an_agent(agent: Agent, small: Side, tmp_path: Path) -> None:
    agent.add("anna", "-t", "ed25519")

    _run(small, _block("agent"), tmp_path)

    envelopes = (tmp_path / "depot").rglob("builder.*.dsse")
    assert [one.name for one in envelopes] == [
        f"builder.{_key_id(tmp_path / 'builder-anna.pub')}.dsse"
    ]


@pytest.mark.skipif(
    shutil.which("softhsm2-util") is None or shutil.which("pkcs11-tool") is None,
    reason="softhsm2 or opensc is not here",
)
@pytest.mark.skipif(
    not Path("/usr/lib/softhsm/libsofthsm2.so").exists(), reason="SoftHSM lies elsewhere here"
)
def test_the_page_makes_a_root_with_a_token(
    small: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_PASSPHRASE", "4711")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path}/tokens\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    pins = ("--pin", "4711", "--so-pin", "87654321")
    run("softhsm2-util", "--init-token", "--free", "--label", "hospital", *pins)
    key_backends.airgap("key", "generate", "builder", "--dir", tmp_path, "--no-passphrase")

    script = _block("token").replace("--login", "--login --pin 4711")  # nobody types it
    _run(small, script, tmp_path)

    assert (tmp_path / f"root.{_key_id(tmp_path / 'site.pub')}.dsse").exists()


def test_the_page_demands_both_kinds_of_signature(
    small: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_KEY_GENERATE_NO_PASSPHRASE", "1")
    options = ("--dir", tmp_path / "keys", "--no-passphrase")
    key_backends.airgap("key", "generate", "site", *options)

    told = _run(small, _block("transition"), tmp_path)

    beyond = key_backends.bare_side(tmp_path / "beyond")
    groups = re.findall(r"^ +((?:[0-9a-f]{4} *){8})$", told, re.MULTILINE)
    fingerprint = "".join(groups).replace(" ", "")
    root = ("trust", "init", tmp_path / "root.msgpack", "--fingerprint", fingerprint)
    assert beyond.run(*root).code == 0
    assert beyond.run("verify", tmp_path / "depot").code == 0
