"""What an archive holds besides bundles: records, seals, programs, stamps, results of checks."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

from airgap.carrier.depot import Depot, DepotBundle
from airgap.errors import AirgapError, MissingError
from airgap.flow.archive.choose_packs import ShardPacks
from airgap.flow.archive.demands import parse_end
from airgap.flow.archive.results import (
    EarlierRequest,
    list_results,
    load_earlier,
)
from airgap.flow.doctor.finding import Finding, note, ok, problem
from airgap.flow.retention.archive_id import read_archive_id
from airgap.flow.retention.records import ArchiveRecords
from airgap.flow.retention.standing import BundleStanding
from airgap.format import archive, layout, limits
from airgap.format import manifest as manifests
from airgap.format.archive_policy import decode_archive_policy
from airgap.format.root import Root
from airgap.format.shard import WHOLE
from airgap.format.stamp_files import find_stamped
from airgap.printable import count_text, series_text
from airgap.sealing.age_file import NoIdentityError, decrypt
from airgap.sealing.age_keys import AgeIdentity
from airgap.times import format_time
from airgap.version import __version__

__all__ = [
    "check_checks",
    "check_escrow",
    "check_lost_records",
    "check_parity",
    "check_records",
    "check_software",
    "check_stamps",
]

_SHOWN: Final = 3
_ID: Final = 16
_DAY_SECONDS: Final = 24 * 3600
_SOON_SECONDS: Final = 180 * _DAY_SECONDS


def check_records(
    records: ArchiveRecords,
    standings: Mapping[str, BundleStanding],
    published: Sequence[str],
    now: int,
) -> Iterator[Finding]:
    """Report damaged and missing records, and bundles that nothing keeps."""
    for file, why in sorted(records.damaged.items())[:_SHOWN]:
        yield problem(
            "records",
            f"{archive.RECORDS}/{file} is damaged: {why.rstrip('.')}.",
            "Restore the file from another copy of the archive.",
        )
    for standing in sorted(standings.values(), key=lambda one: one.bundle):
        yield from _check_standing(standing, published)
    if unarchived := sorted(set(published) - standings.keys()):
        yield note(
            "records",
            f"{count_text(len(unarchived), 'bundle')} {_have(len(unarchived))} no record, and may"
            f" be deleted: {_list_ids(unarchived)}.",
            "Add them: airgap archive add SOURCE#ID --class CLASS",
        )
    over = sorted(
        bundle
        for bundle, standing in standings.items()
        if standing.is_kept
        and standing.end
        and not standing.holds
        and parse_end(standing.end) <= now
    )
    if over:
        yield note(
            "records",
            f"The time of {count_text(len(over), 'bundle')} is over: {_list_ids(over)}.",
            "Approvers may let them go: airgap archive release",
        )
    kept = [standing for standing in standings.values() if standing.is_kept]
    if kept and not records.damaged and not any(standing.missing for standing in kept):
        yield ok(
            "records", f"The records of {count_text(len(kept), 'bundle')} that it keeps are whole."
        )


def check_lost_records(lost: Mapping[str, str]) -> Iterator[Finding]:
    """Report records that this machine's ledger says were put here; by id, their bundles."""
    if lost:
        bundles = sorted(set(lost.values()))
        yield problem(
            "records",
            f"This machine's ledger says that {count_text(len(lost), 'record')} of"
            f" {count_text(len(bundles), 'bundle')} {'was' if len(lost) == 1 else 'were'} put here,"
            f" and {'is' if len(lost) == 1 else 'are'} not in {archive.RECORDS}:"
            f" {_list_ids(bundles)}.",
            f"Copy the folder {archive.ARCHIVE} back from another copy of the archive. Until then"
            " this machine deletes nothing here.",
        )


