"""Names of the files in a depot, and its texts for people (format §8)."""

import re
from collections.abc import Sequence
from typing import Final

from airgap.format.attachment import FINDINGS, STATEMENT, parse_attachment_file
from airgap.format.attestation import ATTESTING_ROLES, DEFAULT_NAMES, is_name
from airgap.format.envelope import BUNDLE_ROLES, Role
from airgap.format.manifest import Pack

__all__ = [
    "ARCHIVE_SUFFIX",
    "BUNDLES",
    "GC",
    "KIT_NAMES",
    "MANIFEST",
    "PACKS",
    "README",
    "README_NAME",
    "ROOTS",
    "VERIFIER_NAME",
    "VOLUME_TEXT_NAME",
    "attestation_beside",
    "attestation_file",
    "checksums_name",
    "envelope_file",
    "envelope_name",
    "findings_file",
    "is_archive_name",
    "is_bundle_file",
    "is_marks",
    "is_pack",
    "is_parity",
    "is_part",
    "is_sealed_file",
    "is_sweep",
    "label_name",
    "list_checksums",
    "manifest_name",
    "marks_name",
    "pack_name",
    "parity_file",
    "parity_folder",
    "parity_index_name",
    "parity_name",
    "parse_attestation_file",
    "parse_envelope_file",
    "parse_manifest_name",
    "parse_root_file",
    "root_envelope_name",
    "root_name",
    "statement_file",
    "sweep_name",
]

ARCHIVE_SUFFIX: Final = ".airgap"
BUNDLES: Final = "bundles"
PACKS: Final = "packs"
ROOTS: Final = "roots"
GC: Final = "gc"
MANIFEST: Final = "manifest.msgpack"
README_NAME: Final = "README.txt"
KIT_NAMES: Final = ("install.py", "curves.py")
"""The programs that lie in a kit and not in another depot."""
VERIFIER_NAME: Final = "verify.py"
VOLUME_TEXT_NAME: Final = "VOLUME.txt"
README: Final = b"""\
This is an airgap depot: signed bundles of BentoML services and their models. On the machine that is
to run them, with airgap and with the fingerprint of your site's root, which came on paper or by
phone:

  airgap trust init THIS_FOLDER   once; it asks for the fingerprint
  airgap import THIS_FOLDER       verifies every byte, then installs

`airgap inspect THIS_FOLDER` shows what is here, and `airgap verify THIS_FOLDER` checks it and
writes nothing. Without airgap, with Python and openssl and the program beside this file:

  python3 verify.py THIS_FOLDER --root root.msgpack --fingerprint SHA256:...

Anyone who can change this folder can change that program, too. To rely on it, take verify.py, the
root and its fingerprint from a source that you trust. The copy here is good for use only if its
SHA-256 is that of your own.

What lies here:

  bundles/<id>/manifest.msgpack   what the bundle holds; <id> is the SHA-256 of this file
  bundles/<id>/builder.*.dsse     signatures over exactly that file
  bundles/<id>/*.attestation      what scanners and approvers say of it, each signed (.dsse)
  packs/                          the content, in files named by their SHA-256
  roots/                          whom sites trust; only your fingerprint proves which is yours

To find damaged files with standard tools, run in this folder; it does not find forgery:

  sha256sum -c bundles/<id>/checksums.txt
"""

_SIGNED = re.compile(
    rf"({'|'.join(BUNDLE_ROLES)})(?:\.([-a-z0-9]+))?\.([0-9a-f]{{64}})\.(dsse|attestation)"
)
_ROOT = re.compile(r"([1-9][0-9]{0,15})\.root\.msgpack")
_ROOT_ENVELOPE = re.compile(r"([1-9][0-9]{0,15})\.[0-9a-f]{64}\.dsse")
_MODEL_SIGNATURE = re.compile(r"[0-9a-f]{64}\.model\.sig")
_PACK = re.compile(r"[0-9a-f]{64}\.pack")
_MARKS = re.compile(r"[0-9a-f]{32}\.marks")
_SWEEP = re.compile(r"[0-9a-f]{32}\.sweep")
_PARITY = re.compile(r"[0-9a-f]{64}\.parity")
_PART = re.compile(r"(\.[0-9a-f]{16})?\.part$")
_MANIFEST = re.compile(r"bundles/([0-9a-f]{64})/manifest\.msgpack")


def is_archive_name(name: str) -> bool:
    """Tell whether a name ends in ``.airgap``, in upper or lower case (format §10)."""
    return name.lower().endswith(ARCHIVE_SUFFIX)


def manifest_name(bundle: str) -> str:
    """Name the manifest of a bundle within its depot."""
    return f"{BUNDLES}/{bundle}/{MANIFEST}"


def parse_manifest_name(name: str) -> str | None:
    """Return the bundle id in the name of a manifest; None for another name."""
    match = _MANIFEST.fullmatch(name)
    return match[1] if match else None


def envelope_file(role: Role, key_id: str, attested: str = "") -> str:
    """Name an envelope within its bundle's folder; ``attested`` is an attestation's name."""
    return f"{_signer(role, attested)}.{key_id}.dsse"


def envelope_name(bundle: str, role: Role, key_id: str) -> str:
    """Name an envelope within its depot."""
    return f"{BUNDLES}/{bundle}/{envelope_file(role, key_id)}"


def parse_envelope_file(name: str) -> tuple[Role, str] | None:
    """Return role and key id in the file name of an envelope; None for another name."""
    return _parse_signed_file(name, "dsse")


def attestation_file(role: Role, key_id: str, attested: str = "") -> str:
    """Name an attestation, whose own name is ``attested``, within its bundle's folder."""
    return f"{_signer(role, attested)}.{key_id}.attestation"


