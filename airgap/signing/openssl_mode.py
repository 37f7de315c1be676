"""Whether this machine is in FIPS mode, and whether the OpenSSL of ``cryptography`` is.

The two differ: the wheels of ``cryptography`` on a package index bring an OpenSSL of their own, to
which the kernel's mode means nothing.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives import hashes

__all__ = ["UNAVAILABLE", "describe_openssl", "is_fips_enforced", "is_fips_machine"]

UNAVAILABLE: Final = (UnsupportedAlgorithm, InternalError)
"""What cryptography raises for an algorithm that its OpenSSL lacks, or must not offer."""
_SWITCH: Final = Path("/proc/sys/crypto/fips_enabled")


def is_fips_machine() -> bool:
    """Tell whether the kernel is in FIPS mode."""
    with suppress(OSError):
        return _SWITCH.read_bytes().strip() == b"1"
    return False


def is_fips_enforced() -> bool:
    """Tell whether the OpenSSL that signs and verifies here refuses what FIPS 140 does not allow.

    MD5 is the question: no FIPS module has it.
    """
    try:
        hashes.Hash(hashes.MD5())  # noqa: S303  (nothing is hashed)
    except UNAVAILABLE:
        return True
    return False


def describe_openssl() -> str:
    """Return the version of the OpenSSL that signs and verifies here."""
    return str(backend.openssl_version_text())
