"""``airgap archive check``: compares an archive with its digests, and signs the result (§36)."""

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from airgap.carrier.depot import Depot, DepotBundle
from airgap.disk import durable
from airgap.disk.os_errors import translate_errors
from airgap.errors import (
    AirgapError,
    ConfigurationError,
    CorruptError,
    MissingError,
    StorageError,
    UsageError,
)
from airgap.flow.archive import check_bundle, results
from airgap.flow.archive.check_bundle import BundleCheck, KnownRoots
from airgap.flow.archive.check_records import check_programs, check_records
from airgap.flow.archive.check_stamps import check_evidence_stamps, check_index_stamps
from airgap.flow.archive.choose_packs import EarlierChecks, ShardPacks, choose_packs
from airgap.flow.archive.mend import Mender
from airgap.flow.archive.read_packs import read_packs
from airgap.flow.archive.results import EarlierRequest
from airgap.flow.archive.side_by_side import read_side_by_side
from airgap.flow.archive.survey import list_archive, read_stored_manifest, refuse_bundle
from airgap.flow.ledger.record import ANY_SITE, EventRecord, record_event
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import DepotLocation, LocalDepot
from airgap.flow.progress import Progress
from airgap.flow.retention.archive_id import make_archive_id, read_archive_id
from airgap.flow.site import load_pinned
from airgap.format import check_files, intoto, layout, limits
from airgap.format.check_result import (
    MILLION,
    TESTS,
    ArchiveCheck,
    ArchiveTest,
    CheckProblem,
    PackSample,
    ProblemKind,
    list_problems,
)
from airgap.format.manifest import Pack
from airgap.format.read_check import SEED
from airgap.format.root import Root, SignedRoot
from airgap.format.shard import WHOLE, Shard
from airgap.printable import make_printable
from airgap.signing.as_of import accept_older_roots
from airgap.signing.checks import sign_check
from airgap.signing.signer import Signer
from airgap.signing.trust import Verified
from airgap.state.check_runs import CheckRun, RunStart
from airgap.times import format_time
from airgap.transport.port import Transport
from airgap.version import __version__

__all__ = [
    "ArchiveCheckRequest",
    "CheckedArchive",
    "check_archive",
    "record_check",
    "require_recorder",
]

_ROOTS_UNIT: Final = hashlib.sha256(b"roots").digest()
_TEXT_CHARACTERS: Final = 400
_CLOCKS_DIFFER: Final = 86_400
"""How many seconds an earlier result may be from the future (format §36.3)."""


@dataclass(frozen=True, slots=True)
class ArchiveCheckRequest:
    """What is checked, how much of it, and what becomes of the result.

    ``parts`` of a million packs are read, of those that nobody read for ``older_than`` seconds.
    Without a ``signer`` there is no result, only what is returned. ``sources`` are other copies
    that packs are mended from; ``is_mending`` allows parity as well. With ``is_read_only``, nothing
    is written into the archive.
    """

    location: DepotLocation
    shard: Shard = WHOLE
    parts: int = MILLION
    older_than: int | None = None
    seed: str = ""
    signer: Signer | None = None
    output: Path | None = None
    is_mending: bool = False
    sources: Sequence[DepotLocation] = ()
    is_read_only: bool = False

    @property
    def is_sample(self) -> bool:
        """Whether some packs may be left out."""
        return self.parts < MILLION or self.older_than is not None


@dataclass(frozen=True, slots=True)
class CheckedArchive:
    """What a check has found, the file of its signed result, and where that is in the archive.

    ``went_on`` is how many packs an earlier run of this check, which was interrupted, had read.
    """

    check: ArchiveCheck
    raw: bytes = b""
    name: str = ""
    went_on: int = 0


@dataclass
class _Survey:
    """What manifests and the files beside them say: before any pack is read."""

    packs: ShardPacks
    bundles: list[bytes] = field(default_factory=list)
    problems: list[CheckProblem] = field(default_factory=list)


