"""Verify as of a time: three verdicts, which are never made one (format §33.6).

No import uses this.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from airgap.errors import AirgapError, MissingError, UsageError
from airgap.flow.admission.policy import require_root
from airgap.flow.bundle.open_to_sign import UnnamedBundleError, open_to_sign
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import Location, StandardInput
from airgap.flow.timestamps.digests import find_damage
from airgap.flow.timestamps.stampable import Stampable, StampedBundle, open_stamped_bundle
from airgap.format import limits, stamp_files
from airgap.format.checkpoint import Checkpoint
from airgap.format.ledger_view import decode_view
from airgap.format.root import Root, SignedRoot
from airgap.signing import time_stamps, trust
from airgap.signing.as_of import Authenticity, accept_older_roots, judge_authenticity
from airgap.signing.checkpoints import verify_checkpoint
from airgap.signing.stamp_chains import JudgedChain, judge_chain
from airgap.signing.time_stamps import Authorities
from airgap.signing.trust import Verified
from airgap.state import pinned_root
from airgap.times import format_time

__all__ = ["AsOfRequest", "AsOfResult", "StampedLedger", "judge_stamps", "verify_as_of"]


@dataclass(frozen=True, slots=True)
class AsOfRequest:
    """What to verify, and as of when, in seconds since 1970.

    ``roots`` are files of older roots, ``fingerprints`` those of roots that a person relies on.
    """

    sources: Sequence[Location]
    """Where the bundle is: one location, or several volumes of it."""
    at: int
    roots: Sequence[Path] = ()
    fingerprints: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class StampedLedger:
    """A checkpoint beside a bundle: how long a ledger was, and by when that was so.

    ``proven`` is in seconds since 1970; None: no stamp counts.
    """

    file: str
    checkpoint: Checkpoint
    proven: int | None


@dataclass(frozen=True, slots=True)
class AsOfResult:
    """The three verdicts, and what they rest on."""

    bundle: str
    location: str
    damage: tuple[str, ...]
    """What is wrong with its bytes; nothing: it is intact."""
    authenticity: Authenticity
    distrust: str
    """Why today's root does not trust it; empty: it does."""
    root: Root
    """Today's."""
    recipients: int | None = None
    """Of a sealed bundle: the verdicts are about its index; what is inside was not looked at."""
    chains: tuple[JudgedChain, ...] = ()
    ledgers: tuple[StampedLedger, ...] = ()
    """Checkpoints that travel with the bundle, if a recorder of today's root signed them."""
    missing_certificates: tuple[bytes, ...] = field(default=())

    @property
    def is_intact(self) -> bool:
        """Whether its bytes are those that were signed, by today's hashes."""
        return not self.damage


def verify_as_of(request: AsOfRequest, connector: Connector) -> AsOfResult:
    """Judge a bundle as of a time, and by today's root; write nothing.

    Raises:
        ConfigurationError: this machine trusts nobody yet, or rfc3161-client is not installed.
        UsageError: it is standard input, an archive for stock BentoML, or one of several bundles;
            or the time is still to come.
        MissingError, CorruptError: there is no bundle, or its manifest is damaged.
        StorageError, TransportError: it cannot be read.
    """
    if any(isinstance(source, StandardInput) for source in request.sources):
        raise UsageError(
            "Standard input cannot be verified as of a time.", "Give a depot or a .airgap file."
        )
    root, now = require_root(), int(time.time())
    if request.at > now:
        raise UsageError(
            f"The time {format_time(request.at)} is in the future (this machine's clock says"
            f" {format_time(now)}): which keys are revoked until then is not known.",
            "Give a time that has passed. If the clock is wrong, set it.",
        )
    with _open(request.sources, connector) as stampable:
        candidate = stampable.candidate
        candidates = [*_read_roots(stampable), *map(_read_root, request.roots)]
        chains, authorities = judge_stamps(stampable, root.value, now)
        proven = {chain.file: chain.proven for chain in chains}
        accepted = accept_older_roots(root, candidates, request.fingerprints)
        then = judge_authenticity(candidate.raw, stampable.signed, proven, accepted, request.at)
        distrust = _find_distrust(stampable, root, now)
        damage = [*_find_bad_indexes(stampable, chains)]
        damage += find_damage(stampable, _read_indexes(stampable, chains), connector.progress)
        return AsOfResult(
            candidate.bundle,
            stampable.location,
            tuple(damage),
            then,
            distrust,
            root.value,
            sealed.recipients if (sealed := candidate.manifest.sealed) else None,
            tuple(chains),
            tuple(_read_ledgers(stampable, root.value, proven)),
            tuple(authorities.missing),
        )


