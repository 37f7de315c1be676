"""Checkpoints of ledgers: signed by a recorder, verified with keys of recorders (format §28.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from airgap.errors import NotTrustedError
from airgap.format import checkpoint as checkpoints
from airgap.format.checkpoint import Checkpoint, NoteSignature
from airgap.format.root import Key
from airgap.printable import quote
from airgap.signing.public_keys import verifies
from airgap.signing.signer import Signer

__all__ = [
    "Cosignature",
    "raw_public_key",
    "sign_checkpoint",
    "verify_checkpoint",
    "verify_cosignatures",
]

_ED25519: Final = "ed25519"
_KEY_BYTES: Final = 32
_TIME_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A valid signature of a witness: the id of its key, the name in the note, and the time."""

    key_id: str
    name: str
    at: int
    """When the witness says it signed, in seconds since 1970."""


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> bytes:
    """Sign a checkpoint as a recorder; return the signed note.

    Raises:
        ConfigurationError: it is not an Ed25519 key, or its keeper refuses.
    """
    signature = signer.sign_text(checkpoint.text)
    key_hash = checkpoints.compute_key_hash(checkpoint.origin, raw_public_key(signer.key))
    return checkpoints.add_signature(
        checkpoint.text, NoteSignature(checkpoint.origin, key_hash, signature)
    )


def verify_checkpoint(
    raw: bytes, keys: Mapping[str, Key], name: str, sites: Sequence[str] = ()
) -> tuple[Checkpoint, tuple[str, ...]]:
    """Verify a signed note as a checkpoint; return it, and the ids of the keys that signed it.

    Signatures by other keys have no meaning.

    Args:
        raw: the signed note.
        keys: the keys that count, by id.
        name: what people call it.
        sites: the sites of whose ledgers it may be; none: of any, and its origin has any form.

    Raises:
        NotTrustedError: none of the keys has signed it, a signature is not that of the key that it
            names, or it is not of a ledger of these sites.
        CorruptError: it is not a checkpoint.
    """
    note = checkpoints.parse_note(raw, name)
    checkpoint = checkpoints.parse_checkpoint(note.text, name)
    if sites and not any(checkpoints.is_origin_of(checkpoint.origin, site) for site in sites):
        raise NotTrustedError(
            f"{name} is of the ledger {quote(checkpoint.origin)}, and not of one of site"
            f" {sites[0]}.",
            "Get the checkpoint of the site whose recorders these are.",
        )
    signers = set()
    for key_id, key in keys.items():
        if key.algorithm != _ED25519:
            continue
        key_hash = checkpoints.compute_key_hash(checkpoint.origin, raw_public_key(key))
        for line in note.signatures:
            if (line.name, line.key_hash) != (checkpoint.origin, key_hash):
                continue
            if not verifies(key, line.signature, note.text):
                raise NotTrustedError(
                    f"{name} has a signature that is not that of key {key_id}.",
                    "It was changed or damaged: get it again from its source.",
                )
            signers.add(key_id)
    if not signers:
        raise NotTrustedError(
            f"{name} is not signed by a recorder that is trusted here.",
            "Compare its key with the recorders of the site's root (`airgap trust show`): it may"
            " have been revoked.",
            (f"ledger: {quote(checkpoint.origin)}, {checkpoint.size:,} entries",),
        )
    return checkpoint, tuple(sorted(signers))


def verify_cosignatures(raw: bytes, keys: Mapping[str, Key], name: str) -> tuple[Cosignature, ...]:
    """Verify what these keys signed as witnesses of a note (format §28.5).

    Lines of other keys have no meaning.

    Raises:
        NotTrustedError: a line that names one of the keys is not its signature.
        CorruptError: it is not a note.
    """
    note = checkpoints.parse_note(raw, name)
    found: list[Cosignature] = []
    for key_id, key in keys.items():
        if key.algorithm != _ED25519:
            continue
        public = raw_public_key(key)
        for line in note.signatures:
            if line.key_hash != checkpoints.compute_key_hash(
                line.name, public, checkpoints.COSIGNATURE
            ):
                continue
            at = int.from_bytes(line.signature[:_TIME_BYTES], "big")
            signed = checkpoints.cosigned_bytes(note.text, at)
            if not verifies(key, line.signature[_TIME_BYTES:], signed):
                raise NotTrustedError(
                    f"{name} has a signature of witness {quote(line.name)} that is not that of key"
                    f" {key_id}.",
                    "It was changed or damaged: get it again from its source.",
                )
            found.append(Cosignature(key_id, line.name, at))
    return tuple(found)


def raw_public_key(key: Key) -> bytes:
    """Return the 32 bytes of an Ed25519 key: they end its SubjectPublicKeyInfo (RFC 8410)."""
    return key.spki[-_KEY_BYTES:]