def check_archive(request: ArchiveCheckRequest, connector: Connector) -> CheckedArchive:
    """Check an archive, or a shard or sample of it; sign and store the result.

    A check that was killed goes on where it was if the same one is begun again.

    Raises:
        UsageError: what was asked for does not fit together.
        MissingError: there is no bundle there.
        ConflictError: another process makes the same check.
        StorageError, TransportError: the archive cannot be read, or a result cannot be written.
        AirgapError: the root is not valid, or a signer refuses.
    """
    _refuse_contradictions(request)
    with ExitStack() as stack:
        depot = stack.enter_context(closing(connector.open_depot(request.location)))
        copies = [
            stack.enter_context(closing(connector.open_depot(source))) for source in request.sources
        ]
        folder = request.location.path if isinstance(request.location, LocalDepot) else None
        mends = request.is_mending or bool(copies)
        parity = folder if request.is_mending else None
        mender = Mender(depot, parity, copies, connector.progress) if mends else None
        return _Check(request, depot, mender, connector.progress).run()


def _refuse_contradictions(request: ArchiveCheckRequest) -> None:
    for location in (request.location, *request.sources):
        refuse_bundle(location)
    if request.output and request.signer is None:
        raise UsageError(
            "A result that is not signed proves nothing, and is not written.",
            "Give the key of a recorder: --sign KEY.",
        )
    if request.is_read_only and (request.is_mending or request.sources):
        raise UsageError(
            "--read-only writes nothing into the archive, and --mend and --from do.",
            "Leave out one of them.",
        )
    if request.seed and not SEED.fullmatch(request.seed):
        raise UsageError(
            "A seed has at most 64 letters, digits, '-', '.' and '_'.", "Give another --seed."
        )
    if request.is_sample and request.shard.count > 1 and not request.seed:
        raise UsageError(
            "Shards of one sample need one seed.",
            "Give all of them the same --seed, such as a date.",
        )