def findings_file(attestation: str) -> str:
    """Name the findings of an attestation, by its own file name (format §24)."""
    return f"{attestation.removesuffix('attestation')}{FINDINGS}"


def statement_file(attestation: str) -> str:
    """Name the statement that says what an attestation says (format §31.3)."""
    return f"{attestation.removesuffix('attestation')}{STATEMENT}"


def parse_attestation_file(name: str) -> tuple[Role, str] | None:
    """Return role and key id in the file name of an attestation; None for another name."""
    parsed = _parse_signed_file(name, "attestation")
    return parsed if parsed and parsed[0] in ATTESTING_ROLES else None


def attestation_beside(envelope: str) -> str:
    """Name the attestation that belongs to an envelope of a scanner or an approver (format §14)."""
    return f"{envelope.removesuffix('.dsse')}.attestation"


def _signer(role: Role, attested: str) -> str:
    """Return what a signature's file name begins with: the default name is left out (§14)."""
    return role if attested in ("", DEFAULT_NAMES.get(role)) else f"{role}.{attested}"


def _parse_signed_file(name: str, suffix: str) -> tuple[Role, str] | None:
    match = _SIGNED.fullmatch(name)
    if match is None or match[4] != suffix:
        return None
    role, attested = next(role for role in BUNDLE_ROLES if role == match[1]), match[2]
    if attested and (
        role not in ATTESTING_ROLES or not is_name(attested) or attested == DEFAULT_NAMES[role]
    ):
        return None
    return role, match[3]


def root_name(version: int) -> str:
    """Name a root that travels, within its depot."""
    return f"{ROOTS}/{version}.root.msgpack"


def root_envelope_name(version: int, key_id: str) -> str:
    """Name an envelope of a root that travels, within its depot."""
    return f"{ROOTS}/{version}.{key_id}.dsse"


def parse_root_file(name: str) -> tuple[int, bool] | None:
    """Return the version in a file name below ``roots/`` and whether it is the root itself.

    None for a name that is neither a root's nor an envelope's.
    """
    for pattern in (_ROOT, _ROOT_ENVELOPE):
        match = pattern.fullmatch(name)
        if match:
            return int(match[1]), pattern is _ROOT
    return None


def pack_name(digest: bytes) -> str:
    """Name a pack within its depot."""
    return f"{PACKS}/{digest.hex()[:2]}/{digest.hex()}.pack"


def label_name(bundle: str) -> str:
    """Name the label of a volume within it (format §19)."""
    return f"{BUNDLES}/{bundle}/volume.json"


def parity_index_name(bundle: str) -> str:
    """Name a bundle's parity index within its depot (format §20)."""
    return f"{BUNDLES}/{bundle}/parity.msgpack"


def parity_folder(bundle: str) -> str:
    """Name the folder of a bundle's parity packs within its depot."""
    return f"{BUNDLES}/{bundle}/parity"


def parity_name(bundle: str, digest: bytes) -> str:
    """Name a parity pack within its depot."""
    return f"{parity_folder(bundle)}/{parity_file(digest)}"


def parity_file(digest: bytes) -> str:
    """Name a parity pack within its folder."""
    return f"{digest.hex()}.parity"


def is_parity(name: str) -> bool:
    """Tell whether a file name is that of a parity pack, complete or not."""
    return _PARITY.fullmatch(_strip_part(name)) is not None


def is_pack(name: str) -> bool:
    """Tell whether a file name is that of a pack, complete or not."""
    return _PACK.fullmatch(_strip_part(name)) is not None


def is_part(name: str) -> bool:
    """Tell whether a file name is that of an incomplete upload."""
    return _PART.search(name) is not None


def marks_name(run: str) -> str:
    """Name the marks of a garbage collection, by its 32 random hex digits (format §23)."""
    return f"{GC}/{run}.marks"


def sweep_name(run: str) -> str:
    """Name the sweep of a garbage collection, by its 32 random hex digits (format §23)."""
    return f"{GC}/{run}.sweep"


def is_marks(name: str) -> bool:
    """Tell whether a file name in ``gc`` is that of marks."""
    return _MARKS.fullmatch(name) is not None


def is_sweep(name: str) -> bool:
    """Tell whether a file name in ``gc`` is that of a sweep."""
    return _SWEEP.fullmatch(name) is not None


def is_bundle_file(name: str) -> bool:
    """Tell whether a file name in a bundle's folder is one of format §8, §18 to §20, §24.

    The file may be an incomplete upload.
    """
    name = _strip_part(name)
    if name in (MANIFEST, "checksums.txt", "volume.json", "parity.msgpack"):
        return True
    return is_sealed_file(name)


def is_sealed_file(name: str) -> bool:
    """Tell whether a file beside a manifest goes into the seal with it (format §34.4)."""
    is_signature = parse_envelope_file(name) or parse_attestation_file(name)
    return bool(is_signature or _MODEL_SIGNATURE.fullmatch(name) or parse_attachment_file(name))


def _strip_part(name: str) -> str:
    """Return the final name of an incomplete upload."""
    return _PART.sub("", name)


def checksums_name(bundle: str) -> str:
    """Name a bundle's checksums within its depot."""
    return f"{BUNDLES}/{bundle}/checksums.txt"


def list_checksums(bundle: str, packs: Sequence[Pack], parity: Sequence[bytes] = ()) -> bytes:
    """List manifest, packs and parity packs for ``sha256sum -c`` from the depot's top."""
    rows = [f"{bundle}  {manifest_name(bundle)}\n"]
    rows += [f"{pack.digest.hex()}  {pack_name(pack.digest)}\n" for pack in packs]
    rows += [f"{digest.hex()}  {parity_name(bundle, digest)}\n" for digest in parity]
    return "".join(rows).encode()
