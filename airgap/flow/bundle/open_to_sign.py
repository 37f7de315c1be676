"""Opens the one bundle that a person signs. What is shown and what is signed are the same bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from airgap.carrier.port import BundleReader
from airgap.errors import AirgapError, UsageError
from airgap.flow.admission.policy import require_root
from airgap.flow.bundle.open_bundle import look_into, read_evidence
from airgap.flow.location.connector import LOCAL, Connector
from airgap.flow.location.location import Location, StandardInput
from airgap.flow.location.readers import open_readers
from airgap.format import names
from airgap.format.manifest import Manifest
from airgap.format.root import Root
from airgap.printable import quote
from airgap.signing import trust
from airgap.signing.thresholds import Evidence
from airgap.state import pinned_root

__all__ = [
    "BundleToSign",
    "UnnamedBundleError",
    "demand_builders",
    "load_known_root",
    "name_bundle",
    "open_to_sign",
]

_HINT: Final = (
    "Give the full id, all 64 digits, with --bundle or after #. Compare it with the id that you"
    " were given by another way than the files."
)


class UnnamedBundleError(UsageError):
    """A location does not say which bundle is to be signed: it needs a full bundle id."""


@dataclass(frozen=True, slots=True)
class BundleToSign:
    """A bundle of which manifest and signatures were read, once each. Nothing is verified."""

    reader: BundleReader
    bundle: str
    manifest: Manifest
    raw: bytes
    """The manifest's bytes: they are shown, and signed."""
    evidence: Evidence
    """The signatures that were there."""


def name_bundle(location: Location, bundle: str | None) -> Location:
    """Return a location with the full id of the bundle that is meant.

    Raises:
        UsageError: it is not a full bundle id, or the location names another bundle.
    """
    if bundle is None:
        return location
    if not names.is_bundle_id(bundle):
        raise UsageError(f"{quote(bundle)} is not a full bundle id.", "Give all 64 hex digits.")
    if not bundle.startswith(location.bundle):
        raise UsageError(
            f"{location} does not name bundle {bundle}.", "Leave out # and what follows it."
        )
    return replace(location, bundle=bundle)


@contextmanager
def open_to_sign(location: Location, connector: Connector = LOCAL) -> Iterator[BundleToSign]:
    """Open the bundle that a location names by its full id, or the only one that is there.

    The newest of several is never chosen: anyone who can write there can add a newer one. The
    beginning of an id does not name a bundle either, because another one can be made to have it.

    Raises:
        UsageError: it is standard input, which is gone once it is read.
        UnnamedBundleError: several bundles are there, or the id is not a full one.
        MissingError: there is no bundle, or it is not the one that the location names.
        CorruptError: it is not a bundle, or is damaged.
        TransportError: it cannot be reached.
    """
    if isinstance(location, StandardInput):
        raise UsageError("Standard input cannot be signed.", "Give a depot or a .airgap file.")
    readers = open_readers(location, connector)
    try:
        if len(readers) > 1:
            raise UnnamedBundleError(
                f"{location} holds {len(readers)} bundles.",
                _HINT,
                [reader.location for reader in readers],
            )
        opened = look_into(readers[0], location)
        if location.bundle not in ("", opened.bundle):
            raise UnnamedBundleError(
                f"{location} has {len(location.bundle)} of the 64 digits of a bundle id.",
                _HINT,
                [readers[0].location],
            )
        evidence = read_evidence(readers[0])
        yield BundleToSign(readers[0], opened.bundle, opened.manifest, opened.raw, evidence)
    finally:
        for reader in readers:
            reader.close()


def load_known_root() -> Root | None:
    """Return this machine's root; None if it has none, or none that is valid."""
    try:
        return None if pinned_root.load_root() is None else require_root().value
    except AirgapError:
        return None


def demand_builders(candidate: BundleToSign, site: str | None = None) -> None:
    """Demand that enough builders signed these bytes, if this machine has a root.

    So an approver does not accept what no builder has seen.

    Args:
        candidate: the bundle that is to be signed.
        site: demand it only if the root is for this site; None: for any.

    Raises:
        NotTrustedError: too few signed, a signature is not that of the key that it claims, or the
            bundle is revoked.
    """
    if pinned_root.load_root() is None:
        return
    root = require_root()
    if site in (None, root.value.site):
        trust.demand_builders(candidate.raw, candidate.evidence.envelopes, root)