def _check_standing(standing: BundleStanding, published: Sequence[str]) -> Iterator[Finding]:
    """Report what is missing of a bundle."""
    bundle = standing.bundle
    if standing.missing:
        yield problem(
            "records",
            f"{count_text(len(standing.missing), 'record')} of bundle {bundle} that others name"
            f" {'is' if len(standing.missing) == 1 else 'are'} missing: {standing.missing[0]}.",
            f"Restore {archive.RECORDS}/{bundle}.* from another copy of the archive.",
        )
    if not standing.records:
        yield problem(
            "records",
            f"{count_text(len(standing.dependents), 'bundle')} that must be kept"
            f" {'builds' if len(standing.dependents) == 1 else 'build'} on bundle {bundle},"
            " which has no record: they may have been removed.",
            f"Restore {archive.RECORDS}/{bundle}.* from another copy of the archive.",
        )
    if standing.is_kept and bundle not in published:
        yield problem(
            "records",
            f"Bundle {bundle} must be kept, and its manifest is not in the archive.",
            "Copy the bundle back from another copy of the archive.",
        )


def check_escrow(
    depot: Depot, published: Sequence[str], identities: Sequence[AgeIdentity]
) -> Iterator[Finding]:
    """Try whether an identity opens the seal of each sealed bundle. Nothing is written.

    Raises:
        CorruptError: a manifest is damaged.
    """
    sealed = failed = 0
    for bundle in published:
        raw = depot.read(layout.manifest_name(bundle), limits.MANIFEST_BYTES)
        index = manifests.decode(raw).sealed
        if index is None:
            continue
        sealed += 1
        if not identities:
            continue
        try:
            decrypt(index.seal, identities, limit=limits.SEAL_BYTES)
        except NoIdentityError:
            failed += 1
            yield problem(
                "escrow",
                f"None of the identities that were given opens the seal of bundle {bundle}.",
                "Find the right identity while somebody still has it, or archive the bundle again,"
                " sealed to the escrow.",
            )
        except AirgapError as error:
            failed += 1
            yield problem("escrow", f"Bundle {bundle}: {error.message}", error.hint)
    if sealed and not identities:
        yield note(
            "escrow",
            f"{count_text(sealed, 'bundle')} {'is' if sealed == 1 else 'are'} sealed, and nobody"
            " tried whether an identity still opens them.",
            "Once a year: airgap archive doctor ARCHIVE --identity FILE",
        )
    elif sealed and not failed:
        yield ok("escrow", f"The identity opens the seals of all {sealed:,} sealed bundles.")


def check_software(depot: Depot) -> Iterator[Finding]:
    """Report the programs and documents that read the archive in many years."""
    listed = depot.transport.list(archive.SOFTWARE, limits.FOLDER_NAMES)
    names = sorted(file.partition(".")[2] for file in listed if not layout.is_part(file))
    if not names:
        yield note(
            "software",
            f"{archive.SOFTWARE} holds no program: who reads the archive in many years finds none.",
            "airgap archive add puts its own wheel, verify.py and the format there.",
        )
        return
    text = f"{archive.SOFTWARE} holds {series_text(names, 2 * _SHOWN)}."
    if any(__version__ in name for name in names):
        yield ok("software", text)
    else:
        yield note(
            "software",
            f"{text} None is of this version, {__version__}.",
            "airgap archive add puts it there with the next bundle.",
        )


def check_parity(depot: Depot, published: Sequence[str]) -> Iterator[Finding]:
    """Report how many bundles can be repaired without another copy (format §20)."""
    without = [
        bundle
        for bundle in published
        if depot.transport.size(layout.parity_index_name(bundle)) is None
    ]
    if without:
        yield note(
            "parity",
            f"{len(without):,} of {count_text(len(published), 'bundle')} have no parity:"
            f" {_list_ids(without)}.",
            "Damage to them is only repaired from another copy: have one.",
        )
    elif published:
        yield ok("parity", f"All {len(published):,} bundles have parity.")


