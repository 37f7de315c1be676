"""FIPS mode for tests: what it refuses is refused at the edge; or a real module, where one is.

``AIRGAP_TEST_FIPS_MODULE`` names the module of an OpenSSL 3, such as the ``fips.so`` of Red Hat
(``/usr/lib64/ossl-modules``), or that of OpenSSL's sources (``./Configure enable-fips``, ``make``).
"""

import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.ciphers import aead, algorithms
from cryptography.hazmat.primitives.kdf import scrypt
from cryptography.hazmat.primitives.serialization import ssh

from airgap.signing import openssl_mode, pkcs8

MODULE = Path(os.environ.get("AIRGAP_TEST_FIPS_MODULE", "/usr/lib64/ossl-modules/fips.so"))
needs_module = pytest.mark.skipif(
    not MODULE.exists(), reason="no FIPS module of OpenSSL (AIRGAP_TEST_FIPS_MODULE) is here"
)
_STARTER = """
from cryptography.hazmat.backends.openssl import backend
backend._enable_fips()
"""
_SETTINGS = """
openssl_conf = openssl_init
.include {folder}/module.cnf
[openssl_init]
providers = providers
alg_section = algorithms
[providers]
fips = fips_sect
base = base
[base]
activate = 1
[algorithms]
default_properties = fips=yes
"""


def refuse(*_: object, **__: object) -> NoReturn:
    raise UnsupportedAlgorithm("not in FIPS mode")


def refuse_unapproved(patch: pytest.MonkeyPatch) -> None:
    """Refuse, in this process, what FIPS modules lack: Ed25519, scrypt, bcrypt, ChaCha20, MD5."""
    patch.setattr(hashes.MD5, "__new__", refuse)
    patch.setattr(ed25519.Ed25519PrivateKey, "generate", refuse)
    patch.setattr(ed25519.Ed25519PublicKey, "from_public_bytes", refuse)
    patch.setattr(algorithms.ChaCha20, "__new__", refuse)
    patch.setattr(pkcs8, "Scrypt", refuse)
    patch.setattr(scrypt, "Scrypt", refuse)
    patch.setattr(aead, "ChaCha20Poly1305", refuse)
    patch.setattr(ssh, "_bcrypt_kdf", refuse)
    patch.setattr(hashlib, "scrypt", refuse)
    patch.setattr(hashlib, "md5", refuse)
    load = serialization.load_der_public_key

    def load_approved(data: bytes) -> object:
        public = load(data)
        return refuse() if isinstance(public, ed25519.Ed25519PublicKey) else public

    patch.setattr(serialization, "load_der_public_key", load_approved)


def switch_on(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the kernel say that it is in FIPS mode."""
    (folder / "fips_enabled").write_text("1\n")
    patch.setattr(openssl_mode, "_SWITCH", folder / "fips_enabled")


def real_environment(folder: Path) -> Mapping[str, str]:
    """Return the variables of a process in which every OpenSSL uses the FIPS module."""
    folder.mkdir(exist_ok=True)
    subprocess.run(
        ["openssl", "fipsinstall", "-module", MODULE, "-out", folder / "module.cnf"],
        check=True,
        capture_output=True,
        timeout=120,
    )
    section = (folder / "module.cnf").read_text()
    (folder / "module.cnf").write_text(f"{section.rstrip()}\nmodule = {MODULE}\n")
    (folder / "openssl.cnf").write_text(_SETTINGS.format(folder=folder))
    (folder / "sitecustomize.py").write_text(_STARTER)
    return {
        "OPENSSL_CONF": str(folder / "openssl.cnf"),
        "OPENSSL_MODULES": str(MODULE.parent),
        "PYTHONPATH": str(folder),
    }
