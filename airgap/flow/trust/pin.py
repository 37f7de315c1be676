"""The root that this machine trusts: pinned by its fingerprint, then its successors (§15)."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from airgap.carrier import local_depot
from airgap.carrier.archive_start import is_archive
from airgap.errors import (
    ConflictError,
    CorruptError,
    MissingError,
    NotTrustedError,
    StorageError,
    UsageError,
)
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
from airgap.signing.thresholds import find_valid_signers
from airgap.signing.trust import Verified
from airgap.state import pinned_root
from airgap.state.state_folder import state_folder

__all__ = ["Update", "normalize_fingerprint", "pin_root", "require_roots", "update_root"]


def pin_root(
    location: Location,
    fingerprint: str,
    connector: Connector = LOCAL,
    make_folder: Callable[[], object] | None = None,
) -> tuple[Root, Path, bool]:
    """Trust a root on this machine; return it, the folder it is kept in, and whether that is new.

    The location is a root file with its signatures beside it, or a depot or ``.airgap`` file that
    holds roots: then the fingerprint says which of them. ``make_folder`` makes the state folder,
    and is called when the root has this fingerprint.

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
    if make_folder is not None:
        make_folder()
    pinned = pinned_root.load_root()
    if pinned is not None and pinned.fingerprint != expected:
        raise _make_conflict_error(pinned)
    if pinned is None:
        history.begin_history(verified.value)
    folder = _save(verified, envelopes, pinned)
    return verified.value, folder, pinned is None


def require_roots(location: Location, connector: Connector = LOCAL) -> None:
    """Require that a root is there that can be pinned here, before a person types a fingerprint.

    Nothing is trusted for it. What is not on this machine, or can be read only once, is not read.

    Raises:
        CorruptError: the file is not a root.
        ConflictError: this machine has pinned a root that is not there.
        MissingError, UsageError: there are no roots.
    """
    if not isinstance(location, LocalDepot | ArchiveFile) or location.path.is_fifo():
        return
    chosen, signed_roots = _read_roots(location, connector)
    if chosen:
        for root in signed_roots:
            roots.decode(root.raw)
    pinned = pinned_root.load_root()
    if pinned and pinned.fingerprint not in {roots.fingerprint(root.raw) for root in signed_roots}:
        raise _make_conflict_error(pinned)


def _make_conflict_error(pinned: pinned_root.PinnedRoot) -> ConflictError:
    return ConflictError(
        f"This machine already trusts the root {pinned.fingerprint}.",
        "To take a newer root of the same site, run `airgap trust update`. To trust another site"
        f" instead, remove {state_folder() / 'trust'} and run this again.",
    )


def _count_differences(root: SignedRoot, fingerprint: str) -> int:
    """Count the digits of a fingerprint in which a root differs: 0 for the right one."""
    pairs = zip(roots.fingerprint(root.raw), fingerprint, strict=True)
    return sum(own != typed for own, typed in pairs)


@dataclass(frozen=True, slots=True)
class Update:
    """The pinned root before and after an update; the same if nothing was new.

    ``passed_over``: what is said of roots that travelled there and are not of this site's chain.
    """

    before: Verified[Root]
    after: Verified[Root]
    passed_over: tuple[str, ...] = ()


def update_root(locations: Sequence[Location], connector: Connector = LOCAL) -> Update:
    """Let newer roots take over from the pinned one (format §15): all that are given, or none.

    A location is a root file with its signatures beside it, a depot, or a ``.airgap`` file.

    Raises:
        ConfigurationError: this machine trusts nobody yet.
        NotTrustedError, PolicyError: a root may not take over.
        CorruptError: a file is not a root.
        MissingError: a depot or file holds no roots.
        StorageError: this user may not pin a root; nothing is recorded.
    """
    pinned = pinned_root.load_root()
    before = after = require_root()
    steps, passed_over = _steps(locations, before, connector)
    floor = history.compute_time_floor(history.check_history(before.value.site).state, before.value)
    for number, step in enumerate(steps, 1):
        now = max(int(time.time()), floor) if number == len(steps) else None
        after = trust.succeed(after, step.raw, step.envelopes, now)
        floor = max(floor, after.value.created_at or 0)
    if steps:
        _require_writable(state_folder() / "trust")
        history.record_root(after.value, floor)
        _save(after, steps[-1].envelopes, pinned)
    return Update(before, after, passed_over)


