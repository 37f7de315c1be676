"""Counts valid signatures per role (format §7.3, §14); thresholds are applied in ``trust``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from airgap.errors import NotTrustedError
from airgap.format import attestation
from airgap.format import envelope as dsse
from airgap.format.attestation import Attestation
from airgap.format.envelope import PAYLOAD_TYPES, Purpose, Role
from airgap.format.root import Key, Root
from airgap.format.site_rules import Demand
from airgap.printable import quote
from airgap.signing.public_keys import verifies

__all__ = [
    "Accepting",
    "DemandCount",
    "Evidence",
    "Pair",
    "count_demands",
    "find_valid_attestations",
    "find_valid_signers",
]

Pair = tuple[bytes, bytes]
"""The bytes of an attestation and of its envelope."""


Accepting = Mapping[tuple[Role, str], Mapping[str, Sequence[int]]]
"""By role and name, the keys that accept a bundle, with the times of their attestations."""
_CLOCKS_DIFFER: Final = 86_400
"""How many seconds an attestation may be from the future, if its age matters (format §14)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The envelopes and attestations of a manifest, not yet checked."""

    envelopes: Sequence[bytes]
    attestations: Mapping[Role, Sequence[Pair]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DemandCount:
    """An attestation that a site demands, or that a bundle merely has, and the keys that accept.

    ``key_ids`` are counted against the threshold; ``outdated`` accept too, but not recently enough.
    """

    demand: Demand
    key_ids: tuple[str, ...]
    outdated: tuple[str, ...] = ()

    @property
    def missing(self) -> int:
        """The number of missing keys."""
        return max(self.demand.threshold - len(self.key_ids), 0)


def find_valid_signers(
    purpose: Purpose, payload: bytes, envelopes: Sequence[bytes], keys: Mapping[str, Key]
) -> tuple[str, ...]:
    """Return the sorted ids of the distinct keys with a valid signature (format §7.3).

    Signatures by unknown keys are ignored: they prove nothing and harm nothing.

    Raises:
        NotTrustedError: an envelope is malformed, is for another payload type, or claims a known
            key's id with a signature that is not that key's.
    """
    message = dsse.signed_bytes(PAYLOAD_TYPES[purpose], payload)
    key_ids = set()
    for raw in envelopes:
        envelope = dsse.decode(raw)
        if envelope.payload_type != PAYLOAD_TYPES[purpose]:
            expected = "a waiver" if purpose == "waiver" else f"the role {purpose}"
            raise NotTrustedError(
                f"A signature file is for {quote(envelope.payload_type)}, not for {expected}.",
                "Copy the bundle from its source again.",
            )
        key = keys.get(envelope.key_id)
        if key is None:
            continue
        if not verifies(key, envelope.signature, message):
            raise NotTrustedError(
                f"The signature of key {envelope.key_id} does not match the document.",
                "The bundle was changed or damaged in transit: copy it from its source again.",
            )
        key_ids.add(envelope.key_id)
    return tuple(sorted(key_ids))


def find_valid_attestations(
    role: Role, bundle: bytes, pairs: Sequence[Pair], keys: Mapping[str, Key]
) -> list[tuple[str, Attestation]]:
    """Return the attestations of a bundle that keys of a role signed, by key id (format §14).

    Raises:
        NotTrustedError: as ``find_valid_signers``, or a signed attestation is for another bundle
            or role.
        CorruptError: a signed document is not an attestation.
    """
    attestations = []
    for statement, envelope in pairs:
        for key_id in find_valid_signers(role, statement, [envelope], keys):
            signed = attestation.decode(statement)  # not before its signature (format §14, rule 2)
            if (signed.role, signed.bundle) != (role, bundle):
                raise NotTrustedError(
                    f"An attestation by key {key_id} is for bundle"
                    f" {signed.bundle.hex()} and role {signed.role}, but lies in this bundle"
                    f" under role {role}.",
                    "It was moved here: ask the sender for the bundle with its own attestations.",
                )
            attestations.append((key_id, signed))
    return attestations


def count_demands(accepting: Accepting, root: Root, now: int) -> tuple[DemandCount, ...]:
    """Count the keys that accept, for each demand and each other name (format §14, rule 4)."""
    demands = list(root.demands())
    demanded = {(demand.role, demand.name) for demand in demands}
    demands += [Demand(name, role, 0) for role, name in accepting if (role, name) not in demanded]
    return tuple(
        _count_demand(demand, accepting.get((demand.role, demand.name), {}), now)
        for demand in demands
    )


def _count_demand(demand: Demand, times: Mapping[str, Sequence[int]], now: int) -> DemandCount:
    """Count each key once, if any of its attestations counts.

    The latest alone would not do: one from the future would cancel those that count.
    """
    recent = {
        key_id
        for key_id, claimed in times.items()
        if demand.max_age is None
        or any(now - demand.max_age <= time <= now + _CLOCKS_DIFFER for time in claimed)
    }
    return DemandCount(demand, tuple(sorted(recent)), tuple(sorted(times.keys() - recent)))