@contextmanager
def _open(sources: Sequence[Location], connector: Connector) -> Iterator[StampedBundle]:
    """Open the bundle that is meant: never the newest of several. Volumes are read as one."""
    with ExitStack() as stack:
        candidates = []
        for source in sources:
            try:
                candidate = stack.enter_context(open_to_sign(source, connector))
            except UnnamedBundleError as error:
                raise UsageError(
                    error.message,
                    "Name the one you want: DEPOT#ID, with all 64 digits.",
                    error.details,
                ) from error
            if candidate.reader.stock_archive:
                raise UsageError(
                    f"{source} has no time stamps: it is an archive for stock BentoML.",
                    "Give the bundle in a depot or a .airgap file.",
                )
            candidates.append(candidate)
        bundles = sorted({candidate.bundle for candidate in candidates})
        if len(bundles) > 1:
            raise UsageError(
                f"The locations have {len(bundles)} different bundles.",
                "Give the volumes of one bundle, or one location.",
                bundles,
            )
        first, *others = [open_stamped_bundle(candidate, connector) for candidate in candidates]
        yield _combine(first, others)


def _combine(first: StampedBundle, others: Sequence[StampedBundle]) -> StampedBundle:
    """Read what lies beside the manifest on all volumes; of two files of a name, the first."""
    stampables = (*reversed(others), first)
    return StampedBundle(
        first.candidate,
        first.connector,
        {file: data for one in stampables for file, data in one.signed.items()},
        {file: data for one in stampables for file, data in one.attached.items()},
        [other.candidate.reader.packs for other in others],
    )


def _read_ledgers(
    stampable: StampedBundle, root: Root, proven: Mapping[str, int | None]
) -> Iterator[StampedLedger]:
    """Yield the checkpoints that travel with the bundle; what nobody known signed is left out."""
    for file, data in sorted(stampable.attached.items()):
        if stamp_files.is_travelling_checkpoint(file):
            with suppress(AirgapError):
                note, _ = decode_view(data)
                point, _ = verify_checkpoint(note, root.signers("recorder"), file)
                yield StampedLedger(file, point, proven.get(file))


def judge_stamps(
    stampable: Stampable, root: Root | None, now: int
) -> tuple[list[JudgedChain], Authorities]:
    """Judge all stamps of a bundle or checkpoint by the authorities of a root."""
    rules = root.rules.timestamp_authorities if root else ()
    authorities = time_stamps.gather_authorities(rules, stampable.list_certificates())
    return [judge_chain(one, authorities, now) for one in stampable.find_stamped()], authorities


def _read_roots(stampable: StampedBundle) -> list[SignedRoot]:
    """Read the roots that travel with the bundle; after attachments, and before packs."""
    with suppress(MissingError):
        return stampable.candidate.reader.read_roots()
    return []


def _read_root(path: Path) -> SignedRoot:
    raw, envelopes = pinned_root.read_signed(path, limits.ROOT_BYTES, "root")
    return SignedRoot(raw, tuple(envelopes))


def _find_distrust(stampable: StampedBundle, root: Verified[Root], now: int) -> str:
    """Return why today's root does not admit the bundle (format §7.5, rules 1 to 9)."""
    try:
        trust.admit(
            stampable.candidate.raw,
            stampable.candidate.evidence,
            root,
            max(now, root.value.created_at or 0),
        )
    except AirgapError as error:
        return error.message
    return ""


def _list_counted(chains: Iterable[JudgedChain]) -> list[str]:
    return [
        chain.file
        for chain in chains
        if stamp_files.is_index_file(chain.file) and chain.proven is not None
    ]


def _read_indexes(
    stampable: StampedBundle, chains: Sequence[JudgedChain]
) -> dict[str, tuple[stamp_files.IndexLine, ...]]:
    """Read the indexes that a stamp vouches for."""
    indexes = {}
    for file in _list_counted(chains):
        with suppress(AirgapError):
            indexes[file] = stamp_files.parse_index(stampable.attached[file], file)
    return indexes


def _find_bad_indexes(stampable: StampedBundle, chains: Sequence[JudgedChain]) -> Iterable[str]:
    readable = _read_indexes(stampable, chains)
    for file in _list_counted(chains):
        if file not in readable:
            yield f"{file} is not an index of digests"
