"""The bundle inside a sealed one, to be looked at: nothing is installed from it (format §34.5)."""

from collections.abc import Sequence

from airgap.flow.admission.policy import require_root
from airgap.flow.bundle.open_bundle import Unverified
from airgap.flow.bundle.unseal import check_inner, unseal
from airgap.format import manifest as manifests
from airgap.format.root import Root
from airgap.sealing.age_keys import AgeIdentity
from airgap.signing.trust import Verified, demand_builders

__all__ = ["look_inside"]


def look_inside(
    sealed: Unverified, identities: Sequence[AgeIdentity], root: Verified[Root] | None = None
) -> Unverified:
    """Open the seal of a bundle whose index, and what is inside, enough builders signed.

    ``root`` is the one to trust; None: that of this machine. That the bundle is old, expired or
    for another site does not matter.

    Raises:
        ConfigurationError: this machine trusts nobody yet, or nothing opens the seal.
        NotTrustedError: too few builders signed it, or it is revoked.
        CorruptError: the seal is damaged, or holds another bundle than its index says.
    """
    trusted = root or require_root()
    demand_builders(sealed.raw, sealed.reader.read_envelopes("builder"), trusted)
    reader = unseal(sealed.reader, sealed.manifest, identities)
    bundle, raw = reader.read_manifest()
    demand_builders(raw, reader.read_envelopes("builder"), trusted)
    manifest = manifests.decode(raw)
    check_inner(reader.location, sealed.manifest, manifest)
    return Unverified(reader, bundle, manifest, raw)
