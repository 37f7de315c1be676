"""Import: the mirror image of export, in the order of format §11.

An admitted bundle's items are planned, staged, and committed: nothing has its final name before
everything of the bundle is verified and synced.
"""

import dataclasses
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from airgap.disk.durable import sync_file_system
from airgap.disk.file_state import FileState
from airgap.disk.os_errors import storage_error
from airgap.disk.space import measure_block, round_up
from airgap.errors import AirgapError, NotTrustedError, PolicyError
from airgap.flow.admission import history
from airgap.flow.bundle.counted import list_counted
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.disk_use import DiskUse, Peak, demand_peaks, find_peaks
from airgap.flow.importing.descriptions import Descriptions
from airgap.flow.importing.plan import (
    Outcome,
    Plan,
    demand_one_disk,
    find_uses,
    plan_items,
)
from airgap.flow.importing.stage_packs import stage_packs
from airgap.flow.importing.stock_archive import stage_members
from airgap.flow.progress import Progress
from airgap.flow.scanning.gate import GateResult
from airgap.format.inventory import Item, tag_problem
from airgap.format.ledger import Entry, State
from airgap.printable import quote
from airgap.state.counted_files import save_counted
from airgap.state.digest_cache import DigestCache, open_cache
from airgap.state.installed_manifests import save_manifest
from airgap.state.state_folder import state_folder
from airgap.store.bentoml_listing import refuse_conflicts
from airgap.store.bentoml_process import refuse_unreadable
from airgap.store.health import find_existing
from airgap.store.install import (
    install,
    lock_store,
    point_latest,
    record_installed,
)
from airgap.store.item_kind import Reference, make_description_error
from airgap.store.kinds import find_kind, install_path, is_installed
from airgap.store.staging import StagedItem, remove_staging

__all__ = [
    "ImportRecord",
    "InstallOptions",
    "InstallResult",
    "Outcome",
    "accept_staged",
    "commit",
    "finish_staging",
    "foresee",
    "install_bundle",
    "lock_stores",
    "make_plan",
    "preview",
]


@dataclass(frozen=True, slots=True)
class InstallResult:
    """What became of each item, in item order, and models that Bentos still lack here."""

    outcomes: tuple[tuple[Item, Outcome], ...]
    missing: tuple[str, ...]
    peaks: tuple[Peak, ...] = ()
    """The space that was expected to be needed on each file system."""


@dataclass(frozen=True, slots=True)
class InstallOptions:
    """What a person may choose: to replace what conflicts, or to write nothing."""

    replace: bool
    dry_run: bool


@dataclass(frozen=True, slots=True)
class ImportRecord:
    """What the site's import history is to say of an import (format §17.3)."""

    entry: Entry
    check: Callable[[State], None]
    """Refuses what the history, as it is at the last moment, shows to be a replay (§17.1)."""


def install_bundle(  # noqa: PLR0913  (each is one choice)
    opened: Opened,
    *,
    replace: bool,
    dry_run: bool,
    jobs: int,
    progress: Progress,
    on_peaks: Callable[[tuple[Peak, ...]], object] = lambda _: None,
    check_staged: Callable[[Plan], Mapping[str, bytes]] = lambda _: {},
    scan: Callable[[Sequence[StagedItem]], GateResult] = lambda _: GateResult(),
) -> InstallResult:
    """Install the items of an admitted bundle (format §11 steps 4 to 7).

    ``on_peaks`` takes what is needed on each file system, before anything is written.
    ``scan`` judges the staged files first, and may refuse them (format §32.6).
    ``check_staged`` sees what is staged before it is renamed into place, may refuse it, and returns
    digests of documents for the ledger.

    Raises:
        ConflictError: an item is installed with other content, and ``replace`` was not asked for.
        MissingError: a pack, or what a bundle without all its chunks needs, is not there.
        CorruptError: a pack or file is not what the manifest says. What was verified stays in
            staging for the next try; the stores are as they were.
        StorageError: the disk refused, or is too small.
        PolicyError, NotTrustedError: another import has made a replay of this one meanwhile.
    """
    manifest = opened.manifest.value
    Descriptions(manifest.items)  # refuses what BentoML could not list before anything is staged
    items = [item for item in manifest.items if opened.only is None or item.key in opened.only]
    options = InstallOptions(replace, dry_run)
    with lock_stores(() if dry_run else {install_path(item).store for item in items}, progress):
        plan = make_plan(items, opened.bundle, options, progress)
        peaks = foresee(plan, opened)
        if dry_run:
            return dataclasses.replace(preview(plan), peaks=peaks)
        on_peaks(peaks)
        documents: Mapping[str, bytes] = {}
        if plan.staged:
            _stage(opened, items, plan.staged, jobs=jobs, progress=progress)
            documents = _scan(opened, plan, scan)
            finish_staging(plan.staged, progress, signed=True)
        record = _make_record(opened, {**documents, **accept_staged(plan, check_staged)})
        result = commit(plan, record, progress)
    if items:
        _save_manifest(opened, progress)
    return dataclasses.replace(result, peaks=peaks)


