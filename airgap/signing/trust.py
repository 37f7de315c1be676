"""The decision to trust (format §7.2 to §7.5). Only this module makes a ``Verified`` value.

Done here: signatures, threshold, revocation, audience, expiry, minimum sequence; and only then
decoding. Left to the caller: that packs and files are those that the manifest names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from airgap.errors import NotTrustedError, PolicyError
from airgap.format import envelope as dsse
from airgap.format import manifest as manifests
from airgap.format import root as roots
from airgap.format.envelope import PAYLOAD_TYPES, Role
from airgap.format.manifest import Manifest
from airgap.format.root import Key, Root
from airgap.signing.public_keys import check_key, verifies

__all__ = ["Verified", "accept_root", "admit", "valid_signers"]

T = TypeVar("T")
_SEAL: Final = object()


@dataclass(frozen=True, slots=True)
class Verified(Generic[T]):
    """A value whose bytes were signed as the site demands. Only this module can make one."""

    value: T
    raw: bytes
    signers: tuple[str, ...]
    seal: object = None

    def __post_init__(self) -> None:
        """Refuse to be made elsewhere."""
        if self.seal is not _SEAL:
            raise TypeError("a Verified value is made by airgap.signing.trust alone")


def valid_signers(
    role: Role, payload: bytes, envelopes: Sequence[bytes], keys: dict[str, Key]
) -> tuple[str, ...]:
    """Return the sorted ids of the distinct keys whose valid signatures are there (format §7.3).

    Signatures of unknown keys are passed over: they prove nothing and harm nothing.

    Raises:
        NotTrustedError: an envelope is malformed, for another payload type, or carries a
            known key's id with a signature that is not that key's.
    """
    message = dsse.signed_bytes(PAYLOAD_TYPES[role], payload)
    found = set()
    for raw in envelopes:
        one = dsse.decode(raw)
        if one.payload_type != PAYLOAD_TYPES[role]:
            raise NotTrustedError(
                f"A signature file is for {one.payload_type!r:.80}, not for the role {role}.",
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


def admit(
    raw: bytes, envelopes: Sequence[bytes], root: Verified[Root], now: int
) -> Verified[Manifest]:
    """Admit a manifest: signatures first, then its content (format §7.5).

    Args:
        raw: the manifest's bytes, as they were read; they are not read again.
        envelopes: the bytes of the builders' envelope files.
        root: the site's pinned root.
        now: seconds since 1970.

    Raises:
        NotTrustedError: too few builders signed these bytes, or the bundle is revoked.
        PolicyError: expired, not for this site, or below the channel's minimum sequence.
        CorruptError: signed, but not a manifest of this format.
    """
    trusted = root.value
    _refuse_expired("root", trusted.not_after, now)
    signers = valid_signers("builder", raw, envelopes, trusted.signers("builder"))
    needed = trusted.threshold("builder")
    if len(signers) < needed:
        raise NotTrustedError(
            f"The bundle has {len(signers)} of the {needed} builder signatures that site"
            f" {trusted.site} demands ({len(envelopes)} in total).",
            "Have it signed by a builder that the root names (`airgap sign`), or check"
            " `airgap trust show`.",
            tuple(f"signature by key {dsse.decode(one).key_id[:16]}…" for one in envelopes),
        )
    if bytes.fromhex(manifests.bundle_id(raw)) in trusted.revoked_bundles:
        raise NotTrustedError(
            "The site's root revokes this bundle.", "Ask the sender for a newer bundle."
        )
    manifest = manifests.decode(raw)
    _check_policy(manifest, trusted, now)
    return Verified(manifest, raw, signers, _SEAL)


def accept_root(raw: bytes, envelopes: Sequence[bytes], fingerprint: str) -> Verified[Root]:
    """Accept a root that is pinned by a fingerprint (format §7.4).

    Raises:
        NotTrustedError: another fingerprint, unusable keys, or not signed by its own root keys.
        CorruptError: the fingerprint fits, but it is not a root of this format.
    """
    if roots.fingerprint(raw) != fingerprint:
        raise NotTrustedError(
            f"The root has the fingerprint {roots.fingerprint(raw)}, not {fingerprint}.",
            "Compare the fingerprint with the one you were given on paper or by phone;"
            " if they differ, the root file is not the one that was meant.",
        )
    root = roots.decode(raw)
    for key in root.keys:
        check_key(key)
    signers = valid_signers("root", raw, envelopes, root.signers("root"))
    if len(signers) < root.threshold("root"):
        raise NotTrustedError(
            f"The root has {len(signers)} of its {root.threshold('root')} root signatures.",
            "Copy the .dsse files that lie beside the root as well.",
        )
    return Verified(root, raw, signers, _SEAL)


def _check_policy(manifest: Manifest, root: Root, now: int) -> None:
    _refuse_expired("bundle", manifest.expires_at, now)
    if manifest.audience and root.site not in manifest.audience:
        raise PolicyError(
            f"The bundle is for {', '.join(manifest.audience)}; this site is {root.site}.",
            "Ask the sender for a bundle for this site.",
        )
    minimum = root.channels.get(manifest.channel, 0)
    if manifest.sequence < minimum:
        raise PolicyError(
            f"The bundle is number {manifest.sequence} of channel {manifest.channel}; the root"
            f" accepts {minimum} and later.",
            "Ask the sender for a newer bundle.",
        )


def _refuse_expired(what: str, until: int | None, now: int) -> None:
    if until is not None and now > until:
        raise PolicyError(
            f"The {what} has expired.", f"Check this machine's clock, or ask for a newer {what}."
        )
