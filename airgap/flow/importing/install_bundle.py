"""Import: the mirror image of export, in the order of format §11.

signatures -> plan -> packs, each read once -> staging -> digests -> sync -> rename -> latest.
``verify`` is the same work without staging.
"""

import hashlib
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from dataclasses import replace as replace_in
from functools import partial
from pathlib import Path
from typing import Final, Literal

from airgap.codec.buffer import Buffer
from airgap.disk.durable import sync_file_system
from airgap.disk.os_errors import storage_error
from airgap.errors import (
    ConflictError,
    NotTrustedError,
    PolicyError,
    StorageError,
)
from airgap.flow.admission import history
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.chunks.missing_chunks import MissingChunks
from airgap.flow.importing.descriptions import Descriptions
from airgap.flow.importing.stock_archive import fill_from_members, verify_members
from airgap.flow.importing.targets import FileDigests, Targets
from airgap.flow.importing.unpack import ChunkConsumer, WantedPacks, plain_chunks
from airgap.flow.media.missing_volumes import MissingVolumes, refusal
from airgap.flow.media.pack_copies import PackCopies
from airgap.flow.media.parity import damaged_parity
from airgap.flow.media.resume import VolumeResume, situation
from airgap.flow.pipeline import ahead, in_order, serial_executor, workers
from airgap.flow.progress import Progress
from airgap.format.inventory import Item, tag_problem
from airgap.format.ledger import State
from airgap.format.manifest import Manifest
from airgap.state.installed_manifests import save_manifest
from airgap.store import compare
from airgap.store.install import install, lock_store, point_latest, put_back
from airgap.store.install_paths import InstallPath
from airgap.store.item_kind import make_description_error
from airgap.store.kinds import find_kind, install_path, is_installed
from airgap.store.staging import StagedItem, measure_disk_usage, remove_staging, staging_folder
from airgap.store.volume_progress import VolumeProgress

__all__ = [
    "ImportOptions",
    "ImportResult",
    "Outcome",
    "Remembering",
    "VerifyResult",
    "explained_and_locked",
    "import_bundle",
    "land",
    "verify_content",
    "verify_volumes",
]

