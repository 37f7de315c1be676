"""Lifts holds, and lets bundles of an archive go: signed by approvers, k of n (format §35.6)."""

import time
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

from airgap.disk import durable
from airgap.disk.os_errors import translate_errors
from airgap.disk.part_file import write_atomically
from airgap.disk.reading import read_small
from airgap.errors import (
    ConfigurationError,
    ConflictError,
    MissingError,
    NotTrustedError,
    PolicyError,
)
from airgap.flow.admission.policy import require_root
from airgap.flow.archive.clock import refuse_late_clock
from airgap.flow.archive.hold import NamedBundle, demand_reason, open_named, read_now
from airgap.flow.archive.record import find_by, is_recorded, publish_record
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import DepotLocation
from airgap.flow.retention.records import ArchiveRecords, StoredRecord
from airgap.flow.retention.standing import find_standings
from airgap.format import intoto, limits
from airgap.format.archive import ArchiveRecord, decode_record, record_id
from airgap.format.intoto import StatementEnvelope
from airgap.format.root import Root
from airgap.signing.records import (
    add_record_signature,
    choose_release_role,
    find_record_signers,
    read_record_envelope,
    sign_record,
)
from airgap.signing.signer import Signer
from airgap.times import format_time

__all__ = [
    "SUFFIX",
    "ReleaseRequest",
    "SignedRelease",
    "publish_release",
    "read_release",
    "release",
    "sign_release",
]

SUFFIX: Final = ".release.json"
_CLOCKS_DIFFER: Final = 86_400
_HOLD_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """What is to be released, why, by whom, and where a file goes that others must sign."""

    archive: DepotLocation
    reason: str
    signer: Signer
    hold: str = ""
    """The beginning of a hold's id; empty: the bundle itself."""
    today: date | None = None
    """The day that a person says it is, if the clock is far ahead."""
    output: Path | None = None


@dataclass(frozen=True, slots=True)
class SignedRelease:
    """A release, who of those that count has signed it, and how many of them it needs."""

    record: ArchiveRecord
    envelope: StatementEnvelope
    role: str
    signers: tuple[str, ...]
    needed: int
    path: Path | None = None
    """The file that others must sign; None: it is in the archive."""

    @property
    def id(self) -> str:
        """The id of the record."""
        return record_id(self.envelope.payload)

    @property
    def is_enough(self) -> bool:
        """Whether it has all signatures."""
        return len(self.signers) >= self.needed


def release(request: ReleaseRequest, connector: Connector) -> SignedRelease:
    """Sign that a hold is lifted, or that a bundle may go; put it into the archive if one suffices.

    Else it is written to a file that the other approvers sign. Nothing is deleted.

    Raises:
        UsageError: the reason cannot be signed, or there is no bundle in the location.
        MissingError: there is no such bundle, or no such hold in force.
        PolicyError: the bundle must be kept: its end has not come, it is under a hold, or others
            build on it; or the clock is far ahead of everything that is known here.
        ConfigurationError: the key is not one whose signature counts.
        CorruptError: a record is damaged.
        ConflictError: the output file exists.
        StorageError, TransportError: it cannot be written.
    """
    root = require_root().value
    _demand_role(root, request.signer)
    demand_reason(request.reason)
    with open_named(request.archive, connector) as named:
        now = read_now()
        refuse_late_clock(named.records, root, now, request.today)
        written = _find_written(named, request, root)
        if written is not None:  # by a run that was killed before it was in the ledger
            publish_record(
                named.depot, written.record, written.envelope, request.signer, connector.progress
            )
            return written
        hold = _find_hold(named, request.hold) if request.hold else None
        record = ArchiveRecord(
            "released",
            named.bundle,
            root.site,
            format_time(now),
            by=find_by(),
            reason=request.reason,
            previous=named.find_heads(),
            hold=hold.id if hold else None,
        )
        if hold is None:
            _demand_end(named, record)
        signed = _describe(sign_record(record, request.signer), root)
        if signed.is_enough:
            publish_record(named.depot, record, signed.envelope, request.signer, connector.progress)
            return signed
    path = request.output or Path(f"{record.bundle[:16]}{SUFFIX}")
    if path.exists():
        raise ConflictError(
            f"{path} exists.",
            "To add a signature to it, name the file instead of the archive; or give -o another"
            f" name that ends in {SUFFIX}.",
        )
    write_atomically(path.parent, path.name, [intoto.encode_envelope(signed.envelope)])
    return replace(signed, path=path)


