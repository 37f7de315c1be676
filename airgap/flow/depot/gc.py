"""``airgap gc``: marks files that no manifest of a depot names, and removes them when they are old.

Two rules keep everything that is needed (format §23, ADR 0024). Age only saves work: it keeps what
a writer has sent and not yet published.
"""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from airgap.carrier.depot import Depot
from airgap.errors import AirgapError, CorruptError, MissingError, StorageError
from airgap.flow.depot import locked
from airgap.flow.depot.delete import list_bundle_files
from airgap.flow.progress import Progress
from airgap.flow.publishing.sweep import Clock, Sweep
from airgap.flow.retention.guard import (
    find_keeping,
    read_kept_manifest,
    refuse_lost_archive,
)
from airgap.format import gc_markers, layout, limits, names
from airgap.format import manifest as manifests
from airgap.printable import count_text
from airgap.state import manifest_cache
from airgap.transport.connections import run_in_parallel
from airgap.transport.object_lock import ObjectLock
from airgap.transport.port import Transport

__all__ = ["GcOptions", "GcResult", "collect_garbage"]

_PREFIX: Final = re.compile(r"[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class GcOptions:
    """How to collect garbage. ``older_than`` is in seconds, ``now`` in seconds since 1970."""

    older_than: int
    now: int
    dry_run: bool = False
    clock: Clock = field(default_factory=Clock)


@dataclass(frozen=True, slots=True)
class GcResult:
    """Names and sizes in bytes: of files that were removed (or would be), and of younger ones."""

    removed: Mapping[str, int]
    kept: Mapping[str, int]


def collect_garbage(depot: Depot, options: GcOptions, progress: Progress) -> GcResult:
    """Mark files that no manifest of the depot names, and remove those marked long enough ago.

    Raises:
        CorruptError: a manifest is damaged, so the packs that it needs are unknown.
        TransportError: the depot cannot be read, or refuses.
    """
    in_use = _References(depot)
    packs = _list_packs(depot)  # before the manifests: what is published meanwhile is in use
    in_use.update()
    if not packs and not in_use.has_bundles:
        raise MissingError(
            f"{depot.location} is not a depot, or is empty.",
            "Give the folder that contains 'bundles' and 'packs'.",
        )
    refuse_lost_archive(depot)
    if in_use.kept:
        progress.note(
            f"{depot.location} keeps {count_text(len(in_use.kept), 'bundle')} whose manifest is"
            f" gone: see `airgap archive list {depot.location}`."
        )
    names_there = {*packs, *in_use.bundle_files(), *_list_parts(depot)}
    unreferenced = sorted(name for name in names_there if in_use.is_unreferenced(name))
    if (lock := depot.find_lock()) is not None:
        return _collect_locked(depot, lock, unreferenced, options, progress)
    marks = _Marks(depot)
    since = {name: min(marks.since.get(name, options.now), options.now) for name in unreferenced}
    sizes = dict(zip(unreferenced, _read_sizes(depot, unreferenced), strict=True))
    expired = [name for name in unreferenced if since[name] <= options.now - options.older_than]
    if not options.dry_run:
        marks.replace(since)
        expired = list(_sweep(depot, in_use, expired, options.clock, progress))
    removed = {name: sizes[name] for name in expired}
    kept = {name: sizes[name] for name in unreferenced if name not in removed}
    if removed and not options.dry_run:  # else a file that is sent again would keep its old age
        marks.replace({name: since[name] for name in kept})
    return GcResult(removed, kept)


def _collect_locked(
    depot: Depot,
    lock: ObjectLock,
    unreferenced: Sequence[str],
    options: GcOptions,
    progress: Progress,
) -> GcResult:
    """Remove what nothing needs and what was locked, but is so no more: without sweeps and marks.

    A writer that relies on a file locks it anew after it has published the manifest, and then the
    server refuses to remove it (format §37.5).
    """
    retentions = locked.read_retentions(depot, unreferenced)
    before = options.now - options.older_than
    locked.refuse_locked_files(depot.location, retentions, before)
    sizes = dict(zip(retentions, _read_sizes(depot, list(retentions)), strict=True))
    expired = {
        name: sizes[name]
        for name, retention in retentions.items()
        if retention and retention.until <= before
    }
    if not options.dry_run:
        expired = dict(_remove_locked(lock, expired, progress))
    kept = {name: size for name, size in sizes.items() if name not in expired}
    return GcResult(expired, kept)


def _remove_locked(
    lock: ObjectLock, expired: Mapping[str, int], progress: Progress
) -> Iterator[tuple[str, int]]:
    """Remove files, and yield those that are gone. One that was locked anew is left."""
    progress.begin("removing", len(expired))
    try:
        for name, size in expired.items():
            with suppress(StorageError):
                lock.remove(name)
                yield name, size
            progress.advance(1)
    finally:
        progress.end()


class _References:
    """The packs that manifests name, and the bundles that have a manifest. It only ever grows."""

    def __init__(self, depot: Depot) -> None:
        self._depot = depot
        self._packs: set[str] = set()
        self._alive: set[str] = set()
        self.kept: set[str] = set()
        """Bundles that an archive keeps although their manifests are gone."""
        self._files: dict[str, list[str]] = {}

    def update(self) -> None:
        """Read the manifests that are new."""
        ids = self._depot.transport.list(layout.BUNDLES, limits.FOLDER_NAMES)
        new = [name for name in ids if names.is_bundle_id(name) and name not in self._alive]
        for bundle, needed, files in run_in_parallel(
            self._depot.transport,
            self._depot.work.jobs,
            map(partial(_read_references, self._depot), new),
        ):
            self._files[bundle] = files
            if needed is not None:
                self._alive.add(bundle)
                self._packs.update(needed)
        self._add_kept()

    def _add_kept(self) -> None:
        """Count what an archive keeps although its manifest was removed (format §35.6)."""
        for bundle in sorted(find_keeping(self._depot, self._alive)):
            packs = manifests.decode(read_kept_manifest(self._depot, bundle)).packs
            self._alive.add(bundle)
            self.kept.add(bundle)
            self._packs.update(layout.pack_name(pack.digest) for pack in packs)

    @property
    def has_bundles(self) -> bool:
        """Whether the depot has the folder of any bundle."""
        return bool(self._files)

    def bundle_files(self) -> Iterator[str]:
        """Yield the files in the folders of bundles."""
        for files in self._files.values():
            yield from files

    def is_unreferenced(self, name: str) -> bool:
        """Tell whether no published bundle needs a file."""
        if layout.is_part(name):
            return True
        top, _, below = name.partition("/")
        if top == layout.PACKS:
            return name not in self._packs
        return top == layout.BUNDLES and below.partition("/")[0] not in self._alive


def _read_references(depot: Depot, bundle: str) -> Callable[[Transport], "_BundleReferences"]:
    return lambda transport: _read_bundle(Depot(transport, depot.work), bundle)


_BundleReferences = tuple[str, list[str] | None, list[str]]
"""A bundle's id, the packs it needs (None if it has no manifest), and its own files."""


def _read_bundle(depot: Depot, bundle: str) -> _BundleReferences:
    files = list_bundle_files(depot, bundle)
    name = layout.manifest_name(bundle)
    if name not in files:
        return bundle, None, files
    raw = manifest_cache.load(bundle)
    if raw is None:
        try:
            raw = depot.read(name, limits.MANIFEST_BYTES)
        except MissingError:  # deleted just now
            return bundle, None, files
        if manifests.bundle_id(raw) != bundle:
            raise _unreadable_manifest(depot, bundle, "its SHA-256 is not the bundle's ID")
        manifest_cache.save_manifest(bundle, raw)
    try:
        packs = manifests.decode(raw).packs
    except AirgapError as error:
        raise _unreadable_manifest(depot, bundle, error.message) from error
    return bundle, [layout.pack_name(pack.digest) for pack in packs], files


def _unreadable_manifest(depot: Depot, bundle: str, why: str) -> CorruptError:
    return CorruptError(
        f"The manifest of {depot.location}#{bundle} cannot be read, so the packs that it needs"
        f" are unknown: {why.rstrip('.')}.",
        "Nothing was removed. Copy the bundle from its source again, or delete it.",
    )


def _list_packs(depot: Depot) -> list[str]:
    """List packs, and unfinished uploads of packs."""
    prefixes = depot.transport.list(layout.PACKS, limits.FOLDER_NAMES)
    folders = [f"{layout.PACKS}/{prefix}" for prefix in prefixes if _PREFIX.fullmatch(prefix)]

    def list_folder(folder: str) -> Callable[[Transport], list[str]]:
        def work(transport: Transport) -> list[str]:
            files = transport.list(folder, limits.FOLDER_NAMES)
            return [f"{folder}/{file}" for file in files if layout.is_pack(file)]

        return work

    listings = run_in_parallel(depot.transport, depot.work.jobs, map(list_folder, folders))
    return [name for listing in listings for name in listing]


def _list_parts(depot: Depot) -> list[str]:
    """List unfinished uploads of small files outside the folders of bundles."""
    return [
        f"{folder}/{file}" if folder else file
        for folder in ("", layout.ROOTS, layout.GC)
        for file in depot.transport.list(folder, limits.FOLDER_NAMES)
        if layout.is_part(file)
    ]


def _read_sizes(depot: Depot, files: Sequence[str]) -> list[int]:
    def read_size(name: str) -> Callable[[Transport], int]:
        return lambda transport: transport.size(name) or 0

    return run_in_parallel(depot.transport, depot.work.jobs, map(read_size, files))


class _Marks:
    """The marks of earlier runs, with the times of their clocks."""

    def __init__(self, depot: Depot) -> None:
        self._depot = depot
        self._files: list[str] = []
        self.since: dict[str, int] = {}
        for file in depot.transport.list(layout.GC, limits.FOLDER_NAMES):
            if layout.is_marks(file):
                self._files.append(f"{layout.GC}/{file}")
                self._read(self._files[-1])

    def replace(self, since: Mapping[str, int]) -> None:
        """Write new marks, if there are any; only then remove the old ones."""
        new = [layout.marks_name(secrets.token_hex(16))] if since else []
        for name in new:
            self._depot.transport.publish(name, gc_markers.encode_marks(since))
        for name in self._files:
            self._depot.transport.delete(name)
        self._files = new

    def _read(self, name: str) -> None:
        with suppress(CorruptError, MissingError):  # its files are marked again then
            marks = gc_markers.decode_marks(self._depot.read(name, limits.MARKS_BYTES))
            for file, time in marks.items():
                self.since[file] = min(time, self.since.get(file, time))


def _sweep(
    depot: Depot, in_use: _References, expired: Sequence[str], clock: Clock, progress: Progress
) -> Iterator[str]:
    """Remove files, and yield those that are gone. A file that a new bundle needs is left."""
    progress.begin("removing", len(expired))
    try:
        for start in range(0, len(expired), limits.SWEPT_NAMES):
            batch = expired[start : start + limits.SWEPT_NAMES]
            sweep = Sweep(depot, batch, clock)
            try:
                in_use.update()
            except AirgapError:
                sweep.end()  # nothing was removed yet
                raise
            for name in batch:
                if in_use.is_unreferenced(name) and not sweep.is_over:
                    sweep.remove(name)
                    yield name
                progress.advance(1)
            sweep.end()
    finally:
        progress.end()
