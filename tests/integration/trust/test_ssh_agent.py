"""Keys in a real ssh-agent sign what a real importer accepts."""

import base64
import hashlib
import shutil
import struct
from pathlib import Path

import pytest

from airgap.errors import ConfigurationError
from airgap.format.envelope import PAYLOAD_TYPES, signed_bytes
from airgap.signing import private_keys, ssh_agent
from airgap.ssh_agent import AgentKey, SshAgent
from tests.support import key_backends
from tests.support.key_backends import Agent
from tests.support.sides import Side

KINDS = {
    "ed25519": ["-t", "ed25519"],
    "ecdsa-p256-sha256": ["-t", "ecdsa", "-b", "256"],
    "ecdsa-p384-sha384": ["-t", "ecdsa", "-b", "384"],
}

pytestmark = pytest.mark.skipif(
    any(shutil.which(one) is None for one in ("ssh-agent", "ssh-add", "ssh-keygen")),
    reason="ssh-agent, ssh-add or ssh-keygen (openssh-client) is not here",
)


@pytest.mark.parametrize("algorithm", KINDS)
def test_a_builder_signs_with_an_agent(
    algorithm: str, agent: Agent, small: Side, tmp_path: Path
) -> None:
    fingerprint = agent.add("builder", *KINDS[algorithm])

    key_backends.carry(
        small, key_backends.bare_side(tmp_path / "isolated"), f"ssh-agent:{fingerprint}"
    )


def test_a_recorder_signs_checkpoints_with_an_agent(agent: Agent, tmp_path: Path) -> None:
    fingerprint = agent.add("recorder", "-t", "ed25519")

    key_backends.record(key_backends.bare_side(tmp_path / "side"), f"ssh-agent:{fingerprint}")


def test_a_root_can_be_signed_with_an_agent(agent: Agent, tmp_path: Path) -> None:
    fingerprint = agent.add("site", "-t", "ed25519")
    builder = private_keys.generate(tmp_path, "builder", "ed25519", None)[1]
    root = tmp_path / "root.msgpack"

    options = ("--site", "ward", "--root-key", f"ssh-agent:{fingerprint}", "--builder", builder)
    made = key_backends.airgap("root", "create", *options, "-o", root, "--json")
    side = key_backends.bare_side(tmp_path / "isolated")
    trusted = side.run("trust", "init", root, "--fingerprint", made.json["fingerprint"])

    assert trusted.code == 0, trusted.err


def test_a_second_builder_signs_with_an_agent(
    agent: Agent, depot: Path, small: Side, tmp_path: Path
) -> None:
    agent.add("second", "-t", "ed25519")
    public = tmp_path / "second.pub"
    told = key_backends.airgap("key", "export-public", "ssh-agent:", "-o", public, "--json")

    signed = small.run("sign", depot, "--key", "ssh-agent:", "--json")

    assert signed.json["signed_by"] == told.json["key_id"]


@pytest.mark.parametrize("algorithm", ["ecdsa-p256-sha256", "ecdsa-p384-sha384"])
def test_every_ecdsa_signature_is_in_its_one_form(algorithm: str, agent: Agent) -> None:
    agent.add("builder", *KINDS[algorithm])
    signer = ssh_agent.find("")

    # An agent leaves s in the upper half every other time; sign() demands that it verifies.
    made = [signer.sign("builder", b"%d" % number).signature for number in range(24)]

    assert len(set(made)) == 24


def test_a_key_is_found_by_its_key_id(agent: Agent) -> None:
    first = ssh_agent.find(agent.add("first", "-t", "ed25519"))
    agent.add("second", "-t", "ed25519")

    assert ssh_agent.find(first.key.id).key == first.key
    assert ssh_agent.find(f"SHA256:{first.key.id.upper()}").key == first.key


def test_the_only_key_that_can_sign_needs_no_name(agent: Agent) -> None:
    agent.add("login", "-t", "rsa", "-b", "2048")
    fingerprint = agent.add("builder", "-t", "ed25519")

    assert ssh_agent.find("").key == ssh_agent.find(fingerprint).key


def test_of_two_keys_none_is_chosen(agent: Agent) -> None:
    fingerprints = [agent.add(name, "-t", "ed25519") for name in ("first", "second")]

    with pytest.raises(ConfigurationError, match="2 keys that can sign") as refused:
        ssh_agent.find("")

    assert refused.value.details == tuple(
        f"{fingerprint} (ssh-ed25519, {name})"
        for fingerprint, name in zip(fingerprints, ("first", "second"), strict=True)
    )


