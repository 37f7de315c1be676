"""Counts valid signatures per role (format §7.3, §14); thresholds are applied in ``trust``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airgap.errors import NotTrustedError
from airgap.format import attestation
from airgap.format import envelope as dsse
from airgap.format.attestation import Attestation
from airgap.format.envelope import PAYLOAD_TYPES, Purpose, Role
from airgap.format.root import Key
from airgap.signing.public_keys import verifies

__all__ = ["Evidence", "Pair", "find_valid_attestations", "find_valid_signers"]

Pair = tuple[bytes, bytes]
"""An attestation and its envelope, as they were read."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What lies beside a manifest and speaks for or against it. Nothing of it is checked yet."""

    envelopes: Sequence[bytes]
    attestations: Mapping[Role, Sequence[Pair]] = field(default_factory=dict)


def find_valid_signers(
    purpose: Purpose, payload: bytes, envelopes: Sequence[bytes], keys: Mapping[str, Key]
) -> tuple[str, ...]:
    """Return the sorted ids of the distinct keys whose valid signatures are there (format §7.3).

    Signatures of unknown keys are passed over: they prove nothing and harm nothing.

    Raises:
        NotTrustedError: an envelope is malformed, for another payload type, or carries a
            known key's id with a signature that is not that key's.
    """
    message = dsse.signed_bytes(PAYLOAD_TYPES[purpose], payload)
    found = set()
    for raw in envelopes:
        one = dsse.decode(raw)
        if one.payload_type != PAYLOAD_TYPES[purpose]:
            wanted = "a waiver" if purpose == "waiver" else f"the role {purpose}"
            raise NotTrustedError(
                f"A signature file is for {one.payload_type!r:.80}, not for {wanted}.",
                "Copy the bundle from its source again.",
            )
        key = keys.get(one.key_id)
        if key is None:
            continue
        if not verifies(key, one.signature, message):
            raise NotTrustedError(
                f"The signature of key {one.key_id[:16]}… does not match.",
                "The bundle was changed or damaged on the way: copy it from its source again.",
            )
        found.add(one.key_id)
    return tuple(sorted(found))


def find_valid_attestations(
    role: Role, bundle: bytes, pairs: Sequence[Pair], keys: Mapping[str, Key]
) -> list[tuple[str, Attestation]]:
    """Return what the keys of a role say of a bundle, with the key that says it (format §14).

    Raises:
        NotTrustedError: as ``find_valid_signers``, or a signed attestation is for another bundle
            or role.
        CorruptError: a signed document is not an attestation.
    """
    said = []
    for statement, envelope in pairs:
        for key_id in find_valid_signers(role, statement, [envelope], keys):
            one = attestation.decode(statement)  # not before its signature (format §14, rule 2)
            if (one.role, one.bundle) != (role, bundle):
                raise NotTrustedError(
                    f"What key {key_id[:16]}… signed as {one.role} about bundle"
                    f" {one.bundle.hex()[:16]}… was put here as {role} about this one.",
                    "Somebody moved it: ask the sender for the bundle with its own attestations.",
                )
            said.append((key_id, one))
    return said