Outcome = Literal["installed", "replaced", "already there", "would install", "would replace"]
Fill = Callable[[Sequence[StagedItem]], None]
"""Writes every file of the staged items and compares its digest."""
Remembering = Callable[[bool], AbstractContextManager[None]]
"""Surrounds the renames: refuses them, or remembers them. It is told whether there are any."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What became of each item, in item order, and models that Bentos still lack here."""

    outcomes: tuple[tuple[Item, Outcome], ...]
    lacking: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a person may choose: to replace what conflicts, or to write nothing."""

    replace: bool
    dry_run: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    """What an import will do with one item."""

    item: Item
    place: InstallPath
    outcome: Outcome


def import_bundle(
    opened: Opened, *, replace: bool, dry_run: bool, jobs: int, progress: Progress
) -> ImportResult:
    """Install the items of an admitted bundle.

    Raises:
        ConflictError: a tag is there with other content, and ``replace`` was not asked for.
        MissingError: a pack, or what a bundle without all its chunks needs, is not there.
        CorruptError: a pack or file is not what the manifest says. What was verified stays in
            staging for the next try; the stores are as they were.
        StorageError: the disk refused, or is too small.
        PolicyError, NotTrustedError: another import has made a replay of this one meanwhile.
    """
    manifest = opened.manifest.value
    Descriptions(manifest.items)  # refuses what BentoML could not list before anything is staged
    if opened.only is not None:
        manifest = replace_in(
            manifest, items=tuple(one for one in manifest.items if one.key in opened.only)
        )
    archive = opened.reader.stock_archive
    if archive:
        fill: Fill = partial(fill_from_members, archive, manifest.items, progress=progress)
    else:
        fill = partial(_fill_from_packs, opened, jobs=jobs, progress=progress)
    privates = () if dry_run else {install_path(item).private for item in manifest.items}
    with explained_and_locked(privates, progress):
        choices, remembering = ImportOptions(replace, dry_run), _remembering(opened, progress)
        done = land(
            manifest, opened.bundle, fill, choices, progress=progress, remembering=remembering
        )
    if manifest.items and not dry_run:
        _remember(opened, progress)
    return done


def _remember(opened: Opened, progress: Progress) -> None:
    """Keep the manifest for later differences: an import that is done does not fail for it."""
    try:
        save_manifest(opened.bundle, opened.manifest.raw)
    except OSError as error:
        progress.note(
            "The items are in place, but the bundle's manifest could not be kept:"
            f" {error.strerror}. A bundle that builds on this one may need it as --depot."
        )


def _remembering(opened: Opened, progress: Progress) -> Remembering:
    """Refuse what has become a replay while its packs were read; remember everything else."""
    admission, bundle = opened.admission, bytes.fromhex(opened.bundle)
    manifest = opened.manifest.value

    def check(state: State) -> None:
        opened.judge.recheck(manifest, bundle, state, admission.waiver)

    said = opened.judge.make_entry(manifest, bundle, admission)
    return lambda changes: history.record_import(said, check, progress, changes=changes)


def land(  # noqa: PLR0913  (a value each)
    manifest: Manifest,
    bundle: str,
    fill: Fill,
    choices: ImportOptions,
    *,
    progress: Progress,
    remembering: Remembering,
) -> ImportResult:
    """Plan, stage, sync and commit the items of a manifest; the stores are locked already.

    Raises:
        ConflictError, StorageError: as ``import_bundle``; what ``fill`` and ``remembering`` raise.
    """
    places = [install_path(item) for item in manifest.items]
    if not choices.dry_run:
        for item, place in zip(manifest.items, places, strict=True):
            put_back(StagedItem(item, place, bundle))
    plans = _plan(manifest, places, replace=choices.replace, progress=progress)
    todo = [plan for plan in plans if plan.outcome != "already there"]
    _demand_space(todo, bundle)
    if choices.dry_run:
        return ImportResult(tuple((plan.item, _WOULD[plan.outcome]) for plan in plans), ())
    staged = [StagedItem(plan.item, plan.place, bundle) for plan in todo]
    cut_off = _installed_by_a_cut_off_try(plans, bundle)
    if staged:
        fill(staged)
        for one in staged:
            _refuse_unlistable(one)
        for folder in {one.target.store: one.folder for one in staged}.values():
            sync_file_system(folder)
    try:
        with remembering(bool(staged or cut_off)):
            _commit(staged, cut_off)
    except (PolicyError, NotTrustedError):  # what is staged will never be wanted
        _remove_staging(places, bundle)
        raise
    _remove_staging(places, bundle)
    lacking = tuple(_lacking(manifest))
    return ImportResult(tuple((plan.item, plan.outcome) for plan in plans), lacking)


@contextmanager
def explained_and_locked(privates: Iterable[Path], progress: Progress) -> Iterator[None]:
    """Hold the locks of stores, named by their folders for airgap's work; explain disk errors."""
    with _disk_errors_explained(), ExitStack() as locks:
        for private in sorted(privates):
            locks.enter_context(lock_store(private, lambda: progress.note(_WAITING)))
        yield


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What ``verify`` has read, in bytes; and, if volumes were not seen, which.

    ``parity`` counts the parity packs that are good, ``damaged_parity`` says what others are.
    """

    bytes_read: int
    lacking: MissingVolumes | None = None
    parity: int = 0
    damaged_parity: tuple[str, ...] = ()


def verify_content(opened: Opened, *, jobs: int, progress: Progress) -> int:
    """Read everything that an import would read, write nothing; return the bytes read.

    Raises:
        MissingError, CorruptError, StorageError: as ``import_bundle``.
    """
    checked = verify_volumes(opened, jobs=jobs, progress=progress)
    if checked.lacking:
        raise refusal(checked.lacking)
    return checked.bytes_read


def verify_volumes(opened: Opened, *, jobs: int, progress: Progress) -> VerifyResult:
    """Read everything that an import would read; that whole volumes are missing is no error.

    Raises:
        MissingError, CorruptError, StorageError: as ``import_bundle``; also that a volume lacks
            something that it should have.
    """
    archive = opened.reader.stock_archive
    if archive:
        return VerifyResult(verify_members(archive, opened.manifest.value.items, progress))
    return _verify_packs(opened, jobs=jobs, progress=progress)


def _verify_packs(opened: Opened, *, jobs: int, progress: Progress) -> VerifyResult:
    """Read all packs, write nothing.

    Every pack's and every chunk's digest is compared, and a file's own digest wherever its chunks
    come in its order (that is: unless it shares chunks with an earlier file).

    Raises:
        MissingError, CorruptError, StorageError: as ``verify_volumes``.
    """
    manifest = opened.manifest.value
    targets = Targets(manifest, manifest.items)
    digests = FileDigests(manifest, manifest.items)
    descriptions = Descriptions(manifest.items)
    packs = WantedPacks(opened.packs, manifest, range(len(manifest.packs)))
    needs = MissingChunks(manifest, opened.supplies)
    absent = needs.find(range(len(manifest.chunks)))
    for chunk in descriptions.chunks - absent:
        if chunk >= manifest.carried:  # it will not come by below
            descriptions.feed(targets, chunk, needs.read(chunk))
    with serial_executor() as digester:
        work = ChunkConsumer(
            "verifying",
            wanted=lambda chunk: chunk not in absent,
            covered=partial(digests.covers, targets),
            land=None,
            after=digester.submit,
            base=needs.read,
        )
        for chunk, data in plain_chunks(packs, work, jobs, progress):
            digester.submit(digests.feed, targets, chunk, data)
            descriptions.feed(targets, chunk, data)
    lost = sum(manifest.packs[one].size for one in work.failed)
    lacking = situation(opened, work.failed) if work.failed else None
    if lacking and (not lacking.labels or lacking.bad):
        raise refusal(lacking)
    digests.refuse_wrong()
    needs.refuse(absent, packs_are_read=not work.failed)
    if not lacking:
        descriptions.refuse_incomplete()
    good, damaged = damaged_parity(manifest.packs, PackCopies(opened.packs.volumes))
    return VerifyResult(manifest.stored_size - lost, lacking, good, tuple(damaged))


def _plan(
    manifest: Manifest, places: Sequence[InstallPath], *, replace: bool, progress: Progress
) -> list[_Plan]:
    """Compare each item with what is installed; all conflicts are told at once."""
    plans: list[_Plan] = []
    conflicts: list[str] = []
    for item, place in zip(manifest.items, places, strict=True):
        outcome: Outcome = "installed"
        if os.path.lexists(place.final):
            progress.note(f"Comparing {item} with what is installed.")
            found = list(compare.find_differences(item, place))
            if found:
                outcome = "replaced"
                conflicts += [f"{item}: {line}" for line in found]
            elif not compare.has_missing_files(item, place):
                outcome = "already there"
        plans.append(_Plan(item, place, outcome))
    if conflicts and not replace:
        names = ", ".join(str(plan.item) for plan in plans if plan.outcome == "replaced")
        raise ConflictError(
            f"Here with other content: {names}.",
            "Nothing was changed. Keep what is here, or import again with --replace.",
            conflicts,
        )
    return plans


def _demand_space(todo: Sequence[_Plan], bundle: str) -> None:
    """Refuse before anything is written when a disk is too small for what goes on it.

    Raises:
        StorageError: it is.
    """
    needed: dict[int, int] = defaultdict(int)
    folders: dict[int, Path] = {}
    for store in {plan.place.store: plan.place for plan in todo}.values():
        there = next(path for path in (store.store, *store.store.parents) if path.exists())
        device = there.stat().st_dev
        folders[device] = there
        needed[device] -= measure_disk_usage(staging_folder(store, bundle))
        needed[device] += measure_disk_usage(VolumeProgress(store, bundle).recovery)
        needed[device] += sum(plan.item.size for plan in todo if plan.place.store == store.store)
    for device, size in needed.items():
        free = shutil.disk_usage(folders[device]).free
        if size > free:
            raise StorageError(
                f"{folders[device]} needs {size:,} bytes more and has {free:,} free.",
                f"Free {size - free:,} bytes and run the same command again.",
            )


def _fill_from_packs(
    opened: Opened, staged: Sequence[StagedItem], *, jobs: int, progress: Progress
) -> None:
    """Put the items together in staging, verified down to every file."""
    manifest = opened.manifest.value
    items = [one.item for one in staged]
    targets = Targets(manifest, items)
    digests = FileDigests(manifest, items)
    arrivals = VolumeResume(opened, staged)
    have = _verified_before(staged, manifest, arrivals.hinted)
    todo = [at for at in range(len(manifest.chunks)) if at in targets and at not in have]
    needs = MissingChunks(manifest, opened.supplies)
    needs.refuse(needs.find(todo))

    def write(chunk: int, data: Buffer) -> None:
        for item, file, _, offset in targets[chunk]:
            staged[item].write(file, offset, data)

    with workers(jobs) as pool:
        needed = (chunk for chunk in todo if chunk >= manifest.carried)
        for _ in in_order(pool, lambda chunk: write(chunk, needs.read(chunk)), needed, ahead(jobs)):
            pass
    missing = set(todo)
    wanted = frozenset(
        index
        for index, pack in enumerate(manifest.packs)
        if not missing.isdisjoint(pack.chunk_range)
    )
    packs = WantedPacks(arrivals.source, manifest, wanted)
    with serial_executor() as digester:
        work = ChunkConsumer(
            "importing",
            wanted=targets.__contains__,
            covered=partial(digests.covers, targets),
            land=write,
            after=digester.submit,
            base=needs.read,
        )
        for chunk, data in plain_chunks(packs, work, jobs, progress):
            digester.submit(digests.feed, targets, chunk, data)
    if work.failed:
        raise arrivals.refusal(work.failed, len(wanted), progress)
    with arrivals.doubted():
        for one in staged:
            one.finish()
        digests.read_back(staged)
        digests.refuse_wrong()


def _refuse_unlistable(staged: StagedItem) -> None:
    """Refuse what BentoML could not list, and what would then break its whole list.

    Raises:
        CorruptError: there is no bento.yaml or model.yaml, or it is another item's.
    """
    item = staged.item
    path = item.rules.description
    try:
        text = (staged.folder / path).read_bytes() if path else b""
    except OSError as error:
        raise make_description_error(item) from error
    find_kind(item.kind).check(item, text)


def _installed_by_a_cut_off_try(plans: Sequence[_Plan], bundle: str) -> list[StagedItem]:
    """Return the items that are in place and whose ``latest`` may not be written yet."""
    there = [plan for plan in plans if plan.outcome == "already there"]
    known = [StagedItem(plan.item, plan.place, bundle) for plan in there]
    return [one for one in known if one.was_cut_off()]


def _commit(staged: Sequence[StagedItem], cut_off: Sequence[StagedItem]) -> None:
    """Rename into place: models first, then Bentos, then what ``latest`` says (invariant 3)."""
    for one in staged:
        install(one)
    for one in (*cut_off, *staged):
        point_latest(one)


def _remove_staging(places: Iterable[InstallPath], bundle: str) -> None:
    for place in places:
        remove_staging(place, bundle)


def _lacking(manifest: Manifest) -> Iterator[str]:
    """Yield the models that the bundle's Bentos name and that are not on this machine."""
    for item in manifest.items:
        for one in find_kind(item.kind).describe(install_path(item).final).models:
            known = tag_problem(one.kind, one.name, one.version) is None
            if not (known and is_installed(one)):
                tag = f"{one.name}:{one.version}"
                yield f"{one.kind} {tag}" if known else f"{one.kind} {tag!r:.200}"