def test_a_key_that_is_not_there_is_told_with_those_that_are(agent: Agent) -> None:
    agent.add("builder", "-t", "ed25519")

    with pytest.raises(ConfigurationError, match="no key SHA256:nothing") as refused:
        ssh_agent.find("SHA256:nothing")

    assert "builder" in refused.value.details[0]


@pytest.mark.parametrize("kind", [("-t", "rsa", "-b", "2048"), ("-t", "ecdsa", "-b", "521")])
def test_keys_for_logins_are_refused(kind: tuple[str, ...], agent: Agent) -> None:
    fingerprint = agent.add("login", *kind)

    with pytest.raises(ConfigurationError, match="cannot sign documents"):
        ssh_agent.find(fingerprint)


def _blob(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


@pytest.mark.parametrize(
    "kind", ["sk-ssh-ed25519@openssh.com", "ssh-ed25519-cert-v01@openssh.com", "webauthn-sk-x"]
)
def test_security_keys_and_certificates_are_refused(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = _blob(kind.encode(), bytes(32), b"ssh:")
    monkeypatch.setattr(ssh_agent, "_list_keys", lambda: (AgentKey(blob, "a\x1b[2Jb"),))
    fingerprint = base64.b64encode(hashlib.sha256(blob).digest()).rstrip(b"=").decode()

    with pytest.raises(ConfigurationError, match="cannot sign documents") as refused:
        ssh_agent.find(f"SHA256:{fingerprint}")

    assert "sk-" in refused.value.hint
    assert "\x1b" not in refused.value.message


def test_a_key_that_was_taken_out_does_not_sign(agent: Agent) -> None:
    signer = ssh_agent.find(agent.add("builder", "-t", "ed25519"))
    agent.add("login", "-t", "ed25519")
    agent.remove("builder")

    with pytest.raises(ConfigurationError, match="did not sign"):
        signer.sign("builder", b"manifest")


def test_an_agent_that_signs_with_another_key_is_found_out(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ssh_agent.find(agent.add("first", "-t", "ed25519"))
    second = ssh_agent.find(agent.add("second", "-t", "ed25519"))
    monkeypatch.setattr(first, "_agent_key", second._agent_key)

    with pytest.raises(ConfigurationError, match="does not verify"):
        first.sign("builder", b"manifest")


@pytest.mark.parametrize(
    "answer", [b"", b"\0", _blob(b"ecdsa-sha2-nistp256", b""), _blob(b"", b"\xff" * 9)]
)
def test_an_answer_that_is_no_signature_is_refused(
    answer: bytes, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.add("builder", *KINDS["ecdsa-p256-sha256"])
    signer = ssh_agent.find("")
    monkeypatch.setattr(SshAgent, "sign", lambda *_: answer)

    with pytest.raises(ConfigurationError):
        signer.sign("builder", b"manifest")


def test_the_longest_document_that_is_promised_is_signed(agent: Agent) -> None:
    agent.add("builder", *KINDS["ecdsa-p384-sha384"])
    signer = ssh_agent.find("")
    assert signer.max_bytes is not None
    around = len(signed_bytes(PAYLOAD_TYPES["builder"], bytes(200_000))) - 200_000
    document = bytes(signer.max_bytes - around)

    assert signer.sign("builder", document).signature
    with pytest.raises(ConfigurationError, match="signs at most"):
        signer.sign("builder", document + b"\0")


def test_an_export_says_beforehand_that_its_manifest_may_be_too_long(
    agent: Agent, small: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.add("builder", "-t", "ed25519")
    monkeypatch.setattr(ssh_agent.AgentSigner, "max_bytes", 1000)

    ran = small.run("export", "shop:v1", "-o", tmp_path / "depot", "--key", "ssh-agent:")

    assert "may grow past the 1,000 bytes" in ran.err


def test_without_an_agent_the_way_to_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    with pytest.raises(ConfigurationError, match="SSH_AUTH_SOCK is not set") as refused:
        ssh_agent.find("")

    assert "ssh-add" in refused.value.hint


def test_an_agent_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone"))

    with pytest.raises(ConfigurationError, match="does not answer"):
        ssh_agent.find("")


def test_an_agent_without_keys_is_told(agent: Agent) -> None:
    agent.add("builder", "-t", "ed25519")
    agent.remove("builder")

    with pytest.raises(ConfigurationError, match="has no keys"):
        ssh_agent.find("")
