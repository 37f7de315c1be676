"""``airgap archive merge``: the results of all shards become one (format §36.5)."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.carrier.depot import Depot
from airgap.disk import durable
from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_small
from airgap.errors import AirgapError, ConflictError, MissingError, NotTrustedError, UsageError
from airgap.flow.admission.policy import require_root
from airgap.flow.archive import results
from airgap.flow.archive.check_archive import CheckedArchive, record_check, require_recorder
from airgap.flow.archive.survey import ArchiveSize, measure_archive, refuse_bundle
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import DepotLocation
from airgap.flow.retention.archive_id import read_archive_id
from airgap.format import check_files, limits
from airgap.format.check_result import TESTS, ArchiveCheck, list_problems
from airgap.format.root import Root
from airgap.format.shard import WHOLE
from airgap.printable import list_some
from airgap.signing.checks import SignedCheck, sign_check, verify_check
from airgap.signing.signer import Signer
from airgap.version import __version__

__all__ = ["MergeRequest", "merge_checks", "merge_results"]

_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class MergeRequest:
    """The results of shards, and what becomes of the merged one.

    With ``archive``, the results are compared with it, and the merged one is stored in it.
    """

    results: Sequence[Path]
    signer: Signer | None = None
    output: Path | None = None
    archive: DepotLocation | None = None


def merge_results(request: MergeRequest, connector: Connector) -> CheckedArchive:
    """Verify the results of all shards, and make one of them; sign, write and store it.

    Raises:
        UsageError: there is nothing to sign it with.
        ConfigurationError: this machine trusts nobody yet.
        NotTrustedError: a recorder of the root did not sign one, or it says more than was read.
        ConflictError: they are not of one check of one archive.
        MissingError: the result of a shard is missing.
        CorruptError: one is malformed.
        StorageError, TransportError: one cannot be read, or the merged one not be written.
    """
    if request.archive is not None:
        refuse_bundle(request.archive)
    if request.signer is None and (request.output or request.archive):
        raise UsageError(
            "A result that is not signed proves nothing, and is not written.",
            "Give the key of a recorder: --sign KEY.",
        )
    pinned = require_root()
    require_recorder(request.signer, pinned)
    signed = [_read_result(path, pinned.value) for path in request.results]
    check = merge_checks(signed)
    if request.archive is None:
        return _keep(request, check, None)
    with closing(connector.open_depot(request.archive)) as depot:
        _compare_with_archive(depot, check, signed)
        kept = _keep(request, check, depot)
    if request.signer:
        record_check(kept.check, kept.raw, request.signer, pinned, connector.progress)
    return kept


def _read_result(path: Path, root: Root) -> SignedCheck:
    with translate_errors(path):
        raw = read_small(path, limits.CHECK_FILE_BYTES)
    try:
        return verify_check(raw, root)
    except AirgapError as error:
        raise error.reword(f"{path}: {error.message}") from error


def merge_checks(signed: Sequence[SignedCheck]) -> ArchiveCheck:
    """Make one result of those of all shards, which were verified (format §36.5, 2 and 3).

    Raises:
        ConflictError: they are not of one check of one archive, or two of one shard differ.
        MissingError: the result of a shard is missing.
    """
    shards: dict[int, SignedCheck] = {}
    first = signed[0].check
    for one in signed:
        _demand_same(first, one.check)
        other = shards.setdefault(one.check.shard.number, one)
        if other.digest != one.digest:
            raise ConflictError(
                f"There are two different results of shard {one.check.shard}:"
                f" {other.digest.hex()} and {one.digest.hex()}.",
                "Give the one that counts.",
            )
    missing = [n for n in range(1, first.shard.count + 1) if n not in shards]
    if missing:
        names = ", ".join(list_some([f"{n}/{first.shard.count}" for n in missing], _SHOWN))
        raise MissingError(
            f"{len(missing)} of {first.shard.count} shards have no result: {names}.",
            "Run `airgap archive check --shard` for each of them, and merge all results.",
        )
    return _merge([shards[number] for number in sorted(shards)])


def _demand_same(first: ArchiveCheck, check: ArchiveCheck) -> None:
    """Refuse results of different archives, states, samples or divisions.

    Raises:
        ConflictError: they differ.
    """
    if check.shards:
        raise ConflictError(
            "One of the results is merged already.", "Give the results of the shards themselves."
        )
    for what, ours, theirs in (
        ("archive", first.archive, check.archive),
        ("location", first.location, check.location),
        ("state of the archive", first.state.hex(), check.state.hex()),
        ("number of bundles", first.bundles, check.bundles),
        ("sample", first.sample, check.sample),
        ("number of shards", first.shard.count, check.shard.count),
    ):
        if ours != theirs:
            raise ConflictError(
                f"The results are not of one check: the {what} of shard {check.shard} is {theirs},"
                f" and that of shard {first.shard} is {ours}.",
                "Bundles may have been added or deleted meanwhile: check the other shards again.",
            )


def _merge(signed: Sequence[SignedCheck]) -> ArchiveCheck:
    checks = [one.check for one in signed]
    first = checks[0]
    made = [test for test in TESTS if all(test in one.tests for one in checks)]
    failed = {test for one in checks for test in one.failed}
    warned = {test for one in checks for test in one.warned} - failed
    tests = [test for test in TESTS if test in {*made, *failed, *warned}]
    problems = {problem for one in checks for problem in one.problems}
    listed = list_problems(problems)
    unlisted = sum(one.problem_count - len(one.problems) for one in checks)
    return ArchiveCheck(
        archive=first.archive,
        state=first.state,
        bundles=first.bundles,
        location=first.location,
        began=min(one.began for one in checks),
        ended=max(one.ended for one in checks),
        shard=WHOLE,
        packs=sum(one.packs for one in checks),
        packs_read=sum(one.packs_read for one in checks),
        bytes_read=sum(one.bytes_read for one in checks),
        tests=tuple(tests),
        tool=__version__,
        problems=listed,
        problem_count=len(problems) + unlisted,
        failed=tuple(test for test in tests if test in failed),
        warned=tuple(test for test in tests if test in warned),
        mended=tuple(sorted(name for one in checks for name in one.mended))[
            : limits.CHECK_PROBLEMS
        ],
        sample=first.sample,
        shards=tuple(one.digest for one in signed),
    )


def _compare_with_archive(depot: Depot, check: ArchiveCheck, signed: Sequence[SignedCheck]) -> None:
    """Compare results with the archive as it is now (format §36.5, 4).

    Raises:
        ConflictError: they are of another archive or state.
        NotTrustedError: a shard says other packs than the manifests.
    """
    archive = read_archive_id(depot)
    if archive != check.archive:
        raise ConflictError(
            f"The results are of archive {check.archive}, and {depot.location} is archive"
            f" {archive or 'without an id'}.",
            "Give the archive that was checked.",
        )
    size = measure_archive(depot, len(check.shards))
    if size.state != check.state:
        raise ConflictError(
            f"{depot.location} has other bundles now than when it was checked (state"
            f" {size.state.hex()[:16]}…, and not {check.state.hex()[:16]}…).",
            "Check it again: bundles were added or deleted since.",
        )
    for one in signed:
        _demand_packs(depot, one.check, size)


def _demand_packs(depot: Depot, check: ArchiveCheck, size: ArchiveSize) -> None:
    """Refuse a result of another number of packs than its shard has, or of packs not in it.

    Raises:
        NotTrustedError: it is one.
    """
    packs = size.packs[check.shard.number - 1]
    problem = ""
    if check.packs != len(packs):
        problem = f"that it has {check.packs:,} packs, and the manifests name {len(packs):,}"
    elif check.sampled is not None:
        month = check.ended[:7]
        name = check_files.packs_name(month, check.sampled)
        sampled = results.read_digests(depot, name, check.sampled, limits.ARCHIVE_PACKS)
        if len(sampled) != check.packs_read or not packs.issuperset(sampled):
            problem = f"that {check.packs_read:,} of its packs were read, and {name} does not"
    if problem:
        raise NotTrustedError(
            f"The result of shard {check.shard} says {problem}.",
            "Find out what its recorder has signed, and check the shard again.",
        )


def _keep(request: MergeRequest, check: ArchiveCheck, depot: Depot | None) -> CheckedArchive:
    if request.signer is None:
        return CheckedArchive(check)
    raw, name = sign_check(check, request.signer), ""
    if request.output:
        with translate_errors(request.output):
            durable.replace_file(request.output, raw)
    if depot is not None:
        name = results.store_result(depot, check.ended[:7], raw, [])
    return CheckedArchive(check, raw, name)
