"""Private keys in files (format §6.3, §7.2)."""

import stat
from pathlib import Path
from typing import NoReturn

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from airgap.errors import ConfigurationError, StorageError
from airgap.format.root import ALGORITHMS
from airgap.signing import private_keys, public_keys

PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8
PLAIN = serialization.NoEncryption()


def never(_: str) -> NoReturn:
    raise AssertionError("was asked for a passphrase")


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_that_was_made_signs(algorithm: str, tmp_path: Path) -> None:
    secret, public, key = private_keys.generate(tmp_path / "new", "mine", algorithm, None)

    assert (secret, public) == (tmp_path / "new/mine.key", tmp_path / "new/mine.pub")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert private_keys.load(secret, never).key == key
    assert public_keys.load_pem(public.read_bytes()) == key


def test_an_encrypted_key_opens_with_its_passphrase_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_keys, "_ROUNDS", 1)
    secret, _, key = private_keys.generate(tmp_path, "mine", "ed25519", b"correct")

    assert private_keys.load(secret, lambda _: b"correct").key == key
    for wrong in (b"wrong", b""):
        with pytest.raises(ConfigurationError, match=r"passphrase for .* is wrong"):
            private_keys.load(secret, lambda wrong=wrong: wrong)  # type: ignore[misc]


def test_keys_made_elsewhere_are_read(tmp_path: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    plain = put(tmp_path / "a.key", private.private_bytes(PEM, PKCS8, PLAIN))
    locked = serialization.BestAvailableEncryption(b"word")
    encrypted = put(tmp_path / "b.key", private.private_bytes(PEM, PKCS8, locked))

    made = private_keys.load(plain, never).key
    assert private_keys.load(encrypted, lambda _: b"word").key == made


def test_an_unknown_algorithm_makes_no_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'rsa' is unknown"):
        private_keys.generate(tmp_path, "mine", "rsa", None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["mine.key", "mine.pub"])
def test_a_key_is_never_overwritten(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("precious")

    with pytest.raises(ConfigurationError, match="never overwritten"):
        private_keys.generate(tmp_path, "mine", "ed25519", None)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


def test_a_key_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "mine.key").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StorageError, match="cannot be written"):
        private_keys.generate(tmp_path, "mine", "ed25519", None)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o644])
def test_a_key_that_others_can_reach_is_refused(mode: int, tmp_path: Path) -> None:
    secret, *_ = private_keys.generate(tmp_path, "mine", "ed25519", None)
    secret.chmod(mode)

    with pytest.raises(StorageError, match=f"mode {mode:04o}") as caught:
        private_keys.load(secret, never)
    assert caught.value.hint == f"Run: chmod 600 {secret}"


def test_a_key_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no private key at"):
        private_keys.load(tmp_path / "mine.key", never)


def test_a_folder_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a regular file"):
        private_keys.load(tmp_path, never)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"text",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ed25519.Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    ],
    ids=["nothing", "text", "a broken OpenSSH key", "a broken PKCS#8 key", "a public key"],
)
def test_another_file_is_no_key(text: bytes, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a private key"):
        private_keys.load(put(tmp_path / "mine.key", text), never)


def test_the_public_half_is_no_key_rather_than_one_that_others_can_read(tmp_path: Path) -> None:
    private_keys.generate(tmp_path, "mine", "ed25519", None)

    with pytest.raises(ConfigurationError, match="is not a private key"):
        private_keys.load(tmp_path / "mine.pub", never)


@pytest.mark.parametrize(
    ("private", "told"),
    [
        (rsa.generate_private_key(65537, 2048), "A public key is not Ed25519"),
        (ed448.Ed448PrivateKey.generate(), "A public key is not Ed25519"),
        (ec.generate_private_key(ec.SECP521R1()), "cannot be used"),
    ],
    ids=["RSA", "Ed448", "P-521"],
)
def test_a_key_of_another_kind_is_refused(
    private: rsa.RSAPrivateKey | ed448.Ed448PrivateKey | ec.EllipticCurvePrivateKey,
    told: str,
    tmp_path: Path,
) -> None:
    key = put(tmp_path / "mine.key", private.private_bytes(PEM, PKCS8, PLAIN))

    with pytest.raises(ConfigurationError, match=told):
        private_keys.load(key, never)
