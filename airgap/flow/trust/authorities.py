"""Files that a root names by their SHA-256: certificates of authorities, policies (format §7.6)."""

from pathlib import Path
from typing import Final

from airgap.disk.digests import digest_file
from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_small
from airgap.errors import UsageError
from airgap.format import limits
from airgap.format.root import Root
from airgap.printable import quote
from airgap.signing.certificates import NotSelfSignedError, digest_authority

__all__ = ["digest_policy", "find_authority", "read_certificate_digest"]

_SHORTEST: Final = 8


def digest_policy(path: Path) -> bytes:
    """Return the SHA-256 of a policy file.

    Raises:
        MissingError, StorageError: it cannot be read.
    """
    with translate_errors(path):
        return digest_file(path)


def read_certificate_digest(path: Path) -> bytes:
    """Return the SHA-256 of the certificate in a file, PEM or DER.

    Raises:
        UsageError: it does not hold exactly one certificate, or one that is not self-signed.
        MissingError, StorageError: it cannot be read.
    """
    with translate_errors(path):
        data = read_small(path, limits.CERTIFICATE_BYTES)
    try:
        return digest_authority(data)
    except NotSelfSignedError as error:
        raise UsageError(
            f"The certificate in {path} is not self-signed.",
            "Give the one at the top of the authority's chain, that of its CA.",
        ) from error
    except ValueError as error:
        raise UsageError(
            f"{path} does not hold exactly one certificate.",
            "Give the authority's certificate alone, in PEM or DER: `openssl x509 -in FILE` prints"
            " the first of a file.",
        ) from error


def find_authority(root: Root, text: str) -> bytes:
    """Return the certificate that a person means by its file, its SHA-256 or the first digits.

    Raises:
        UsageError: no authority of the root, or several, match.
    """
    if Path(text).is_file():
        return read_certificate_digest(Path(text))
    digits = text.lower().removeprefix("sha256:")
    certificates = [one.certificate for one in root.rules.timestamp_authorities]
    matches = [one for one in certificates if one.hex().startswith(digits)]
    if len(digits) < _SHORTEST or len(matches) != 1:
        raise UsageError(
            f"{quote(text)} matches {len(matches)} authorities of this root.",
            f"Give the certificate's file, its SHA-256, or at least its first {_SHORTEST} digits.",
        )
    return matches[0]
