"""What follows from the records of an archive: what it keeps, until when, and why (§35.2).

Pure: records and a root are values, and so is the answer. What keeps needs no proof; what lets go
does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airgap.flow.retention.records import ArchiveRecords, StoredRecord
from airgap.format.root import Root
from airgap.signing.records import choose_release_role, find_record_signers

__all__ = ["BundleStanding", "find_pack_ends", "find_standings"]


@dataclass(frozen=True, slots=True)
class BundleStanding:
    """What the records say of one bundle. Times are texts of RFC 3339, in UTC."""

    bundle: str
    records: tuple[StoredRecord, ...]
    end: str = ""
    """The highest end of its own terms and of what builds on it; empty: it was never archived."""
    own_end: str = ""
    holds: tuple[StoredRecord, ...] = ()
    """Those in force."""
    release: StoredRecord | None = None
    """The one by which the archive does not keep it any more."""
    dependents: tuple[str, ...] = ()
    """The bundles that are kept and build on it, sorted."""
    missing: tuple[str, ...] = ()
    """Ids of records that others name, and that are not there."""
    uncounted: tuple[tuple[StoredRecord, str], ...] = ()
    """Each ``released`` that does not count, and why: it completes "… does not count: "."""
    is_kept: bool = False
    """Whether it must not be removed."""

    @property
    def archived(self) -> tuple[StoredRecord, ...]:
        """The records by which it was taken in."""
        return tuple(stored for stored in self.records if stored.record.terms is not None)


@dataclass(frozen=True, slots=True)
class _Bundle:
    """The records of one bundle, by what they do."""

    records: tuple[StoredRecord, ...]
    missing: tuple[str, ...]
    holds: tuple[StoredRecord, ...]
    release: StoredRecord | None
    """One that counts, if nothing that is kept builds on the bundle."""
    own_end: str
    bases: frozenset[str]
    uncounted: tuple[tuple[StoredRecord, str], ...]

    @property
    def is_kept_itself(self) -> bool:
        """Whether something keeps it, and not only what builds on it."""
        is_archived = bool(self.own_end) and self.release is None
        return is_archived or bool(self.holds) or bool(self.missing)


def find_standings(
    records: ArchiveRecords, root: Root | None, latest: str
) -> dict[str, BundleStanding]:
    """Return what the records say of each bundle, by its id.

    A bundle that something kept builds on has a standing though it has no record: they may have
    been removed.

    Args:
        records: all of the archive.
        root: the site's, which is pinned; None: no ``released`` counts.
        latest: the latest time that a ``released`` may have (format §35.2, rule 2).
    """
    examination = _RecordReading(root, latest, is_intact=not records.damaged)
    bundles = {bundle: examination.look(stored) for bundle, stored in records.bundles.items()}
    named = {base for one in bundles.values() for base in one.bases}
    bundles |= dict.fromkeys(named - bundles.keys(), examination.look(()))
    builders = _find_builders(bundles)
    kept = _find_kept(bundles)
    ends = _find_ends(bundles, kept)
    return {
        bundle: BundleStanding(
            bundle,
            one.records,
            ends.get(bundle, one.own_end),
            one.own_end,
            one.holds,
            None if bundle in kept else one.release,
            tuple(sorted(builders.get(bundle, frozenset()) & kept)),
            one.missing,
            one.uncounted,
            bundle in kept,
        )
        for bundle, one in bundles.items()
        if one.records or bundle in kept
    }


def find_pack_ends(
    standings: Mapping[str, BundleStanding], packs: Iterable[tuple[str, Iterable[bytes]]]
) -> dict[bytes, str]:
    """Return until when each pack must be kept: the highest end of the kept bundles that name it.

    ``packs`` has the digests of the packs of each bundle, by its id. A hold has no end, and is not
    in the answer; a pack that nothing must keep is not, either.
    """
    ends: dict[bytes, str] = {}
    for bundle, digests in packs:
        standing = standings.get(bundle)
        if standing is None or not standing.is_kept or not standing.end:
            continue
        for digest in digests:
            ends[digest] = max(ends.get(digest, ""), standing.end)
    return ends


@dataclass(frozen=True, slots=True)
class _RecordReading:
    """Looks at the records of one bundle after the other."""

    root: Root | None
    latest: str
    is_intact: bool

    def look(self, records: tuple[StoredRecord, ...]) -> _Bundle:
        by_id = {stored.id: stored for stored in records}
        missing = sorted(
            {name for stored in records for name in stored.record.previous} - by_id.keys()
        )
        released = [stored for stored in records if stored.record.event == "released"]
        problems = {stored.id: self._find_problem(stored) for stored in released}
        ancestors = {
            stored.id: _find_ancestors(stored, by_id)
            for stored in released
            if not problems[stored.id]  # only those that were signed: what others write costs more
        }
        lifted = {
            stored.record.hold
            for stored in released
            if not problems[stored.id] and stored.record.hold in ancestors[stored.id]
        }
        holds = tuple(
            stored
            for stored in records
            if stored.record.event == "held" and stored.id not in lifted
        )
        terms = [stored.record.terms for stored in records if stored.record.terms]
        own_end = max((term.keep_until for term in terms), default="")
        keeping = {stored.id for stored in records if stored.record.event != "released"}
        for stored in released:
            if stored.record.hold is None and not problems[stored.id]:
                problems[stored.id] = _find_obstacle(
                    stored, keeping - ancestors[stored.id], own_end, missing, holds
                )
            elif stored.record.hold is not None and not problems[stored.id]:
                known = stored.record.hold in ancestors[stored.id] & keeping
                problems[stored.id] = "" if known else "it is of no hold before it"
        counted = [
            stored for stored in released if stored.record.hold is None and not problems[stored.id]
        ]
        return _Bundle(
            records,
            tuple(missing),
            holds,
            counted[-1] if counted else None,
            own_end,
            frozenset(base for term in terms for base in term.bases),
            tuple((stored, problems[stored.id]) for stored in released if problems[stored.id]),
        )

    def _find_problem(self, stored: StoredRecord) -> str:
        """Say why a ``released`` does not count, whatever it releases (rules 1 and 2)."""
        if self.root is None:
            return "this machine has not pinned the site's root"
        if stored.record.site != self.root.site:
            return f"it is of site {stored.record.site}, and the root of {self.root.site}"
        if not self.is_intact:
            return "a record of the archive is damaged"
        role, needed = choose_release_role(self.root)
        signers = find_record_signers(stored.envelopes, self.root, role)
        if len(signers) < needed:
            return f"it has {len(signers)} of {needed} signatures of the role {role}"
        if stored.record.time > self.latest:
            return f"it is from {stored.record.time}, which is in the future"
        return ""


def _find_obstacle(
    stored: StoredRecord,
    unseen: set[str],
    own_end: str,
    missing: Sequence[str],
    holds: Sequence[StoredRecord],
) -> str:
    """Say why a signed ``released`` does not let its bundle go (rule 4)."""
    if not own_end:
        return "the bundle was never archived"
    if missing:
        return f"record {missing[0]}, which another one names, is missing"
    if unseen:
        return f"it does not follow record {min(unseen)}, which keeps the bundle"
    if holds:
        return f"hold {holds[0].id} is in force"
    if stored.record.time < own_end:
        return f"it is from {stored.record.time}, before the end of the retention, {own_end}"
    return ""


def _find_ancestors(stored: StoredRecord, by_id: Mapping[str, StoredRecord]) -> frozenset[str]:
    """Return the ids of the records that one names, and of those that they name."""
    seen: set[str] = set()
    waiting = list(stored.record.previous)
    while waiting:
        identity = waiting.pop()
        if identity in by_id and identity not in seen:
            seen.add(identity)
            waiting += by_id[identity].record.previous
    return frozenset(seen)


def _find_builders(bundles: Mapping[str, _Bundle]) -> dict[str, frozenset[str]]:
    """Return by bundle id the bundles that build on it."""
    builders: dict[str, set[str]] = {}
    for bundle, one in bundles.items():
        for base in one.bases:
            builders.setdefault(base, set()).add(bundle)
    return {base: frozenset(found) for base, found in builders.items()}


def _find_kept(bundles: Mapping[str, _Bundle]) -> frozenset[str]:
    """Return what is kept: something keeps it itself, or what is kept builds on it."""
    kept = {bundle for bundle, one in bundles.items() if one.is_kept_itself}
    waiting = list(kept)
    while waiting:
        for base in bundles[waiting.pop()].bases:
            if base not in kept:
                kept.add(base)
                waiting.append(base)
    return frozenset(kept)


def _find_ends(bundles: Mapping[str, _Bundle], kept: frozenset[str]) -> dict[str, str]:
    """Return the highest end of each kept bundle, and of all that is kept and builds on it.

    The latest end goes down to all bases first, so each bundle is looked at once.
    """
    ends: dict[str, str] = {}
    for latest in sorted(kept, key=lambda bundle: bundles[bundle].own_end, reverse=True):
        waiting = [latest]
        while waiting:
            bundle = waiting.pop()
            if bundle not in ends:
                ends[bundle] = bundles[latest].own_end
                waiting += bundles[bundle].bases
    return ends