class _Check:
    """One check, from the listing of bundles to its result."""

    def __init__(
        self,
        request: ArchiveCheckRequest,
        depot: Depot,
        mender: Mender | None,
        progress: Progress,
    ) -> None:
        self._request = request
        self._depot = depot
        self._mender = mender
        self._progress = progress
        self._now = check_bundle.read_now()
        self._pinned = load_pinned()
        self._with_stamps = check_bundle.has_stamp_library()
        self._location = results.name_location(request.location, depot)

    def run(self) -> CheckedArchive:
        require_recorder(self._request.signer, self._pinned)
        archive = self._find_id()
        with closing(CheckRun.begin(self._make_key(archive), self._make_start())) as run:
            sample = self._make_sample(run.start.seed)
            since = self._find_since(run.start.began)
            survey = self._survey(self._load_earlier(archive, since))
            chosen = choose_packs(survey.packs, sample, since)
            problems, mended = self._read(chosen, survey.packs.sizes, run)
            check = self._conclude(
                archive,
                run.start.began,
                sample,
                survey,
                chosen,
                [*survey.problems, *problems],
                mended,
            )
            went_on = len(run.done.intersection(chosen))
            raw, name = self._keep(check, chosen, survey.bundles)
            run.finish()
        return CheckedArchive(check, raw, name, went_on)

    def _find_id(self) -> str:
        """Return the archive's id, which is made for a result that names it; empty without one."""
        if self._request.signer is None or self._request.is_read_only:
            archive = read_archive_id(self._depot)
            if self._request.signer is not None and not archive:
                raise MissingError(
                    f"{self._depot.location} has no id that a result could name"
                    f" ({check_files.ID_NAME}).",
                    "Run a check without --read-only once: it makes the id.",
                )
            return archive
        return make_archive_id(self._depot)

    def _make_key(self, archive: str) -> str:
        """Name the check, so that the same command goes on with it."""
        request = self._request
        question = [
            archive,
            self._location,
            str(request.shard),
            request.parts,
            request.older_than,
            request.seed,
        ]
        return hashlib.sha256(intoto.encode_json(question)).hexdigest()[:32]

    def _make_start(self) -> RunStart:
        return RunStart(
            self._now, self._request.seed or secrets.token_hex(16), secrets.token_bytes(16)
        )

    def _make_sample(self, seed: str) -> PackSample | None:
        request = self._request
        return PackSample(request.parts, seed, request.older_than) if request.is_sample else None

    def _find_since(self, began: int) -> str:
        """Return the time since which packs that were read are left out; empty for none."""
        older_than = self._request.older_than
        return "" if older_than is None else format_time(max(began - older_than, 0))

    def _load_earlier(self, archive: str, since: str) -> EarlierChecks:
        if not self._request.is_sample:
            return EarlierChecks()
        root = self._pinned.value if self._pinned else None
        latest = format_time(self._now + _CLOCKS_DIFFER)
        asked = EarlierRequest(archive, self._location, self._request.shard, since, latest)
        return results.load_earlier(self._depot, root, asked)

    def _survey(self, earlier: EarlierChecks) -> _Survey:
        """Read all manifests, and check the small files of the shard.

        Raises:
            MissingError: there is no bundle.
            TransportError: the archive cannot be read.
        """
        survey = _Survey(ShardPacks(self._request.shard))
        signed, problems = self._read_roots()
        if self._request.shard.takes(_ROOTS_UNIT):
            survey.problems += problems
        roots = self._accept_roots(signed)
        for bundle, packs, found in self._read_bundles(roots):
            survey.bundles.append(bundle)
            survey.problems += found
            contradicted = survey.packs.add_bundle(bundle, packs, earlier)
            survey.problems += [
                CheckProblem(
                    "failed",
                    "manifests",
                    layout.manifest_name(bundle.hex()),
                    "corrupt",
                    f"it says another size of {layout.pack_name(pack)} than another manifest",
                )
                for pack in contradicted
            ]
        survey.problems += self._check_records(survey.bundles)
        if not survey.bundles:
            raise MissingError(
                f"{self._depot.location} has no bundle.",
                "Give the folder that contains 'bundles' and 'packs'.",
            )
        return survey

    def _check_records(self, bundles: Sequence[bytes]) -> list[CheckProblem]:
        """Check what the archive says of the bundles in the shard, and the programs beside."""
        request, root = self._request, self._pinned.value if self._pinned else None
        present = (bundle.hex() for bundle in bundles)
        problems = check_records(self._depot, request.shard, root, present, self._now)
        if request.shard.takes(_ROOTS_UNIT):
            problems += check_programs(self._depot)
            problems += check_index_stamps(self._depot, self._now) if self._with_stamps else []
        if self._with_stamps:
            problems += check_evidence_stamps(self._depot, request.shard, self._now)
        return problems

    def _read_roots(self) -> tuple[list[SignedRoot], list[CheckProblem]]:
        try:
            signed = self._depot.read_roots()
        except MissingError:
            return [], []
        except CorruptError as error:
            return [], [_report(layout.ROOTS, "roots", error)]
        return signed, list(check_bundle.check_roots(signed))

    def _accept_roots(self, signed: Sequence[SignedRoot]) -> KnownRoots | None:
        if self._pinned is None:
            return None
        return KnownRoots(self._pinned, accept_older_roots(self._pinned, signed))

    def _read_bundles(
        self, roots: KnownRoots | None
    ) -> Iterator[tuple[bytes, Sequence[Pack], list[CheckProblem]]]:
        tasks = (self._make_bundle_task(bundle, roots) for bundle in list_archive(self._depot))
        for read in read_side_by_side(self._depot, tasks):
            if read is not None:
                yield read

    def _make_bundle_task(
        self, bundle: str, roots: KnownRoots | None
    ) -> Callable[[Transport], tuple[bytes, Sequence[Pack], list[CheckProblem]] | None]:
        digest = bytes.fromhex(bundle)
        is_ours = self._request.shard.takes(digest)

        def read(
            transport: Transport,
        ) -> tuple[bytes, Sequence[Pack], list[CheckProblem]] | None:
            reader = DepotBundle(Depot(transport, self._depot.work), bundle)
            try:
                raw, manifest = read_stored_manifest(reader)
            except MissingError:
                return None
            except (CorruptError, StorageError) as error:
                # In every shard: nobody knows which packs of it are in there, and none is read.
                return digest, (), [_report(layout.manifest_name(bundle), "manifests", error)]
            if not is_ours:
                return digest, manifest.packs, []
            check = BundleCheck(reader, raw, manifest, roots, self._now, self._with_stamps)
            try:
                return digest, manifest.packs, check.run()
            except (CorruptError, StorageError) as error:  # a folder in place of a signature
                problem = _report(f"{layout.BUNDLES}/{bundle}", "signatures", error)
                return digest, manifest.packs, [*check.problems, problem]

        return read

    def _read(
        self, chosen: Sequence[bytes], sizes: Mapping[bytes, int], run: CheckRun
    ) -> tuple[list[CheckProblem], list[str]]:
        """Read the chosen packs that were not read before; mend what can be."""
        left = [pack for pack in chosen if pack not in run.done]
        bad: dict[bytes, AirgapError] = {}
        self._progress.begin("checking", sum(sizes[pack] for pack in left))
        try:
            for pack, error in read_packs(self._depot, left, sizes):
                self._progress.advance(sizes[pack])
                if error is None:
                    run.add(pack)
                else:
                    bad[pack] = error
        finally:
            self._progress.end()
        return self._report(bad, sizes)

    def _report(
        self, bad: Mapping[bytes, AirgapError], sizes: Mapping[bytes, int]
    ) -> tuple[list[CheckProblem], list[str]]:
        """Say which bundles need the bad packs, and mend them; the rest is a problem."""
        problems, mended = [], []
        needing = self._find_needing(bad) if bad else {}
        for pack, error in sorted(bad.items(), key=lambda one: one[0]):
            bundles = needing.get(pack, [])
            if not bundles:  # deleted meanwhile
                continue
            name, needed_by = layout.pack_name(pack), tuple(bundles[: limits.CHECK_NEEDED_BY])
            text = make_printable(error.message)[:_TEXT_CHARACTERS]
            source = self._mender.mend(pack, sizes[pack], bundles) if self._mender else ""
            if source:
                mended.append(name)
                text = make_printable(f"mended from {source}; {text}")[:_TEXT_CHARACTERS]
                problems.append(CheckProblem("warned", "packs", name, "mended", text, needed_by))
            else:
                is_missing = isinstance(error, MissingError)
                kind: ProblemKind = "missing" if is_missing else "corrupt"
                problems.append(CheckProblem("failed", "packs", name, kind, text, needed_by))
        return problems, mended

    def _find_needing(self, bad: Iterable[bytes]) -> dict[bytes, list[str]]:
        """Return the sorted ids of the bundles that need each of these packs now."""
        wanted, needing = frozenset(bad), defaultdict[bytes, list[str]](list)

        def make_task(bundle: str) -> Callable[[Transport], tuple[str, set[bytes]]]:
            def read(transport: Transport) -> tuple[str, set[bytes]]:
                reader = DepotBundle(Depot(transport, self._depot.work), bundle)
                with suppress(MissingError, CorruptError):
                    packs = read_stored_manifest(reader)[1].packs
                    return bundle, {pack.digest for pack in packs} & wanted
                return bundle, set()

            return read

        tasks = map(make_task, self._depot.list_folders())
        for bundle, packs in read_side_by_side(self._depot, tasks):
            for pack in packs:
                needing[pack].append(bundle)
        return needing

    def _conclude(  # noqa: PLR0913, PLR0917  (all that a result says)
        self,
        archive: str,
        began: int,
        sample: PackSample | None,
        survey: _Survey,
        chosen: Sequence[bytes],
        problems: Sequence[CheckProblem],
        mended: Sequence[str],
    ) -> ArchiveCheck:
        column = check_files.encode_digests(chosen)
        made = [test for test in TESTS if self._makes(test)]
        failed = {one.test for one in problems if one.level == "failed"}
        return ArchiveCheck(
            archive=archive or "0" * 32,
            state=check_files.compute_state(survey.bundles),
            bundles=len(survey.bundles),
            location=self._location,
            began=format_time(began),
            ended=format_time(max(check_bundle.read_now(), began)),
            shard=self._request.shard,
            packs=len(survey.packs.sizes),
            packs_read=len(chosen),
            bytes_read=sum(survey.packs.sizes[pack] for pack in chosen),
            tests=tuple(made),
            tool=__version__,
            problems=list_problems(problems),
            problem_count=len(problems),
            failed=tuple(test for test in made if test in failed),
            warned=tuple(
                test
                for test in made
                if test not in failed and any(one.test == test for one in problems)
            ),
            mended=tuple(sorted(mended)[: limits.CHECK_PROBLEMS]),
            sample=sample,
            sampled=None if sample is None else hashlib.sha256(column).digest(),
        )

    def _makes(self, test: ArchiveTest) -> bool:
        if test == "signatures":
            return self._pinned is not None
        return test != "stamps" or self._with_stamps

    def _keep(
        self, check: ArchiveCheck, chosen: Sequence[bytes], bundles: Sequence[bytes]
    ) -> tuple[bytes, str]:
        """Sign the result, and write it where it was asked for; record it if it is of all."""
        if self._request.signer is None:
            return b"", ""
        raw, name, month = sign_check(check, self._request.signer), "", check.ended[:7]
        if self._request.output:
            with translate_errors(self._request.output):
                durable.replace_file(self._request.output, raw)
        if not self._request.is_read_only:
            lists = [
                (check_files.bundles_name(month, check.state), check_files.encode_digests(bundles))
            ]
            if check.sampled is not None:
                column = check_files.encode_digests(chosen)
                lists.append((check_files.packs_name(month, check.sampled), column))
            name = results.store_result(self._depot, month, raw, lists)
        if check.shard == WHOLE:
            record_check(check, raw, self._request.signer, self._pinned, self._progress)
        return raw, name


