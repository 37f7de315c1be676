"""The root that this machine trusts: pinned by its fingerprint, then its successors (§15)."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from airgap.carrier import local_depot
from airgap.carrier.archive_start import is_archive
from airgap.errors import ConflictError, UsageError
from airgap.flow.admission import history
from airgap.flow.admission.policy import require_root
from airgap.flow.bundle.open_bundle import open_unverified
from airgap.flow.location.connector import LOCAL, Connector
from airgap.flow.location.location import (
    ArchiveFile,
    LocalDepot,
    Location,
    RemoteArchive,
    RemoteDepot,
)
from airgap.format import envelope as dsse
from airgap.format import fingerprints, layout
from airgap.format import root as roots
from airgap.format.root import Root, SignedRoot
from airgap.signing import trust
from airgap.signing.trust import Verified
from airgap.state import pinned_root
from airgap.state.state_folder import state_folder

__all__ = ["Update", "normalize_fingerprint", "pin_root", "update_root"]


def pin_root(
    location: Location, fingerprint: str, connector: Connector = LOCAL
) -> tuple[Root, Path, bool]:
    """Trust a root on this machine; return it, the folder it is kept in, and whether that is new.

    The location is a root file with its signatures beside it, or a depot or ``.airgap`` file that
    holds roots: then the fingerprint says which of them.

    Raises:
        UsageError: the fingerprint does not have 64 hex digits.
        NotTrustedError: no root there has this fingerprint, or it lacks its signatures.
        ConflictError: this machine has pinned another root.
        MissingError: a depot or file holds no roots.
    """
    expected = normalize_fingerprint(fingerprint)
    _, signed_roots = _read_roots(location, connector)
    root = min(signed_roots, key=lambda root: _count_differences(root, expected))
    envelopes = root.envelopes
    verified = trust.accept_root(root.raw, envelopes, expected)
    pinned = pinned_root.load_root()
    if pinned is not None and pinned.fingerprint != expected:
        raise ConflictError(
            f"This machine already trusts the root {pinned.fingerprint}.",
            "To take a newer root of the same site, run `airgap trust update`. To trust another"
            f" site instead, remove {state_folder() / 'trust'} and run this again.",
        )
    if pinned is None:
        history.begin_history(verified.value)
    folder = _save(verified, envelopes, pinned)
    return verified.value, folder, pinned is None


def _count_differences(root: SignedRoot, fingerprint: str) -> int:
    """Count the digits of a fingerprint in which a root differs: 0 for the right one."""
    pairs = zip(roots.fingerprint(root.raw), fingerprint, strict=True)
    return sum(own != typed for own, typed in pairs)


@dataclass(frozen=True, slots=True)
class Update:
    """The pinned root before and after an update; the same if nothing was new."""

    before: Verified[Root]
    after: Verified[Root]


def update_root(locations: Sequence[Location], connector: Connector = LOCAL) -> Update:
    """Let newer roots take over from the pinned one (format §15): all that are given, or none.

    A location is a root file with its signatures beside it, a depot, or a ``.airgap`` file.

    Raises:
        ConfigurationError: this machine trusts nobody yet.
        NotTrustedError, PolicyError: a root may not take over.
        CorruptError: a file is not a root.
        MissingError: a depot or file holds no roots.
    """
    pinned = pinned_root.load_root()
    before = after = require_root()
    steps = _steps(locations, before, connector)
    floor = history.compute_time_floor(history.check_history(before.value.site).state, before.value)
    for number, step in enumerate(steps, 1):
        now = max(int(time.time()), floor) if number == len(steps) else None
        after = trust.succeed(after, step.raw, step.envelopes, now)
        floor = max(floor, after.value.created_at or 0)
    if steps:
        history.record_root(after.value, floor)
        _save(after, steps[-1].envelopes, pinned)
    return Update(before, after)


def _steps(
    locations: Sequence[Location], trusted: Verified[Root], connector: Connector
) -> list[SignedRoot]:
    """Return what is to take over, in order of version; the order is all that is believed here."""
    steps: dict[bytes, SignedRoot] = {}
    versions: dict[bytes, int] = {}
    for location in locations:
        chosen, signed_roots = _read_roots(location, connector)
        for root in signed_roots:
            version = roots.decode(root.raw).version
            is_old = not chosen and version < trusted.value.version
            if root.raw == trusted.raw or is_old:
                continue
            others = steps[root.raw].envelopes if root.raw in steps else ()
            steps[root.raw] = SignedRoot(root.raw, (*others, *root.envelopes))
            versions[root.raw] = version
    return sorted(steps.values(), key=lambda root: versions[root.raw])


def _read_roots(location: Location, connector: Connector) -> tuple[bool, list[SignedRoot]]:
    """Read the roots there; tell whether it is one that a person chose, not all that travel."""
    match location:
        case LocalDepot(path):
            return False, local_depot.open_folder(path).read_roots()
        case RemoteDepot():
            with closing(connector.open_depot(location)) as depot:
                return False, depot.read_roots()
        case ArchiveFile(path) if not (layout.is_archive_name(path.name) or is_archive(path)):
            return True, [SignedRoot(*pinned_root.read_root_files(path))]
        case ArchiveFile() | RemoteArchive():
            with open_unverified(location, connector) as opened:
                return False, opened.reader.read_roots()
        case _:
            raise UsageError(
                f"{location} holds no roots.",
                "Give a depot, a .airgap file, or the path of a root file.",
            )


def _save(
    verified: Verified[Root], envelopes: Sequence[bytes], pinned: pinned_root.PinnedRoot | None
) -> Path:
    """Pin a root with the signatures that count, in place of the one pinned before."""
    key_ids = [dsse.decode(raw).key_id for raw in envelopes]
    counted = {
        key_id: raw
        for key_id, raw in zip(key_ids, envelopes, strict=True)
        if key_id in verified.signers["root"]
    }
    replaced = None if pinned is None else pinned.fingerprint
    return pinned_root.save_root(verified.raw, counted, roots.fingerprint(verified.raw), replaced)


def normalize_fingerprint(text: str) -> str:
    """Return a fingerprint that a person typed, without spaces and in lower case.

    Raises:
        UsageError: it does not have 64 hex digits.
    """
    commands = "`airgap init` or `airgap root create`"
    return fingerprints.normalize_digest(text, "fingerprint", commands, bare=True)
