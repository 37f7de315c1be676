"""Private keys in files: made here, made elsewhere, and refused."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from airgap.disk import durable
from airgap.errors import AirgapError, ConfigurationError, StorageError
from airgap.format.root import ALGORITHMS
from airgap.signing import open_signer, pkcs8, private_keys, public_keys
from airgap.signing.public_keys import verifies
from airgap.signing.signer import Passphrase
from tests.support import sides

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")
needs_ml_dsa_openssl = pytest.mark.skipif(
    not sides.openssl_has("ML-DSA-65"), reason="this openssl has no ML-DSA; 3.5 and later have"
)
needs_ssh_keygen = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen (openssh-client) is not here"
)
ELSEWHERE = {
    "ed25519": ["-algorithm", "ed25519"],
    "ecdsa-p256-sha256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "ecdsa-p384-sha384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
}
SSH = {
    "ed25519": ["-t", "ed25519"],
    "ecdsa-p256-sha256": ["-t", "ecdsa", "-b", "256"],
    "ecdsa-p384-sha384": ["-t", "ecdsa", "-b", "384"],
}
PASSPHRASE = b"correct horse"


def never(_: str) -> bytes:
    raise AssertionError("no passphrase is needed")


def passphrase(_: str) -> bytes:
    return PASSPHRASE


def wrong(_: str) -> bytes:
    return b"battery staple"


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=120)


def genpkey(path: Path, *arguments: str) -> Path:
    openssl("genpkey", *arguments, "-out", path)
    path.chmod(0o600)
    return path


def ssh_keygen(path: Path, *arguments: str, secret: str = "") -> Path:
    command = ["ssh-keygen", "-q", *arguments, "-N", secret, "-C", "me@here", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return path


def signs(path: Path, ask: Passphrase, algorithm: str) -> bool:
    signer = private_keys.load(path, ask)
    envelope = signer.sign("builder", b"manifest")
    kind = envelope.payload_type.encode()
    message = b"DSSEv1 %d %b 8 manifest" % (len(kind), kind)
    return signer.key.algorithm == algorithm and verifies(signer.key, envelope.signature, message)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_made_here_without_passphrase_signs(algorithm: str, tmp_path: Path) -> None:
    private_keys.generate(tmp_path, "builder", algorithm, None)

    assert signs(tmp_path / "builder.key", never, algorithm)


@pytest.mark.parametrize("algorithm", ["ed25519", "ml-dsa-65"])
def test_a_key_made_here_with_a_passphrase_signs_and_wants_it(
    algorithm: str, tmp_path: Path
) -> None:
    private_keys.generate(tmp_path, "builder", algorithm, PASSPHRASE)

    assert signs(tmp_path / "builder.key", passphrase, algorithm)
    with pytest.raises(ConfigurationError, match=r"passphrase for .* is wrong"):
        private_keys.load(tmp_path / "builder.key", wrong)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_public_file_holds_the_key_of_the_private_one(algorithm: str, tmp_path: Path) -> None:
    secret, public, key = private_keys.generate(tmp_path, "builder", algorithm, None)

    assert open_signer.load_public_key(str(public), never) == key
    assert open_signer.load_public_key(str(secret), never) == key
    assert key.algorithm == algorithm


def test_an_unknown_algorithm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'rsa' is unknown"):
        private_keys.generate(tmp_path, "builder", "rsa", None)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("written", [0, 1])
@pytest.mark.parametrize("step", ["flush", "sync_folder"])
def test_a_disk_that_refuses_a_key_is_left_without_it(
    step: str, written: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        if sum(1 for _ in tmp_path.iterdir()) > written:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(durable, step, fail)

    with pytest.raises(StorageError, match="cannot be written: No space left on device"):
        private_keys.generate(tmp_path, "builder", "ed25519", None)

    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_no_key_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(durable, "flush", interrupt)

    with pytest.raises(KeyboardInterrupt):
        private_keys.generate(tmp_path, "builder", "ed25519", None)

    assert list(tmp_path.iterdir()) == []


@needs_openssl
@pytest.mark.parametrize("algorithm", ELSEWHERE)
def test_pkcs8_of_openssl_signs(algorithm: str, tmp_path: Path) -> None:
    assert signs(genpkey(tmp_path / "key.pem", *ELSEWHERE[algorithm]), never, algorithm)


@needs_openssl
@pytest.mark.parametrize("algorithm", ELSEWHERE)
def test_encrypted_pkcs8_of_openssl_signs(algorithm: str, tmp_path: Path) -> None:
    protect = ("-aes-256-cbc", "-pass", f"pass:{PASSPHRASE.decode()}")
    path = genpkey(tmp_path / "key.pem", *ELSEWHERE[algorithm], *protect)

    assert signs(path, passphrase, algorithm)


SEED_ONLY = ("-provparam", "ml-dsa.output_formats=seed-only")


@needs_ml_dsa_openssl
@pytest.mark.parametrize("protect", [(), ("-aes-256-cbc", "-pass", "pass:correct horse")])
def test_an_ml_dsa_key_of_openssl_signs(protect: tuple[str, ...], tmp_path: Path) -> None:
    path = genpkey(tmp_path / "key.pem", "-algorithm", "ML-DSA-65", *SEED_ONLY, *protect)

    assert signs(path, passphrase, "ml-dsa-65")


@needs_ml_dsa_openssl
@pytest.mark.parametrize("protect", [(), ("-aes-256-cbc", "-pass", "pass:correct horse")])
def test_the_long_form_of_an_ml_dsa_key_is_refused_with_the_way_to_the_short_one(
    protect: tuple[str, ...], tmp_path: Path
) -> None:
    path = genpkey(tmp_path / "key.pem", "-algorithm", "ML-DSA-65", *protect)

    with pytest.raises(ConfigurationError) as refused:
        private_keys.load(path, passphrase)

    assert "output_formats=seed-only" in refused.value.hint


@needs_ml_dsa_openssl
def test_openssl_reads_an_encrypted_ml_dsa_key_that_was_made_here(tmp_path: Path) -> None:
    secret, public, _ = private_keys.generate(tmp_path, "builder", "ml-dsa-87", PASSPHRASE)

    openssl(
        "pkey", "-in", secret, "-passin", "pass:correct horse", "-pubout", "-out", f"{public}.2"
    )

    assert Path(f"{public}.2").read_bytes() == public.read_bytes()


@needs_openssl
@pytest.mark.parametrize("protect", [(), ("-aes256", "-passout", "pass:correct horse")])
def test_the_older_form_of_openssl_signs(protect: tuple[str, ...], tmp_path: Path) -> None:
    made = genpkey(tmp_path / "new.pem", *ELSEWHERE["ecdsa-p256-sha256"])
    path = tmp_path / "old.pem"
    openssl("pkey", "-in", made, "-traditional", *protect, "-out", path)
    path.chmod(0o600)

    assert b"BEGIN EC PRIVATE KEY" in path.read_bytes()
    assert signs(path, passphrase, "ecdsa-p256-sha256")


@needs_openssl
def test_a_wrong_passphrase_of_encrypted_pkcs8_is_told(tmp_path: Path) -> None:
    protect = ("-aes-256-cbc", "-pass", "pass:correct horse")
    path = genpkey(tmp_path / "key.pem", *ELSEWHERE["ed25519"], *protect)

    with pytest.raises(ConfigurationError, match=r"passphrase for .* is wrong"):
        private_keys.load(path, wrong)


@needs_ssh_keygen
@pytest.mark.parametrize("algorithm", SSH)
def test_a_key_of_ssh_keygen_signs(algorithm: str, tmp_path: Path) -> None:
    assert signs(ssh_keygen(tmp_path / "id", *SSH[algorithm]), never, algorithm)


@needs_ssh_keygen
def test_an_encrypted_key_of_ssh_keygen_signs_and_wants_its_passphrase(tmp_path: Path) -> None:
    path = ssh_keygen(tmp_path / "id", "-t", "ed25519", "-a", "4", secret=PASSPHRASE.decode())

    assert signs(path, passphrase, "ed25519")
    with pytest.raises(ConfigurationError, match=r"passphrase for .* is wrong"):
        private_keys.load(path, wrong)


@needs_ssh_keygen
@pytest.mark.parametrize("algorithm", SSH)
def test_the_public_file_of_ssh_keygen_can_be_read(algorithm: str, tmp_path: Path) -> None:
    path = ssh_keygen(tmp_path / "id", *SSH[algorithm])

    read = open_signer.load_public_key(f"{path}.pub", never)

    assert read == private_keys.load(path, never).key


@needs_openssl
@pytest.mark.parametrize(
    "arguments",
    [
        ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
        ("-algorithm", "ed448"),
        ("-algorithm", "x25519"),
        ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"),
        ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"),
        ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:sect283k1"),
    ],
    ids=["rsa", "ed448", "x25519", "p521", "secp256k1", "sect283k1"],
)
@pytest.mark.parametrize("protect", [(), ("-aes-256-cbc", "-pass", "pass:correct horse")])
def test_a_key_for_another_algorithm_is_refused(
    arguments: tuple[str, ...], protect: tuple[str, ...], tmp_path: Path
) -> None:
    path = genpkey(tmp_path / "key.pem", *arguments, *protect)

    with pytest.raises(ConfigurationError) as refused:
        private_keys.load(path, passphrase)

    assert "ecdsa-p256-sha256" in refused.value.hint


@needs_openssl
def test_a_dsa_key_is_refused(tmp_path: Path) -> None:
    parameters = tmp_path / "dsa.parameters"
    openssl(
        "genpkey", "-genparam", "-algorithm", "DSA", "-pkeyopt", "dsa_paramgen_bits:1024",
        "-pkeyopt", "dsa_paramgen_q_bits:160", "-out", parameters,
    )  # fmt: skip
    path = genpkey(tmp_path / "key.pem", "-paramfile", str(parameters))

    with pytest.raises(ConfigurationError):
        private_keys.load(path, never)


@needs_ssh_keygen
@pytest.mark.parametrize("secret", ["", "correct horse"])
def test_an_rsa_key_of_ssh_keygen_is_refused(secret: str, tmp_path: Path) -> None:
    path = ssh_keygen(tmp_path / "id", "-t", "rsa", "-b", "2048", secret=secret)

    with pytest.raises(ConfigurationError) as refused:
        private_keys.load(path, passphrase)

    assert "ecdsa-p256-sha256" in refused.value.hint


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return private_keys.generate(tmp_path, "builder", "ed25519", None)[0]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_that_others_can_reach_is_refused(key: Path, mode: int) -> None:
    key.chmod(mode)

    with pytest.raises(StorageError, match=f"mode {mode:04o}"):
        private_keys.load(key, never)


def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)

    with pytest.raises(ConfigurationError, match="not a regular file"):
        private_keys.load(tmp_path / "fifo", never)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a regular file"):
        private_keys.load(tmp_path, never)


def test_a_device_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not a regular file"):
        private_keys.load(Path("/dev/zero"), never)


@pytest.mark.parametrize(
    ("name", "error"),
    [("nothing.key", ConfigurationError), ("builder.key/below", StorageError)],
)
def test_a_path_that_leads_nowhere_is_refused(
    key: Path, name: str, error: type[AirgapError]
) -> None:
    with pytest.raises(error):
        private_keys.load(key.parent / name, never)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    ],
)
def test_what_is_no_key_is_refused(key: Path, content: bytes) -> None:
    key.write_bytes(content)

    with pytest.raises(ConfigurationError):
        private_keys.load(key, passphrase)


def test_the_public_file_is_not_taken_for_a_private_key(key: Path) -> None:
    public = key.with_suffix(".pub")
    public.chmod(0o600)

    with pytest.raises(ConfigurationError, match="not a private key"):
        private_keys.load(public, never)


@needs_openssl
def test_openssl_reads_what_is_encrypted_with_scrypt(tmp_path: Path) -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    der = private.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "key.pem").write_bytes(pkcs8.encrypt(der, PASSPHRASE))

    openssl(
        "pkey", "-in", tmp_path / "key.pem", "-passin", "pass:correct horse",
        "-outform", "DER", "-out", tmp_path / "key.der",
    )  # fmt: skip

    assert (tmp_path / "key.der").read_bytes() == der


@pytest.mark.parametrize("algorithm", ["ml-dsa-65", "ml-dsa-87"])
def test_without_ml_dsa_no_such_key_is_made(
    algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_keys, "mldsa", None)

    with pytest.raises(ConfigurationError, match="does not support") as refused:
        private_keys.generate(tmp_path, "builder", algorithm, None)

    assert "cryptography" in refused.value.hint
    assert list(tmp_path.iterdir()) == []


def test_where_cryptography_is_older_a_key_that_is_not_opened_might_be_ml_dsa(
    key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_keys, "mldsa", None)
    key.write_bytes(b"a key that cannot be read")

    with pytest.raises(ConfigurationError, match="not a private key") as private:
        private_keys.load(key, never)
    with pytest.raises(ConfigurationError, match="unknown type") as public:
        open_signer.load_public_key(str(key), never)

    assert "ML-DSA" in private.value.hint
    assert "ML-DSA" in public.value.hint


def test_a_long_file_that_is_not_read_might_be_the_long_form_of_ml_dsa(key: Path) -> None:
    lines = b"A" * 64 + b"\n"
    key.write_bytes(b"-----BEGIN PRIVATE KEY-----\n" + lines * 84 + b"-----END PRIVATE KEY-----\n")

    with pytest.raises(ConfigurationError, match="not a private key") as refused:
        private_keys.load(key, never)

    assert "output_formats=seed-only" in refused.value.hint