def _require_writable(folder: Path) -> None:
    """Require that this user may write into a folder, before the history says that it was written.

    Raises:
        StorageError: it is not so.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(
            f"This user (uid {os.geteuid()}) may not write into {folder}.",
            "Let its owner run this command.",
        )


@dataclass(frozen=True, slots=True)
class _Step:
    """A root that may take over. ``location``: where it travels; empty if a person chose it."""

    root: SignedRoot
    version: int
    location: str


def _steps(
    locations: Sequence[Location], trusted: Verified[Root], connector: Connector
) -> tuple[list[SignedRoot], tuple[str, ...]]:
    """Return what is to take over, in order of version, and what is said of roots passed over.

    The order is all that is believed here. Of the roots that travel in a depot or ``.airgap`` file,
    those that no root key of this chain has signed are passed over: anybody can put them there. But
    if there is nothing of this chain, they are not, and are refused with a reason.
    """
    steps: dict[bytes, _Step] = {}
    has_own = False
    for location in locations:
        chosen, signed_roots = _read_roots(location, connector)
        for root in signed_roots:
            if root.raw == trusted.raw:
                has_own = True
                continue
            version = _read_version(root.raw, chosen=chosen)
            if not chosen and 0 < version < trusted.value.version:
                continue
            before = steps.get(root.raw)
            envelopes = (*(before.root.envelopes if before else ()), *root.envelopes)
            place = "" if chosen or (before and not before.location) else str(location)
            steps[root.raw] = _Step(SignedRoot(root.raw, envelopes), version, place)
    own, strange = _sort_out(sorted(steps.values(), key=lambda step: step.version), trusted.value)
    if not (has_own or own):
        return [step.root for step in strange], ()
    return [step.root for step in own], tuple(map(_describe_strange, strange))


def _read_version(raw: bytes, *, chosen: bool) -> int:
    """Return the version of a root; 0 if it is none, and only travels.

    Raises:
        CorruptError: a person chose it, and it is not a root.
    """
    try:
        return roots.decode(raw).version
    except CorruptError:
        if chosen:
            raise
        return 0


def _sort_out(steps: Sequence[_Step], trusted: Root) -> tuple[list[_Step], list[_Step]]:
    """Divide the steps, in order of version, into those of the trusted root's chain and others."""
    chain, own, strange = [trusted], list[_Step](), list[_Step]()
    for step in steps:
        is_own = not step.location or (step.version and _is_signed_by(step.root, chain))
        if is_own:
            chain.append(roots.decode(step.root.raw))
        (own if is_own else strange).append(step)
    return own, strange


def _is_signed_by(root: SignedRoot, chain: Sequence[Root]) -> bool:
    """Tell whether any root key of a chain has signed a root."""
    for envelope in root.envelopes:
        for before in chain:
            with suppress(NotTrustedError, CorruptError):
                keys = before.signers("root")
                if find_valid_signers("root", root.raw, [envelope], keys):
                    return True
    return False


def _describe_strange(step: _Step) -> str:
    name = f"A root of version {step.version}" if step.version else "A file that is not a root"
    return (
        f"{name} in {step.location} was passed over: no root key of this site has signed it"
        f" ({roots.fingerprint(step.root.raw)})."
    )


def _read_roots(location: Location, connector: Connector) -> tuple[bool, list[SignedRoot]]:
    """Read the roots there; tell whether it is one that a person chose, not all that travel."""
    match location:
        case LocalDepot(path):
            try:
                return False, local_depot.open_folder(path).read_roots()
            except MissingError as error:
                hint = local_depot.suggest_folder(path, error.hint)
                raise MissingError(error.message, hint) from error
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