def make_plan(
    items: Sequence[Item], bundle: str, options: InstallOptions, progress: Progress
) -> Plan:
    """Compare the items with what is installed; the stores are locked, unless it is a dry run.

    Raises:
        ConflictError, StorageError: as ``import_bundle``.
    """
    with open_cache() as cache:
        plan = plan_items(items, bundle, replace=options.replace, progress=progress, cache=cache)
        if not options.dry_run:
            cache.save()
    demand_one_disk(plan)
    return plan


def foresee(plan: Plan, opened: Opened | None) -> tuple[Peak, ...]:
    """Return what an import needs on each file system, if there is room for it.

    ``opened`` is the bundle; None: an archive that is not signed, of which all is in staging.

    Raises:
        StorageError: a file system is too small.
    """
    recorded = len(opened.manifest.raw) if opened else 0
    uses = list(find_uses(plan, state_folder(), recorded))
    if opened and plan.staged and opened.packs.spooled:
        folder, count = opened.packs.spooled
        block = measure_block(find_existing(folder.absolute()))
        sizes = sorted(round_up(pack.size, block) for pack in opened.manifest.value.packs)
        uses.append(DiskUse("staging", folder, sum(sizes[-count:]) + block))
    peaks = find_peaks(uses)
    demand_peaks(peaks)
    return peaks


def preview(plan: Plan) -> InstallResult:
    """Return what would become of each item."""
    return InstallResult(tuple((item.item, _WOULD[item.outcome]) for item in plan.items), ())


def _stage(
    opened: Opened,
    items: Sequence[Item],
    staged: Sequence[StagedItem],
    *,
    jobs: int,
    progress: Progress,
) -> None:
    """Write every file of the staged items, and compare its digest."""
    archive = opened.reader.stock_archive
    if archive:
        stage_members(archive, items, staged, progress)
    else:
        stage_packs(opened, staged, jobs=jobs, progress=progress)


def _scan(
    opened: Opened, plan: Plan, scan: Callable[[Sequence[StagedItem]], GateResult]
) -> Mapping[str, bytes]:
    """Let what is staged be refused: nothing of it stays but an entry in the ledger.

    Return the digests of documents for the ledger.
    """
    result = scan(plan.staged)
    if result.refusal is not None:
        _remove_staging(plan)
        opened.policy.on_refusal(bytes.fromhex(opened.bundle), result.refusal)
        entry = _make_record(opened, result.documents).entry
        raise history.record_refusal(entry, result.refusal) from result.refusal.__cause__
    return result.documents


def finish_staging(staged: Sequence[StagedItem], progress: Progress, *, signed: bool) -> None:
    """Refuse items that BentoML could not list, and make the others survive a power cut.

    Raises:
        CorruptError: an item has no bento.yaml or model.yaml, another item's, or one that BentoML
            cannot read; or it fails the last check of its kind.
        ConflictError: BentoML could not list it with what is installed.
        StorageError: SELinux does not permit to label an item as its destination.
    """
    files: dict[bytes, str] = {}
    for item in staged:
        _check_description(item)
        kind = find_kind(item.item.kind)
        kind.check_staged(item.item, item.folder)
        kind.share_installed(item.item, item.folder, files)
        top = str(item.folder)
        files |= {file.digest: f"{top}/{file.path}" for file in item.item.files}
    refuse_conflicts(staged)
    refuse_unreadable(staged, progress.note, signed=signed)
    for item in staged:
        item.adopt_types()
    for folder in {item.target.store: item.folder for item in staged}.values():
        sync_file_system(folder)
    for item in staged:
        if item.not_executable:
            progress.note(
                f"The file system of {item.target.store} keeps no permissions:"
                f" {len(item.not_executable):,} programs of the {item.item} cannot be run there."
            )


def accept_staged(plan: Plan, check: Callable[[Plan], Mapping[str, bytes]]) -> Mapping[str, bytes]:
    """Let a check see what is staged, and return its digests; what it refuses is removed.

    Raises:
        PolicyError: the check refuses it.
    """
    try:
        return check(plan)
    except PolicyError:
        _remove_staging(plan)
        raise


