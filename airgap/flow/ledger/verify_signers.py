"""Whose signatures a proof has of those that its entry names (format §28.6)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.errors import AirgapError, NotTrustedError
from airgap.flow.ledger.prove import MANIFEST
from airgap.flow.ledger.verify import read_proof_file
from airgap.format import limits
from airgap.format import root as roots
from airgap.format.counted_files import WAIVER, is_counted_file
from airgap.format.envelope import BUNDLE_ROLES, Role
from airgap.format.layout import attestation_beside, parse_envelope_file
from airgap.format.ledger import Entry, digest
from airgap.format.root import Key
from airgap.signing.thresholds import find_valid_attestations, find_valid_signers

__all__ = ["EntrySigner", "verify_signers"]

_ROOT: Final = "root.msgpack"


@dataclass(frozen=True, slots=True)
class EntrySigner:
    """A key that an entry names in a role, and whether its signature is there and valid."""

    role: str
    key_id: str
    is_verified: bool
    """False: the signature, or the key, is not in the folder."""


def verify_signers(folder: Path, entry: Entry) -> tuple[EntrySigner, ...]:
    """Verify the signatures beside a proven entry, over the manifest and what is about the bundle.

    The entry names keys by their ids, which are digests of them: so a key may come from any root.

    Raises:
        NotTrustedError: the manifest is that of another bundle, or a signature is not that of the
            key that it names.
        CorruptError: a file is malformed, or too long.
        StorageError: a file cannot be read.
    """
    manifest = folder / MANIFEST
    if not manifest.exists():
        return _list_unverified(entry)
    raw = read_proof_file(manifest, limits.MANIFEST_BYTES)
    if digest(raw) != entry.bundle:
        raise NotTrustedError(
            f"{manifest} is not the manifest of the bundle that the entry is about.",
            "It was exchanged: get the folder again from its source.",
        )
    keys = _read_keys(folder)
    files = {
        path.name: read_proof_file(path, limits.ENVELOPE_BYTES)
        for path in sorted(folder.iterdir())
        if is_counted_file(path.name)
    }
    try:
        verified = {
            "builder": frozenset(
                find_valid_signers("builder", raw, list(_pick(files, "builder").values()), keys)
            ),
            "waiver": frozenset(_verify_waiver(files, entry, keys)),
            **{
                str(role): frozenset(_verify_attesters(files, entry, role, keys))
                for role in BUNDLE_ROLES
                if role != "builder"
            },
        }
    except AirgapError as error:
        raise error.reword(
            f"{folder}: {error.message}", "It was changed: get the folder again from its source."
        ) from error
    return tuple(
        EntrySigner(role, key_id, key_id in verified.get(role, ()))
        for role, key_ids in entry.signed_by.items()
        for key_id in key_ids
    )


def _list_unverified(entry: Entry) -> tuple[EntrySigner, ...]:
    return tuple(
        EntrySigner(role, key_id, is_verified=False)
        for role, key_ids in entry.signed_by.items()
        for key_id in key_ids
    )


def _read_keys(folder: Path) -> Mapping[str, Key]:
    """Return the keys of the root in the folder, by id; none without a root."""
    path = folder / _ROOT
    if not path.exists():
        return {}
    root = roots.decode(read_proof_file(path, limits.ROOT_BYTES))
    return {key.id: key for key in root.keys}


def _pick(files: Mapping[str, bytes], role: Role) -> dict[str, bytes]:
    """Return the envelopes of a role over the bundle, by name."""
    return {
        name: raw
        for name, raw in files.items()
        if (parsed := parse_envelope_file(name)) and parsed[0] == role
    }


def _verify_attesters(
    files: Mapping[str, bytes], entry: Entry, role: Role, keys: Mapping[str, Key]
) -> Iterator[str]:
    pairs = [
        (files[statement], envelope)
        for name, envelope in _pick(files, role).items()
        if (statement := attestation_beside(name)) in files
    ]
    for key_id, signed in find_valid_attestations(role, entry.bundle or b"", pairs, keys):
        if signed.decision == "accept":
            yield key_id


def _verify_waiver(
    files: Mapping[str, bytes], entry: Entry, keys: Mapping[str, Key]
) -> tuple[str, ...]:
    raw = files.get(WAIVER)
    if raw is None or digest(raw) != entry.waiver:
        return ()
    envelopes = [
        data for name, data in files.items() if name.startswith("waiver.") and name != WAIVER
    ]
    return find_valid_signers("waiver", raw, envelopes, keys)
