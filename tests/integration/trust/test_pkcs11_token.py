"""Keys on a PKCS#11 token (SoftHSM) sign what a real importer accepts."""

import importlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airgap.errors import ConfigurationError, StorageError, UsageError
from airgap.signing import open_signer
from tests.support import key_backends, refusals
from tests.support.sides import Side

MODULES = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
]
MODULE = next((one for one in MODULES if Path(one).exists()), "")
BOX = "ward"
PIN = "4711"
LABELS = {
    "ed25519": "edwards",
    "ecdsa-p256-sha256": "builder-256",
    "ecdsa-p384-sha384": "builder-384",
}

if TYPE_CHECKING:
    from pkcs11 import Attribute
    from pkcs11.types import PrivateKey, PublicKey, Session, Token

pkcs11 = pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
pytestmark = [
    pytest.mark.skipif(
        not MODULE or shutil.which("softhsm2-util") is None, reason="SoftHSM (softhsm2) is not here"
    ),
    pytest.mark.xdist_group("token"),
]


@dataclass(frozen=True)
class Box:
    """A software token with keys on it."""

    label: str

    def key(self, label: str, *more: str) -> str:
        return ";".join([f"pkcs11:token={self.label}", f"object={label}", *more])


@pytest.fixture(scope="session")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """Make a token with one key of each kind; a process can load SoftHSM but once."""
    folder = tmp_path_factory.mktemp("token")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        for label in (BOX, "ward-spare"):
            command = ["softhsm2-util", "--init-token", "--free", "--label", label]
            subprocess.run(
                [*command, "--pin", PIN, "--so-pin", "87654321"],
                check=True,
                capture_output=True,
                timeout=120,
            )
        _fill(pkcs11.lib(MODULE).get_token(token_label=BOX))
        yield Box(BOX)
        pkcs11.unload(MODULE)


def _fill(token: "Token") -> None:
    """Make keys with python-pkcs11: good ones, and those that must be refused."""
    curves = ("secp256r1", "secp384r1", "secp256k1")
    p256, p384, k1 = map(pkcs11.util.ec.encode_named_curve_parameters, curves)
    edwards = bytes.fromhex("130c") + b"edwards25519"
    with token.open(user_pin=PIN, rw=True) as session:
        _make(session, "builder-256", 1, p256)
        _make(session, "builder-384", 2, p384)
        _make(session, "edwards", 3, edwards)
        _make(session, "twins", 4, p256)
        _make(session, "twins", 5, p256)
        _make(session, "careful", 6, p256, {pkcs11.Attribute.ALWAYS_AUTHENTICATE: True})
        _make(session, "bitcoin", 7, k1)
        _make(session, "half", 8, p256)[0].destroy()
        _make(session, "swapped", 9, p256)[0].destroy()
        public, private = _make(session, "other", 10, p256)
        private.destroy()
        public[pkcs11.Attribute.LABEL] = "swapped"
        session.generate_keypair(pkcs11.KeyType.RSA, 1024, store=True, label="rsa", id=b"\x0b")


def _make(
    session: "Session",
    label: str,
    number: int,
    curve: bytes,
    more: "dict[Attribute, object] | None" = None,
) -> "tuple[PublicKey, PrivateKey]":
    kind = pkcs11.KeyType.EC_EDWARDS if label == "edwards" else pkcs11.KeyType.EC
    parameters = session.create_domain_parameters(
        kind, {pkcs11.Attribute.EC_PARAMS: curve}, local=True
    )
    return parameters.generate_keypair(
        store=True, label=label, id=bytes([number]), private_template=more
    )


@pytest.fixture
def pin(box: Box, monkeypatch: pytest.MonkeyPatch) -> Box:
    monkeypatch.setenv("AIRGAP_PKCS11_MODULE", MODULE)
    monkeypatch.setenv("AIRGAP_PASSPHRASE", PIN)
    return box


def ask(_: str) -> bytes:
    return PIN.encode()


def never(_: str) -> bytes:
    raise AssertionError("no PIN is needed")


@pytest.mark.parametrize("algorithm", LABELS)
def test_a_builder_signs_with_a_token(
    algorithm: str, pin: Box, small: Side, tmp_path: Path
) -> None:
    key = pin.key(LABELS[algorithm])

    key_backends.carry(small, key_backends.bare_side(tmp_path / "isolated"), key)

    shown = key_backends.airgap("key", "fingerprint", key, "--json")
    assert shown.json["algorithm"] == algorithm