def _verified_before(
    staged: Sequence[StagedItem], manifest: Manifest, hinted: AbstractSet[int]
) -> frozenset[int]:
    """Hash what an earlier try has left in staging; return the chunks that are whole everywhere.

    Hinted chunks are believed for now: ``FileDigests.read_back`` hashes their files in the end.
    """
    whole: set[int] = set()
    broken: set[int] = set()
    begun = [one for one in staged if one.was_begun()]
    if not begun:
        return frozenset()
    for one in begun:
        one.begin()
    for one in staged:
        for file in one.item.files:
            lengths = [manifest.chunks.lengths[chunk] for chunk in file.chunks]
            is_open = [one not in begun or chunk not in hinted for chunk in file.chunks]
            pieces = one.read_back(file, lengths, is_open)
            for chunk, to_hash in zip(file.chunks, is_open, strict=True):
                same = not to_hash or _is_chunk(next(pieces, b""), manifest, chunk)
                (whole if same else broken).add(chunk)
    return frozenset(whole - broken)


def _is_chunk(piece: bytes, manifest: Manifest, chunk: int) -> bool:
    return hashlib.sha256(piece).digest() == manifest.chunks.digest(chunk)


@contextmanager
def _disk_errors_explained() -> Iterator[None]:
    """Turn what the disk refuses into a StorageError about the file it refused."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, error.filename or "The store") from error


_WAITING: Final = "Another import is at work here; waiting for it to end."
_WOULD: Final[dict[Outcome, Outcome]] = {
    "installed": "would install",
    "replaced": "would replace",
    "already there": "already there",
}
