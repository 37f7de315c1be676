"""Names inside a depot, and the texts that lie beside bundles (format §8)."""

import re
from collections.abc import Sequence
from typing import Final

from airgap.format.envelope import ROLES, Role
from airgap.format.manifest import Pack

__all__ = [
    "BUNDLES",
    "MANIFEST",
    "PACKS",
    "README",
    "README_NAME",
    "checksums",
    "checksums_name",
    "envelope_file",
    "envelope_name",
    "manifest_name",
    "pack_name",
    "parse_envelope_file",
    "parse_manifest_name",
]

BUNDLES: Final = "bundles"
PACKS: Final = "packs"
MANIFEST: Final = "manifest.msgpack"
README_NAME: Final = "README.txt"
README: Final = b"""\
This is an airgap depot: signed bundles of BentoML services and their models.

  bundles/<id>/manifest.msgpack   what the bundle holds; <id> is the SHA-256 of this file
  bundles/<id>/*.dsse             signatures over exactly that file
  packs/                          the content, in files named by their SHA-256

To see whether the files survived the way, with stock tools, from this folder:

  sha256sum -c bundles/<id>/checksums.txt

That finds damage, not forgery. Whether to trust a bundle is decided by its signatures:

  airgap verify THIS_FOLDER

or with openssl, as the documentation of airgap shows (docs/verify-with-openssl.md).
"""

_ENVELOPE = re.compile(rf"({'|'.join(ROLES)})\.([0-9a-f]{{64}})\.dsse")
_MANIFEST = re.compile(r"bundles/([0-9a-f]{64})/manifest\.msgpack")


def manifest_name(bundle: str) -> str:
    """Name the manifest of a bundle."""
    return f"{BUNDLES}/{bundle}/{MANIFEST}"


def parse_manifest_name(name: str) -> str | None:
    """Return the bundle id in a manifest's name, or None if it is no such name."""
    found = _MANIFEST.fullmatch(name)
    return found[1] if found else None


def envelope_file(role: Role, key_id: str) -> str:
    """Name an envelope within its bundle's folder."""
    return f"{role}.{key_id}.dsse"


def envelope_name(bundle: str, role: Role, key_id: str) -> str:
    """Name an envelope within its depot."""
    return f"{BUNDLES}/{bundle}/{envelope_file(role, key_id)}"


def parse_envelope_file(name: str) -> tuple[Role, str] | None:
    """Return role and key id of an envelope's file name, or None if it is no such name."""
    found = _ENVELOPE.fullmatch(name)
    if found is None:
        return None
    return next(role for role in ROLES if role == found[1]), found[2]


def pack_name(digest: bytes) -> str:
    """Name a pack within its depot."""
    return f"{PACKS}/{digest.hex()[:2]}/{digest.hex()}.pack"


def checksums_name(bundle: str) -> str:
    """Name a bundle's checksums within its depot."""
    return f"{BUNDLES}/{bundle}/checksums.txt"


def checksums(bundle: str, packs: Sequence[Pack]) -> bytes:
    """List manifest and packs for ``sha256sum -c`` from the depot's top."""
    rows = [f"{bundle}  {manifest_name(bundle)}\n"]
    rows += [f"{pack.digest.hex()}  {pack_name(pack.digest)}\n" for pack in packs]
    return "".join(rows).encode()