def check_stamps(depot: Depot, published: Sequence[str], now: int) -> Iterator[Finding]:
    """Report time stamps whose certificate ends soon: they must be stamped again before."""
    from airgap.signing import time_stamps

    soon: list[tuple[int, str]] = []
    stamped = 0
    for bundle in published:
        reader = DepotBundle(depot, bundle)
        signed: dict[str, bytes] = dict.fromkeys(
            (file for file in reader.list_files() if file.endswith(".dsse")), b""
        )
        if not any(file.endswith(".tsr") for file in reader.list_files()):
            continue
        for target in find_stamped(signed, reader.read_attachments()):
            if not target.chain:
                continue
            stamped += 1
            file, raw = target.chain[-1]
            expires = time_stamps.decode_stamp(raw, file).expires
            if expires is not None and expires - now < _SOON_SECONDS:
                soon.append((expires, f"{bundle}/{file}"))
    for expires, name in sorted(soon)[:_SHOWN]:
        report = problem if expires <= now else note
        verb = "ended" if expires <= now else "ends"
        yield report(
            "stamps",
            f"The certificate of the last stamp of {name} {verb} on {format_time(expires)}.",
            "Stamp it again: airgap timestamp ARCHIVE#ID --renew",
        )
    if stamped and not soon:
        yield ok("stamps", f"No certificate of {stamped:,} chains of time stamps ends soon.")


def check_checks(
    depot: Depot,
    location: str,
    standings: Mapping[str, BundleStanding],
    root: Root | None,
    now: int,
) -> Iterator[Finding]:
    """Report whether each pack was read as often as the policy demands (format §35.4, §36).

    Results count that a recorder of the pinned root has signed, of this archive at this location:
    those of all packs, or those of shards and samples together.
    """
    days = _find_check_days(depot, standings)
    if days is None or root is None:
        return
    since, latest = now - days * _DAY_SECONDS, format_time(now + _DAY_SECONDS)
    asked = EarlierRequest(read_archive_id(depot), location, WHOLE, format_time(since), latest)
    checks = sorted(
        (
            check
            for check in (stored.signed.check for stored in list_results(depot, root))
            if (check.archive, check.location) == (asked.archive, location)
            if check.shard.count == 1 and check.began <= latest
        ),
        key=lambda check: check.ended,
    )
    is_read = any(check.sample is None and check.ended >= asked.since for check in checks)
    unread = 0 if is_read else _count_unread(depot, root, asked)
    every = f"its policy demands a check every {days} days"
    if unread:
        yield problem(
            "checks",
            f"{count_text(unread, 'pack')} {'was' if unread == 1 else 'were'} read by no signed"
            f" check of {location} since {asked.since}; {every}.",
            "Check it: airgap archive check ARCHIVE --sign KEY",
        )
    elif checks and checks[-1].verdict == "FAILED":
        last = checks[-1]
        yield problem(
            "checks",
            f"The check that ended on {last.ended} failed:"
            f" {count_text(last.problem_count, 'problem')}.",
            "Read what it says of each, mend it, and check the archive again.",
        )
    else:
        yield ok("checks", f"Each pack was read since {asked.since}, and {every}.")


def _count_unread(depot: Depot, root: Root, asked: EarlierRequest) -> int:
    """Return how many packs no result has read since a time. Raises CorruptError as ``decode``."""
    earlier, packs = load_earlier(depot, root, asked), ShardPacks(WHOLE)
    for bundle in depot.list_bundles():
        raw = depot.read(layout.manifest_name(bundle), limits.MANIFEST_BYTES)
        packs.add_bundle(bytes.fromhex(bundle), manifests.decode(raw).packs, earlier)
    return sum(packs.times.get(pack, "") <= asked.since for pack in packs.sizes)


def _find_check_days(depot: Depot, standings: Mapping[str, BundleStanding]) -> int | None:
    """Return the shortest interval of checks that a kept bundle's class demands."""
    terms = {
        (stored.record.terms.policy, stored.record.terms.class_name)
        for standing in standings.values()
        if standing.is_kept
        for stored in standing.archived
        if stored.record.terms
    }
    days = []
    for digest, name in sorted(terms):
        with suppress(MissingError, AirgapError):
            raw = depot.read(archive.policy_name(digest), limits.ARCHIVE_POLICY_BYTES)
            policy = decode_archive_policy(raw, archive.policy_name(digest))
            if policy.sha256 == digest and name in policy.classes:
                days.append(policy.classes[name].check_days)
    return min(days, default=None)


def _list_ids(bundles: Sequence[str]) -> str:
    return series_text([bundle[:_ID] for bundle in bundles], _SHOWN)


def _have(count: int) -> str:
    return "has" if count == 1 else "have"