def read_release(path: Path) -> SignedRelease:
    """Read a release that others must sign, and count its signatures by the pinned root.

    Raises:
        MissingError: it cannot be read.
        CorruptError: it is not a release.
        ConfigurationError: this machine trusts nobody yet.
        PolicyError: it is of another site.
    """
    root = require_root().value
    try:
        raw = read_small(path, limits.RECORD_FILE_BYTES)
    except OSError as error:
        raise MissingError(
            f"{path} cannot be read: {error.strerror}.", f"Give a file NAME{SUFFIX}."
        ) from error
    signed = _describe(read_record_envelope(raw), root)
    if signed.record.event != "released" or signed.record.site != root.site:
        raise PolicyError(
            f"{path} is not a release of site {root.site}: it says {signed.record.event} at site"
            f" {signed.record.site}.",
            "Sign nothing; ask who gave it to you.",
        )
    return replace(signed, path=path)


def sign_release(signed: SignedRelease, signer: Signer, digest: str) -> SignedRelease:
    """Add an approver's signature to a release that was read.

    Args:
        signed: the release.
        signer: an approver.
        digest: of the release that is meant, as ``normalize_digest`` returns it.

    Raises:
        NotTrustedError: the release has another digest.
        PolicyError: by this machine's clock, it is from the future.
        ConfigurationError: the key is not one whose signature counts.
        ConflictError: this key has signed it.
        StorageError: it cannot be written.
    """
    root = require_root().value
    path = signed.path or Path()
    if digest != f"SHA256:{signed.id}":
        raise NotTrustedError(
            f"{path} has the digest SHA256:{signed.id}, not {digest}.",
            "Do not sign it: it is not the release that you have read.",
        )
    _demand_role(root, signer)
    now = max(int(time.time()), root.created_at or 0)
    if signed.record.time > format_time(now + _CLOCKS_DIFFER):
        raise PolicyError(
            f"{path} was written at {signed.record.time}, and this machine's clock says"
            f" {format_time(now)}.",
            "One of the two clocks is wrong: do not sign before you know which.",
        )
    envelope = add_record_signature(signed.envelope, signer)
    with translate_errors(path):
        durable.replace_file(path, intoto.encode_envelope(envelope))
    return replace(_describe(envelope, root), path=path)


def publish_release(
    location: DepotLocation, signed: SignedRelease, connector: Connector
) -> SignedRelease:
    """Put a release that enough have signed into its archive.

    Raises:
        NotTrustedError: too few have signed it.
        PolicyError: it would not count: the bundle was archived or held again since, for example.
        MissingError: the archive has no such bundle.
        CorruptError: a record is damaged.
        StorageError, TransportError: it cannot be written.
    """
    record = signed.record
    if not signed.is_enough:
        raise NotTrustedError(
            f"{signed.path} has {len(signed.signers)} of {signed.needed} signatures of the role"
            f" {signed.role}.",
            f"Let others sign it: `airgap archive release {signed.path} --key KEY`.",
        )
    with open_named(replace(location, bundle=record.bundle), connector) as named:
        if all(one.id != signed.id for one in named.records.find(record.bundle)):
            _demand_counting(named, signed.envelope, record)
        publish_record(named.depot, record, signed.envelope, None, connector.progress)
    return replace(signed, path=None)