def require_recorder(signer: Signer | None, pinned: Verified[Root] | None) -> None:
    """Demand that others will accept what a key signs, before anything is read.

    Raises:
        ConfigurationError: the root that this machine trusts does not name it as a recorder.
    """
    if signer is None or pinned is None:
        return
    root = pinned.value
    if "recorder" not in root.roles or signer.key.id not in root.signers("recorder"):
        raise ConfigurationError(
            f"The key {signer.key.id} is not a recorder of site {root.site} (root version"
            f" {root.version}): nobody could verify a result.",
            "Give it the role: airgap root add-key ROOT recorder KEY.pub -o NEXT. Or give another"
            " --sign.",
        )


def _report(name: str, test: ArchiveTest, error: AirgapError) -> CheckProblem:
    text = make_printable(error.message)[:_TEXT_CHARACTERS]
    return CheckProblem("failed", test, name, "corrupt", text)


def record_check(
    check: ArchiveCheck,
    raw: bytes,
    signer: Signer,
    pinned: Verified[Root] | None,
    progress: Progress,
) -> None:
    """Append to the ledger of exports that an archive was checked.

    Raises:
        PolicyError, StorageError: as ``record_event``.
    """
    record = EventRecord(
        "checked",
        documents={"check": hashlib.sha256(raw).digest(), "state": check.state},
        note=f"{check.verdict}: {check.packs_read} of {check.packs} packs of {check.location}",
        key=signer.key.id,
    )
    record_event(pinned.value.site if pinned else ANY_SITE, "exporting", record, progress)
