"""Seals bundles that exist, and takes the bundles out of sealed ones (format §34)."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from airgap.errors import ConfigurationError, UsageError
from airgap.flow.admission import policy
from airgap.flow.admission.policy import AdmissionPolicy
from airgap.flow.bundle import open_bundle
from airgap.flow.bundle.open_bundle import Unverified, read_evidence
from airgap.flow.bundle.unseal import check_inner, unseal
from airgap.flow.depot.copy_bundle import CopyResult, copy_opened, require_one
from airgap.flow.ledger.sealed import make_recorder
from airgap.flow.location.connector import Connector, TransferOptions
from airgap.flow.location.credentials import Credentials
from airgap.flow.location.destination import name_depot, require_folder_above
from airgap.flow.location.location import ArchiveFile, LocalDepot, Location
from airgap.flow.progress import Progress
from airgap.flow.publishing.recipients import SealTo, choose_recipients
from airgap.flow.publishing.sealed_writer import Sealing
from airgap.format import manifest as manifests
from airgap.signing import trust
from airgap.signing.signer import Signer

__all__ = ["SealRequest", "UnsealRequest", "seal_bundles", "unseal_bundles"]


@dataclass(frozen=True, slots=True)
class SealRequest:
    """Which bundles to seal, where to, to whom, and who signs the indexes."""

    source: Location
    destination: Location
    signers: Sequence[Signer]
    to: SealTo = field(default_factory=SealTo)
    credentials: Credentials = field(default_factory=Credentials)
    transfer: TransferOptions = field(default_factory=TransferOptions)


@dataclass(frozen=True, slots=True)
class UnsealRequest:
    """Which sealed bundles to open, with what, and where to put what was inside."""

    source: Location
    destination: Location
    identities: Sequence[str]
    credentials: Credentials = field(default_factory=Credentials)
    transfer: TransferOptions = field(default_factory=TransferOptions)


def seal_bundles(request: SealRequest, progress: Progress) -> list[CopyResult]:
    """Copy bundles, encrypted to the recipients of the site; their signatures travel inside.

    Raises:
        ConfigurationError: there is no key, or nobody to seal to.
        UsageError: a bundle is sealed already, or the destination takes one bundle.
        PolicyError: the ledger of this machine is not consistent; nothing is published.
        AirgapError: as ``copy_bundle``.
    """
    if not request.signers:
        raise ConfigurationError("There is no key to sign with.", "Give --key FILE.key.")
    connector = Connector(request.credentials, request.transfer, progress)
    recipients = choose_recipients(request.to, progress)
    destination, depot = request.destination, name_depot(request.destination)
    _require_folder(destination)
    with open_bundle.open_all(request.source, connector) as (count, opened):
        require_one(request.source, count, destination)
        return [
            copy_opened(
                bundle,
                destination,
                progress,
                connector,
                Sealing(
                    recipients,
                    request.signers,
                    int(time.time()),
                    bundle.manifest.audience,
                    depot,
                    make_recorder(request.signers, progress),
                ),
            )
            for bundle in _refuse_sealed(opened)
        ]


def unseal_bundles(request: UnsealRequest, progress: Progress) -> list[CopyResult]:
    """Copy what is inside sealed bundles into a depot or a file of this machine.

    Enough builders must have signed the index, and the bundle inside. That scanners and approvers
    have accepted it is not asked: an inspection station comes before them.

    Raises:
        ConfigurationError: this machine trusts nobody, or has no identity that opens it.
        NotTrustedError, PolicyError, CorruptError: a bundle is not admitted.
        UsageError: a bundle is not sealed, or the destination is not a folder or file here.
        AirgapError: as ``copy_bundle``.
    """
    destination = request.destination
    if not isinstance(destination, LocalDepot | ArchiveFile):
        raise UsageError(
            f"What is unsealed is not sent to {destination}: it would lie open on the way.",
            "Give a folder or a .airgap file of this machine, and copy it on from there.",
        )
    connector = Connector(request.credentials, request.transfer, progress)
    admission = policy.load(identities=request.identities)
    _require_folder(destination)
    with open_bundle.open_all(request.source, connector) as (count, opened):
        require_one(request.source, count, destination)
        return [
            copy_opened(_open_seal(bundle, admission), destination, progress, connector)
            for bundle in opened
        ]


def _refuse_sealed(bundles: Iterator[Unverified]) -> Iterator[Unverified]:
    for bundle in bundles:
        if bundle.manifest.sealed is not None:
            raise UsageError(
                f"{bundle.reader.location} is sealed already.",
                "Copy it as it is: airgap copy. To seal it to others, unseal it first.",
            )
        yield bundle


def _open_seal(bundle: Unverified, admission: AdmissionPolicy) -> Unverified:
    """Admit an index, open its seal, and demand the signatures of the bundle inside."""
    reader = bundle.reader
    index = admission.admit(bundle.raw, read_evidence(reader)).manifest.value
    unsealed = unseal(reader, index, admission.identities)
    inner, raw = unsealed.read_manifest()
    trust.demand_builders(raw, unsealed.read_envelopes("builder"), admission.root)
    manifest = manifests.decode(raw)
    check_inner(reader.location, index, manifest)
    return Unverified(unsealed, inner, manifest, raw)


def _require_folder(destination: Location) -> None:
    if isinstance(destination, LocalDepot | ArchiveFile):
        require_folder_above(destination.path)
