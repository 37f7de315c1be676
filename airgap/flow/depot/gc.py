"""``airgap gc``: what no manifest of a depot names is marked, and removed when it is old enough.

Two rules keep everything that is needed (format §23, decision on cleaning depots). Age is only for
thrift: it spares what a writer has sent and not yet published.
"""

import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from airgap.carrier.depot import Depot
from airgap.errors import AirgapError, CorruptError, MissingError
from airgap.flow.depot.delete import files_of
from airgap.flow.progress import Progress
from airgap.flow.publishing.sweep import Clock, Sweep
from airgap.format import gc_markers, layout, limits, names
from airgap.format import manifest as manifests
from airgap.state import manifest_cache
from airgap.transport.connections import ConnectionPool
from airgap.transport.port import Transport

__all__ = ["GcOptions", "GcResult", "collect_garbage"]

T = TypeVar("T")
_PREFIX: Final = re.compile(r"[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class GcOptions:
    """How to clean. ``older_than`` is in seconds, ``now`` in seconds since 1970."""

    older_than: int
    now: int
    dry_run: bool = False
    clock: Clock = field(default_factory=Clock)


@dataclass(frozen=True, slots=True)
class GcResult:
    """Names and sizes in bytes of what was removed (or would be), and of what is too young."""

    removed: Mapping[str, int]
    kept: Mapping[str, int]


def collect_garbage(depot: Depot, rules: GcOptions, progress: Progress) -> GcResult:
    """Mark what no manifest of the depot names, and remove what was marked long enough ago.

    Raises:
        CorruptError: a manifest is damaged, so that what it needs is not known.
        TransportError: the depot cannot be read, or refused.
    """
    use = _Use(depot)
    packs = _packs(depot)  # before the manifests: what is published meanwhile is in use
    use.look()
    if not packs and not use.has_bundles:
        raise MissingError(
            f"{depot.location} is no depot, or an empty one.",
            "Give the folder that has 'bundles' and 'packs' in it.",
        )
    loose = sorted(one for one in {*packs, *use.loose_files(), *_parts(depot)} if use.spares(one))
    marks = _Marks(depot)
    since = {one: min(marks.since.get(one, rules.now), rules.now) for one in loose}
    sizes = dict(zip(loose, _sizes(depot, loose), strict=True))
    ripe = [one for one in loose if since[one] <= rules.now - rules.older_than]
    if not rules.dry_run:
        marks.replace(since)
        ripe = list(_swept(depot, use, ripe, rules.clock, progress))
    removed = {one: sizes[one] for one in ripe}
    kept = {one: sizes[one] for one in loose if one not in removed}
    if removed and not rules.dry_run:  # or what is sent again would look as old as it was
        marks.replace({one: since[one] for one in kept})
    return GcResult(removed, kept)


class _Use:
    """Which packs are named by a manifest, and which bundles have one. It only ever grows."""

    def __init__(self, depot: Depot) -> None:
        self._depot = depot
        self._packs: set[str] = set()
        self._alive: set[str] = set()
        self._files: dict[str, list[str]] = {}

    def look(self) -> None:
        """Read every manifest that is there and was not read before."""
        listed = self._depot.transport.list(layout.BUNDLES, limits.FOLDER_NAMES)
        todo = [one for one in listed if names.is_bundle_id(one) and one not in self._alive]
        for bundle, needed, files in _side_by_side(
            self._depot, map(partial(_look, self._depot), todo)
        ):
            self._files[bundle] = files
            if needed is not None:
                self._alive.add(bundle)
                self._packs.update(needed)

    @property
    def has_bundles(self) -> bool:
        """Whether there is the folder of any bundle."""
        return bool(self._files)

    def loose_files(self) -> Iterator[str]:
        """Yield what lies in the folders of bundles; ``spares`` says what may go."""
        for files in self._files.values():
            yield from files

    def spares(self, name: str) -> bool:
        """Tell whether nothing that is published needs a file."""
        if layout.is_part(name):
            return True
        top, _, below = name.partition("/")
        if top == layout.PACKS:
            return name not in self._packs
        return top == layout.BUNDLES and below.partition("/")[0] not in self._alive


def _look(depot: Depot, bundle: str) -> Callable[[Transport], "_Looked"]:
    return lambda transport: _look_at(Depot(transport, depot.work), bundle)


_Looked = tuple[str, list[str] | None, list[str]]
"""A bundle's id, the packs it needs (None if it has no manifest), and its own files."""


def _look_at(depot: Depot, bundle: str) -> _Looked:
    files = files_of(depot, bundle)
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
            raise _unknown_needs(depot, bundle, "it is not the one of this name")
        manifest_cache.save_manifest(bundle, raw)
    try:
        packs = manifests.decode(raw).packs
    except AirgapError as error:
        raise _unknown_needs(depot, bundle, error.message) from error
    return bundle, [layout.pack_name(one.digest) for one in packs], files


def _unknown_needs(depot: Depot, bundle: str, why: str) -> CorruptError:
    return CorruptError(
        f"The manifest of {depot.location}#{bundle[:12]} cannot be read, so which packs it needs is"
        f" not known: {why.rstrip('.')}.",
        "Nothing was removed. Put it there again from its source, or delete the bundle.",
    )


def _packs(depot: Depot) -> list[str]:
    """List packs, and unfinished ones."""
    listed = depot.transport.list(layout.PACKS, limits.FOLDER_NAMES)
    folders = [f"{layout.PACKS}/{one}" for one in listed if _PREFIX.fullmatch(one)]

    def list_one(folder: str) -> Callable[[Transport], list[str]]:
        def work(transport: Transport) -> list[str]:
            found = transport.list(folder, limits.FOLDER_NAMES)
            return [f"{folder}/{one}" for one in found if layout.is_pack(one)]

        return work

    return [one for found in _side_by_side(depot, map(list_one, folders)) for one in found]


def _parts(depot: Depot) -> list[str]:
    """List unfinished uploads of small files outside the folders of bundles."""
    return [
        f"{folder}/{one}" if folder else one
        for folder in ("", layout.ROOTS, layout.GC)
        for one in depot.transport.list(folder, limits.FOLDER_NAMES)
        if layout.is_part(one)
    ]


def _sizes(depot: Depot, wanted: Sequence[str]) -> list[int]:
    def size_of(name: str) -> Callable[[Transport], int]:
        return lambda transport: transport.size(name) or 0

    return _side_by_side(depot, map(size_of, wanted))


def _side_by_side(depot: Depot, work: Iterable[Callable[[Transport], T]]) -> list[T]:
    """Do something over several connections; return what came of it, in order."""
    lanes: ConnectionPool[T] = ConnectionPool(depot.transport, depot.work.jobs)
    try:
        return [one.result() for one in [lanes.submit(one) for one in work]]
    finally:
        lanes.close()


class _Marks:
    """What earlier runs have marked, and since when by their clocks."""

    def __init__(self, depot: Depot) -> None:
        self._depot = depot
        self._files: list[str] = []
        self.since: dict[str, int] = {}
        for file in depot.transport.list(layout.GC, limits.FOLDER_NAMES):
            if layout.is_marks(file):
                self._files.append(f"{layout.GC}/{file}")
                self._read(self._files[-1])

    def replace(self, since: Mapping[str, int]) -> None:
        """Write new marks, if there are any; only then remove those that were read."""
        new = [layout.marks_name(secrets.token_hex(16))] if since else []
        for one in new:
            self._depot.transport.publish(one, gc_markers.encode_marks(since))
        for one in self._files:
            self._depot.transport.delete(one)
        self._files = new

    def _read(self, name: str) -> None:
        with suppress(CorruptError, MissingError):  # then its files are marked anew
            for one, time in gc_markers.decode_marks(
                self._depot.read(name, limits.MARKS_BYTES)
            ).items():
                self.since[one] = min(time, self.since.get(one, time))


def _swept(
    depot: Depot, use: _Use, ripe: Sequence[str], clock: Clock, progress: Progress
) -> Iterator[str]:
    """Remove files, and yield those that are gone. One that is needed by now is left."""
    progress.begin("removing", len(ripe))
    try:
        for start in range(0, len(ripe), limits.SWEPT_NAMES):
            batch = ripe[start : start + limits.SWEPT_NAMES]
            sweep = Sweep(depot, batch, clock)
            try:
                use.look()
            except AirgapError:
                sweep.end()  # nothing was removed under it
                raise
            for name in batch:
                if use.spares(name) and not sweep.is_over:
                    sweep.remove(name)
                    yield name
                progress.advance(1)
            sweep.end()
    finally:
        progress.end()