def test_a_recorder_signs_checkpoints_with_a_token(pin: Box, tmp_path: Path) -> None:
    side = key_backends.bare_side(tmp_path / "side")
    key_backends.record(side, pin.key(LABELS["ed25519"]))

    words = ("ledger", "checkpoint", "--exports", "--site", "any")
    curve = pin.key(LABELS["ecdsa-p256-sha256"])
    told = refusals.expect_refusal(side, *words, "--key", curve, error=ConfigurationError)
    assert "checkpoints are signed with Ed25519 only" in told.json["error"]["message"]


def test_a_root_can_be_signed_with_a_token(pin: Box, tmp_path: Path) -> None:
    public = tmp_path / "builder.pub"
    key_backends.airgap("key", "export-public", pin.key("builder-384"), "-o", public)
    root = tmp_path / "root.msgpack"

    options = ("--site", "ward", "--root-key", pin.key("builder-256"), "--builder", public)
    made = key_backends.airgap("root", "create", *options, "-o", root, "--json")
    side = key_backends.bare_side(tmp_path / "isolated")
    trusted = side.run("trust", "init", root, "--fingerprint", made.json["fingerprint"])

    assert trusted.code == 0, trusted.err


@pytest.mark.parametrize("label", ["builder-256", "builder-384"])
def test_every_ecdsa_signature_is_in_its_one_form(label: str, pin: Box) -> None:
    signer = open_signer.open_signer(pin.key(label), ask)

    # A token leaves s in the upper half every other time; sign() demands that it verifies.
    made = [signer.sign("builder", b"%d" % number).signature for number in range(24)]

    assert len(set(made)) == 24


@pytest.mark.parametrize("label", LABELS.values())
def test_a_token_signs_a_document_of_a_megabyte(label: str, pin: Box) -> None:
    signer = open_signer.open_signer(pin.key(label), ask)

    assert signer.sign("builder", bytes(1024 * 1024)).signature


def test_the_public_half_needs_no_pin(pin: Box) -> None:
    assert (
        open_signer.load_public_key(pin.key("builder-256"), never).algorithm == "ecdsa-p256-sha256"
    )


def test_a_key_that_wants_its_pin_each_time_gets_it(pin: Box) -> None:
    signer = open_signer.open_signer(pin.key("careful"), ask)

    assert signer.sign("builder", b"one").signature != signer.sign("builder", b"two").signature


def test_an_address_may_be_written_as_rfc_7512_has_it(pin: Box) -> None:
    plain = open_signer.load_public_key(pin.key("builder-256"), never)

    spec = f"pkcs11:token=ward;id=%01;object=builder%2D256;type=private?module-path={MODULE}"

    assert open_signer.load_public_key(spec, never) == plain


def test_twins_are_told_apart_by_id(pin: Box) -> None:
    with pytest.raises(ConfigurationError, match="There are 2 private keys"):
        open_signer.open_signer(pin.key("twins"), ask)

    assert open_signer.open_signer(pin.key("twins", "id=%05"), ask).sign("builder", b"").signature


