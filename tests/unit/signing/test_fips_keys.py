"""Keys for FIPS mode: ECDSA in PKCS#8 with PBKDF2; and what is said of the others there."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from airgap.errors import ConfigurationError
from airgap.signing import key_files, openssl_mode, pkcs8, private_keys, public_keys
from tests.support import fips

PASSPHRASE = b"correct horse battery"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")


def ask(_: str) -> bytes:
    return PASSPHRASE


def never(_: str) -> bytes:
    raise AssertionError("no passphrase is needed")


def openssl(*arguments: str | Path) -> str:
    return subprocess.run(
        ["openssl", *map(str, arguments)], check=True, capture_output=True, text=True, timeout=120
    ).stdout


@pytest.mark.parametrize("algorithm", ["ecdsa-p384-sha384", "ecdsa-p256-sha256"])
def test_a_key_for_fips_mode_signs_and_wants_its_passphrase(algorithm: str, tmp_path: Path) -> None:
    secret, _, key = private_keys.generate(tmp_path, "builder", algorithm, PASSPHRASE, fips=True)

    signer = private_keys.load(secret, ask)
    assert signer.key == key
    assert key.algorithm == algorithm
    assert signer.sign("builder", b"manifest").key_id == key.id
    assert key_files.read_protection(secret.read_bytes()) == "PBKDF2"
    with pytest.raises(ConfigurationError, match=r"passphrase for .* is wrong"):
        private_keys.load(secret, lambda _: b"battery staple")


def test_without_a_passphrase_it_is_plain_pkcs8(tmp_path: Path) -> None:
    made = private_keys.generate(tmp_path, "builder", "ecdsa-p384-sha384", None, fips=True)

    assert made[0].read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert private_keys.load(made[0], never).key == made[2]


@needs_openssl
def test_openssl_reads_it_and_names_what_protects_it(tmp_path: Path) -> None:
    secret, public, _ = private_keys.generate(
        tmp_path, "builder", "ecdsa-p384-sha384", PASSPHRASE, fips=True
    )

    read = openssl("pkey", "-in", secret, "-passin", f"pass:{PASSPHRASE.decode()}", "-pubout")
    parsed = openssl("asn1parse", "-in", secret)

    assert read == public.read_text()
    for part in (":PBES2", ":PBKDF2", ":hmacWithSHA256", ":aes-256-cbc"):
        assert part in parsed
    assert f":{pkcs8.PBKDF2_ROUNDS:X}" in parsed.replace(":0", ":")


@pytest.mark.parametrize("algorithm", ["ed25519", "ml-dsa-65"])
def test_no_other_algorithm_is_possible(algorithm: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--fips cannot make") as refused:
        private_keys.generate(tmp_path, "builder", algorithm, None, fips=True)

    assert "ecdsa-p384-sha384" in refused.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_passphrase_that_fips_modules_refuse_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="7 bytes"):
        private_keys.generate(tmp_path, "builder", "ecdsa-p384-sha384", b"1234567", fips=True)

    assert list(tmp_path.iterdir()) == []


def test_a_file_with_scrypt_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, _, _ = private_keys.generate(tmp_path, "builder", "ml-dsa-65", PASSPHRASE)
    fips.refuse_unapproved(monkeypatch)
    monkeypatch.setattr(serialization, "load_pem_private_key", fips.refuse)

    with pytest.raises(ConfigurationError, match="encrypted with scrypt") as refused:
        private_keys.load(secret, ask)

    assert "--fips" in refused.value.hint


def test_what_works_is_found_by_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    assert private_keys.works_here("ed25519")
    assert private_keys.works_here("ecdsa-p384-sha384")

    fips.refuse_unapproved(monkeypatch)

    assert not private_keys.works_here("ed25519")
    assert private_keys.works_here("ecdsa-p384-sha384")
    assert not private_keys.works_here("rsa")


def test_an_algorithm_that_openssl_lacks_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fips.refuse_unapproved(monkeypatch)
    ml_dsa = public_keys.ml_dsa_classes("PrivateKey")["ml-dsa-65"]
    monkeypatch.setattr(ml_dsa, "from_seed_bytes", fips.refuse)

    for algorithm in ("ed25519", "ml-dsa-65"):
        with pytest.raises(ConfigurationError, match=f"Keys for {algorithm} are not available"):
            private_keys.generate(tmp_path, "builder", algorithm, None)


def test_a_root_key_that_openssl_lacks_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = private_keys.generate(tmp_path, "builder", "ed25519", None)[2]
    fips.refuse_unapproved(monkeypatch)

    with pytest.raises(ConfigurationError, match=rf"The key {key.id} is for ed25519, .* FIPS mode"):
        public_keys.check_key(key)


@pytest.mark.parametrize(
    ("text", "protection"),
    [
        (b"hello", ""),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", ""),
        (b"-----BEGIN PRIVATE KEY-----\nAAA\n-----END PRIVATE KEY-----\n", ""),
        (b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END", "unknown"),
        (b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: \n-----END", "MD5"),
    ],
)
def test_how_other_files_are_encrypted_is_read(text: bytes, protection: str) -> None:
    assert key_files.read_protection(text) == protection


@pytest.mark.parametrize(
    ("algorithm", "secret", "protection"),
    [("ed25519", None, ""), ("ed25519", PASSPHRASE, "bcrypt"), ("ml-dsa-65", PASSPHRASE, "scrypt")],
)
def test_how_a_file_made_here_is_encrypted_is_read(
    algorithm: str, secret: bytes | None, protection: str, tmp_path: Path
) -> None:
    path, _, _ = private_keys.generate(tmp_path, "builder", algorithm, secret)

    assert key_files.read_protection(path.read_bytes()) == protection


@pytest.mark.parametrize("text", ["1\n", "0\n", ""])
def test_the_mode_of_the_kernel_is_read(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text:
        (tmp_path / "fips_enabled").write_text(text)
    monkeypatch.setattr(openssl_mode, "_SWITCH", tmp_path / "fips_enabled")

    assert openssl_mode.is_fips_machine() is (text == "1\n")