def _describe(envelope: StatementEnvelope, root: Root) -> SignedRelease:
    role, needed = choose_release_role(root)
    signers = find_record_signers([envelope], root, role)
    return SignedRelease(decode_record(envelope.payload), envelope, role, signers, needed)


def _demand_role(root: Root, signer: Signer) -> None:
    role, _ = choose_release_role(root)
    if signer.key.id not in root.signers(role):
        raise ConfigurationError(
            f"Key {signer.key.id} does not have the role {role} at site {root.site} (root version"
            f" {root.version}), which a release needs.",
            "Give the key of one who has: `airgap trust show` lists them.",
        )


def _find_written(named: NamedBundle, request: ReleaseRequest, root: Root) -> SignedRelease | None:
    """Return the release that was asked for, if it counts, and this machine's ledger lacks it."""
    uncounted = {one.id for one, _ in named.standing.uncounted} if named.standing else set()
    for one in named.records.find(named.bundle):
        asked = (
            (one.record.hold or "").startswith(request.hold)
            if request.hold
            else one.record.hold is None
        )
        is_same = one.record.event == "released" and one.record.reason == request.reason
        if is_same and asked and one.id not in uncounted and not is_recorded(one.record, one.id):
            for envelope in one.envelopes:
                signed = _describe(envelope, root)
                if signed.is_enough and request.signer.key.id in signed.signers:
                    return signed
    return None


def _find_hold(named: NamedBundle, prefix: str) -> StoredRecord:
    holds = named.standing.holds if named.standing else ()
    found = [one for one in holds if one.id.startswith(prefix)]
    if len(prefix) < _HOLD_DIGITS or len(found) != 1:
        raise MissingError(
            f"Bundle {named.bundle} has {len(found)} holds in force whose ID begins with {prefix}.",
            f"Give at least {_HOLD_DIGITS} digits of one that `airgap archive show"
            f" {named.depot.location}#{named.bundle}` lists.",
            [one.id for one in holds],
        )
    return found[0]


def _demand_end(named: NamedBundle, record: ArchiveRecord) -> None:
    """Demand that nothing keeps a bundle but its records. Raises PolicyError."""
    standing = named.standing
    if standing is None or not standing.own_end:
        raise PolicyError(
            f"Bundle {named.bundle} was never archived, so there is nothing to release.",
            f"`airgap delete {named.depot.location}#{named.bundle}` deletes it.",
        )
    reasons = [
        *(f"hold {one.id[:16]}: {one.record.reason}" for one in standing.holds),
        *(f"bundle {bundle} builds on it" for bundle in standing.dependents),
        *(f"record {identity} is missing" for identity in standing.missing),
    ]
    if record.time < standing.own_end:
        reasons.insert(0, f"the retention ends at {standing.own_end}; now it is {record.time}")
    if reasons:
        raise PolicyError(
            f"Bundle {named.bundle} must be kept: {reasons[0]}.",
            "Release it when nothing keeps it any more: holds are lifted with --hold, and no"
            " retention is shortened. Nothing was written.",
            reasons[1:],
        )


def _demand_counting(
    named: NamedBundle, envelope: StatementEnvelope, record: ArchiveRecord
) -> None:
    """Demand that a release counts once it is in the archive. Raises PolicyError."""
    stored = StoredRecord(record_id(envelope.payload), record, (envelope,))
    bundles = dict(named.records.bundles)
    bundles[record.bundle] = (*named.records.find(record.bundle), stored)
    latest = format_time(read_now() + _CLOCKS_DIFFER)
    standing = find_standings(ArchiveRecords(bundles), require_root().value, latest)[record.bundle]
    why = next((why for one, why in standing.uncounted if one.id == stored.id), "")
    if why or (record.hold is None and standing.is_kept):
        why = why or f"bundle {standing.dependents[0]} builds on it"
        raise PolicyError(
            f"The release of bundle {record.bundle} does not count: {why}.",
            "Make another one: `airgap archive release ARCHIVE#ID`. Nothing was written.",
        )