def test_the_pin_may_come_from_a_file(pin: Box, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text(f"{PIN}\n")
    (tmp_path / "pin").chmod(0o600)

    key = pin.key("builder-256", f"pin-source=file:{tmp_path / 'pin'}")

    assert open_signer.open_signer(key, never).sign("builder", b"manifest").signature


def test_a_file_with_a_pin_that_others_can_read_is_refused(pin: Box, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text(PIN)
    (tmp_path / "pin").chmod(0o644)

    with pytest.raises(StorageError, match="can be read by others"):
        open_signer.open_signer(pin.key("builder-256", f"pin-source={tmp_path / 'pin'}"), never)


def test_the_pin_may_come_from_a_descriptor(pin: Box, depot: Path, small: Side) -> None:
    reading, writing = os.pipe()
    os.write(writing, PIN.encode() + b"\n")
    os.close(writing)

    ran = small.run("sign", depot, "--key", pin.key("builder-256"), "--passphrase-fd", str(reading))

    assert ran.code == 0, ran.err


def test_a_wrong_pin_is_told_before_anything_is_written(
    pin: Box, small: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_PASSPHRASE", "1234")

    ran = refusals.expect_refusal(
        small,
        *("export", "shop:v1", "-o", tmp_path / "depot", "--key", pin.key("builder-256")),
        error=ConfigurationError,
    )

    assert "The PIN for the key" in ran.err
    assert "from the variable AIRGAP_PASSPHRASE, is wrong." in ran.err
    assert not (tmp_path / "depot").exists()


def test_a_wrong_pin_names_the_file_that_it_came_from(
    pin: Box, small: Side, tmp_path: Path
) -> None:
    source = tmp_path / "pin"
    source.write_text("1234\n")
    source.chmod(0o600)
    key = f"{pin.key('builder-256')};pin-source={source}"

    ran = refusals.expect_refusal(
        small, "export", "shop:v1", "-o", tmp_path / "depot", "--key", key, error=ConfigurationError
    )

    assert f"from the file {source}, is wrong." in ran.err
    assert f"Check what the file {source} holds" in ran.err


@pytest.mark.parametrize("told", [b"", b"\xff\xff", b"9" * 400])
def test_a_pin_that_cannot_be_one_is_refused(told: bytes, pin: Box) -> None:
    with pytest.raises(ConfigurationError, match="PIN"):
        open_signer.open_signer(pin.key("builder-256"), lambda _: told)


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("nothing", "There are 0 private keys"),
        ("rsa", "of a type that airgap does not support"),
        ("bitcoin", "of a type that airgap does not support"),
        ("half", "There are 0 public keys"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused(label: str, why: str, pin: Box) -> None:
    with pytest.raises(ConfigurationError, match=why):
        open_signer.open_signer(pin.key(label), ask)


def test_halves_that_do_not_belong_together_are_found_out(pin: Box) -> None:
    signer = open_signer.open_signer(pin.key("swapped"), ask)

    with pytest.raises(ConfigurationError, match="does not verify"):
        signer.sign("builder", b"manifest")


def test_a_token_that_is_not_plugged_in_is_told_with_those_that_are(pin: Box) -> None:
    del pin
    with pytest.raises(ConfigurationError, match="has 0 matching tokens"):
        open_signer.open_signer("pkcs11:token=vault;object=builder-256", ask)
    with pytest.raises(ConfigurationError, match="has 2 matching tokens") as refused:
        open_signer.open_signer("pkcs11:object=builder-256", ask)

    assert {one.split(" serial=")[0] for one in refused.value.details} == {
        "token=ward",
        "token=ward-spare",
    }


@pytest.mark.parametrize("module", ["/nonexistent.so", "/etc/passwd"])
def test_a_file_that_is_no_module_is_refused(module: str, pin: Box) -> None:
    with pytest.raises(ConfigurationError, match="cannot use the key"):
        open_signer.open_signer(pin.key("builder-256", f"module-path={module}"), ask)


def test_without_a_module_the_way_to_name_one_is_told(
    pin: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRGAP_PKCS11_MODULE")

    with pytest.raises(ConfigurationError, match="No PKCS#11 module") as refused:
        open_signer.open_signer(pin.key("builder-256"), ask)

    assert "AIRGAP_PKCS11_MODULE" in refused.value.hint


def test_without_python_pkcs11_the_extra_is_told(pin: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(ConfigurationError, match="python-pkcs11") as refused:
        open_signer.load_public_key(pin.key("builder-256"), never)

    assert "bento-airgap[pkcs11]" in refused.value.hint


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("", "is not allowed"),
        ("token=ward", "does not name a private key"),
        ("token=ward;object=a;type=cert", "does not name a private key"),
        ("token=ward;object=a;object=b", "is not allowed"),
        ("token=ward;object=", "is not allowed"),
        ("token=ward;object=a;slot=1", "is not allowed"),
        ("token=%ff;object=a", "not UTF-8"),
        ("token=ward;object=a?pin-value=4711", "PIN does not belong on the command line"),
    ],
)
def test_an_address_that_makes_no_sense_is_refused(spec: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as refused:
        open_signer.open_signer(f"pkcs11:{spec}", never)

    assert "4711" not in refused.value.message + refused.value.hint


def test_a_keypad_on_the_token_asks_instead_of_airgap() -> None:
    pkcs11_token = importlib.import_module("airgap.signing.pkcs11_token")

    class Keypad:
        flags = pkcs11.TokenFlag.PROTECTED_AUTHENTICATION_PATH

    address = pkcs11_token.parse("object=a;module-path=/m.so")

    assert pkcs11_token._read_pin(Keypad(), address, never)[0] is pkcs11.PROTECTED_AUTH


def test_a_process_of_its_own_signs_with_a_token(pin: Box, depot: Path, small: Side) -> None:
    ran = small.process("sign", depot, "--key", pin.key("edwards"), "--quiet")

    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == b""