def commit(plan: Plan, record: ImportRecord | None, progress: Progress) -> InstallResult:
    """Record the import; rename into place: models, then Bentos, then what ``latest`` says.

    Without a record, this machine belongs to no site.

    Raises:
        PolicyError, NotTrustedError: the record's check refused it; staging is removed.
        StorageError: the disk refused. If it refused the record, nothing was renamed.
    """
    entry = record.entry if record else None
    now = datetime.fromtimestamp(max(time.time(), entry.floor if entry else 0), UTC)
    is_newest = entry is not None and entry.event == "imported" and entry.sequence > 0
    try:
        with ExitStack() as recording:
            if record:
                changes = plan.changes_stores
                recording.enter_context(
                    history.record_import(record.entry, record.check, progress, changes=changes)
                )
            with open_cache() as cache:
                for item in plan.staged:
                    _keep_digests(item, cache)
                    install(item)
                cache.save()
            for item in (*plan.interrupted, *plan.staged):
                text = point_latest(item, now, is_newest=is_newest)
                if text:
                    progress.note(text)
    except (PolicyError, NotTrustedError):  # what is staged will never be wanted
        _remove_staging(plan)
        raise
    _record_installed(plan, progress)
    _remove_staging(plan)
    outcomes = tuple((item.item, item.outcome) for item in plan.items)
    return InstallResult(outcomes, tuple(_find_missing(item for item, _ in outcomes)))


def _keep_digests(staged: StagedItem, cache: DigestCache) -> None:
    """Keep what the files of an item are that are staged and compared; a rename changes no file."""
    now, top = cache.clock(), str(staged.folder)
    for file in staged.item.files if cache.is_usable else ():
        path = f"{top}/{file.path}"
        with suppress(OSError):  # then it is read the next time
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                cache.add_for("digest", path, FileState.of(status), now, file.digest)


def _record_installed(plan: Plan, progress: Progress) -> None:
    """Tell other programs of the items: an import that is done does not fail for it."""
    for item in plan.items:
        try:
            record_installed(item.item, item.target, plan.bundle)
        except OSError as error:
            progress.note(
                f"The {item.item} is in place, but huggingface_hub may look for a server when it is"
                f" loaded, because {error.filename or item.target.store} cannot be written:"
                f" {error.strerror}. Set HF_HUB_OFFLINE=1, or run the same import again."
            )


def _make_record(opened: Opened, documents: Mapping[str, bytes]) -> ImportRecord:
    """Refuse what has become a replay while its packs were read; record everything else."""
    admission, bundle = opened.admission, bytes.fromhex(opened.bundle)
    manifest = opened.manifest.value

    def check(state: State) -> None:
        try:
            opened.policy.recheck(manifest, bundle, state, admission.waiver)
        except AirgapError as error:
            opened.policy.on_refusal(bundle, error)
            raise

    entry = opened.policy.make_entry(manifest, bundle, admission)
    entry = dataclasses.replace(entry, documents={**entry.documents, **documents})
    return ImportRecord(entry, check)


def _save_manifest(opened: Opened, progress: Progress) -> None:
    """Keep the manifest for later differences, and who signed it (format §17.9).

    An import that is done does not fail for it.
    """
    try:
        save_counted(opened.bundle, dict(list_counted(opened)))
        save_manifest(opened.bundle, opened.manifest.raw)
    except OSError as error:
        progress.note(
            "The items are in place, but the bundle's manifest and signatures could not be kept:"
            f" {error.strerror}. A bundle that builds on this one may need it as --depot."
        )


@contextmanager
def lock_stores(stores: Iterable[Path], progress: Progress) -> Iterator[None]:
    """Hold the locks of stores.

    Raises:
        StorageError: the disk refused a file, within the block too; or as ``lock_store``.
    """
    try:
        with ExitStack() as locks:
            for store in sorted(stores):
                locks.enter_context(lock_store(store, lambda: progress.note(_WAITING)))
            yield
    except OSError as error:
        names = " or ".join(map(str, sorted(stores)))
        raise storage_error(error, error.filename or names or "The store") from error


def _check_description(staged: StagedItem) -> None:
    """Refuse what BentoML could not list, and what would then break its whole list."""
    item = staged.item
    path = item.rules.description
    try:
        text = (staged.folder / path).read_bytes() if path else b""
    except OSError as error:
        raise make_description_error(item) from error
    find_kind(item.kind).check(item, text, thorough=True)


def _remove_staging(plan: Plan) -> None:
    for item in plan.items:
        remove_staging(item.target, plan.bundle)


def _find_missing(items: Iterable[Item]) -> Iterator[str]:
    """Yield the models that the Bentos name and that are not on this machine."""
    for item in items:
        for model in _list_models(item):
            is_tag = tag_problem(model.kind, model.name, model.version) is None
            if not (is_tag and is_installed(model)):
                tag = f"{model.name}:{model.version}"
                yield f"{model.kind} {tag}" if is_tag else f"{model.kind} {quote(tag)}"


def _list_models(item: Item) -> tuple[Reference, ...]:
    """List the models that an installed item names; none if it was damaged before this import."""
    try:
        return find_kind(item.kind).describe(install_path(item).final).models
    except AirgapError:
        return ()


_WAITING: Final = "Another import is running on this machine; waiting for it to end."
_WOULD: Final[dict[Outcome, Outcome]] = {
    "installed": "would install",
    "replaced": "would replace",
    "already there": "already there",
}
