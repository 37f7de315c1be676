"""Keys and roots of a site: made on one side, pinned on the other."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.errors import (
    ConfigurationError,
    ConflictError,
    StorageError,
    UsageError,
)
from airgap.format import envelope as dsse
from airgap.format import names
from airgap.format import root as roots
from airgap.format.envelope import Role
from airgap.format.root import ALGORITHMS, Key, RoleKeys, Root
from airgap.signing import private_keys, signers, trust
from airgap.signing.port import Passphrase, Signer
from airgap.store import site

__all__ = [
    "ALGORITHMS",
    "NewKey",
    "create_root",
    "export_public",
    "generate_key",
    "key_fingerprint",
    "load_signer",
    "pin_root",
]

FINGERPRINT_PREFIX: Final = "SHA256:"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key pair that was made."""

    private: Path
    public: Path
    key: Key


def generate_key(folder: Path, name: str, algorithm: str, passphrase: bytes | None) -> NewKey:
    """Make a key pair; see ``private_keys.generate``."""
    if not name or "/" in name or name.startswith("."):
        raise UsageError(f"{name!r} cannot name a key.", "Use a plain name such as builder-2026.")
    private, public, key = private_keys.generate(folder, name, algorithm, passphrase)
    return NewKey(private, public, key)


def key_fingerprint(spec: str, passphrase: Passphrase) -> Key:
    """Return the public half of a key; of a ``NAME.key``, what ``NAME.pub`` beside it says.

    Raises:
        ConfigurationError: it cannot be read or is not a usable key.
    """
    path = Path(spec)
    if signers.is_file(spec) and path.suffix == ".key" and path.with_suffix(".pub").exists():
        spec = str(path.with_suffix(".pub"))
    return signers.public_key(spec, passphrase)


def export_public(spec: str, passphrase: Passphrase, output: Path) -> Key:
    """Write the public half of a key as a ``NAME.pub``, which a root can name.

    Raises:
        ConfigurationError: there is no such key, or the output file is there.
        StorageError: it cannot be written.
    """
    key = signers.public_key(spec, passphrase)
    private_keys.write_public(output, key)
    return key


def load_signer(spec: str, passphrase: Passphrase) -> Signer:
    """Open a private key: a path, ``ssh-agent:…`` or ``pkcs11:…``; see ``signers.open_signer``."""
    return signers.open_signer(spec, passphrase)


def create_root(
    site_id: str,
    root_key: Signer,
    builders: Sequence[Path],
    thresholds: Mapping[str, int],
    output: Path,
) -> tuple[str, Root]:
    """Write version 1 of a site's root and its envelope; return its fingerprint and content.

    Raises:
        UsageError: the site id is no name, or a threshold cannot be reached.
        ConfigurationError: a builder's key cannot be used.
        ConflictError: the output file is there.
        StorageError: it cannot be written.
    """
    if not names.is_tag_part(site_id):
        raise UsageError(
            f"{site_id!r} cannot be a site id.", "Use lower-case letters, digits, '-', '_', '.'."
        )
    keys = {key.id: key for key in map(_public_file, builders)}
    builder = RoleKeys(tuple(sorted(keys)), _threshold(thresholds, len(keys)))
    keys[root_key.key.id] = root_key.key
    roles: dict[Role, RoleKeys] = {"builder": builder, "root": RoleKeys((root_key.key.id,), 1)}
    ordered = tuple(keys[one] for one in sorted(keys))
    raw = roots.encode(Root(site=site_id, version=1, keys=ordered, roles=roles, channels={}))
    stem = output.name.split(".")[0]
    envelope = output.with_name(f"{stem}.{root_key.key.id}.dsse")
    for path, data in ((output, raw), (envelope, dsse.encode(root_key.sign("root", raw)))):
        _write_new(path, data)
    return roots.fingerprint(raw), roots.decode(raw)


def pin_root(path: Path, fingerprint: str) -> tuple[Root, Path, bool]:
    """Trust a root on this machine; return it, where it is kept, and whether that is new.

    Raises:
        UsageError: the fingerprint is not of the form ``SHA256:HEX``.
        NotTrustedError: the root has another fingerprint, or lacks its signatures.
        ConflictError: this machine has pinned another root.
    """
    wanted = _fingerprint(fingerprint)
    raw, envelopes = site.read_root_files(path)
    verified = trust.accept_root(raw, envelopes, wanted)
    known = site.load_root()
    if known is not None and known.fingerprint != wanted:
        raise ConflictError(
            f"This machine already trusts the root {known.fingerprint}.",
            f"If that is really to end, remove {site.home() / 'trust'} and run this again.",
        )
    files = [f"root.{dsse.decode(one).key_id}.dsse" for one in envelopes]
    folder = site.save_root(site.PinnedRoot(raw, envelopes, wanted), files)
    return verified.value, folder, known is None


def _threshold(thresholds: Mapping[str, int], builders: int) -> int:
    unknown = set(thresholds) - {"builder"}
    if unknown:
        raise UsageError(
            f"The role {min(unknown)!r} cannot have a threshold yet.",
            "Write --threshold builder=K.",
        )
    wanted = thresholds.get("builder", 1)
    if not 1 <= wanted <= builders:
        raise UsageError(
            f"A threshold of {wanted} cannot be reached with {builders} different builder keys.",
            "Name more builders, or lower the threshold.",
        )
    return wanted


def _public_file(path: Path) -> Key:
    def ask() -> bytes:
        raise ConfigurationError(
            f"{path} is an encrypted private key.",
            "Name its public half; `airgap key export-public` writes it.",
        )

    return key_fingerprint(str(path), ask)


def _fingerprint(text: str) -> str:
    """Bring a fingerprint that a person typed into its one form."""
    compact = "".join(text.split())
    prefix, digits = compact[: len(FINGERPRINT_PREFIX)], compact[len(FINGERPRINT_PREFIX) :].lower()
    if prefix.upper() != FINGERPRINT_PREFIX or not names.is_bundle_id(digits):
        raise UsageError(
            f"{text!r} is not a fingerprint.",
            "Type SHA256: and the 64 hex digits that `airgap root create` printed.",
        )
    return FINGERPRINT_PREFIX + digits


def _write_new(path: Path, data: bytes) -> None:
    try:
        with suppress(FileExistsError):  # a file in its place: opening says so
            path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError as error:
        raise ConflictError(
            f"{path} is already there.", "Choose another name; roots are never overwritten."
        ) from error
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}.", "Choose another place with -o."
        ) from error
