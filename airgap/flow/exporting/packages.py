"""Finds the wheelhouses of Bentos, or makes them: the Python packages that travel with them."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from airgap.disk.digests import digest_file
from airgap.disk.locks import lock_removable
from airgap.disk.os_errors import storage_error
from airgap.errors import UsageError
from airgap.flow.progress import Progress
from airgap.format.files import version_of
from airgap.format.inventory import File, make_item
from airgap.format.kinds import BENTO, WHEELHOUSE
from airgap.format.wheelhouse import LOCK, Target, Wheelhouse
from airgap.store.add_item import add_item
from airgap.store.bento_runtime import digest_requirements
from airgap.store.install_paths import private_folder
from airgap.store.item_kind import Reference, Source
from airgap.store.kinds import find_kind
from airgap.store.private_folder import make_private_folder
from airgap.store.staging import PACKAGES, STAGING
from airgap.store.wheelhouses import find_wheels, list_wheelhouses
from airgap.wheels.bento_requirements import BentoRequirements, read_folder, refuse_unsupported
from airgap.wheels.collect import Collected, Collection, Reporter, clear, collect
from airgap.wheels.indexes import Indexes, parse_indexes, read_options
from airgap.wheels.programs import find_programs
from airgap.wheels.question import find_given, read_given
from airgap.wheels.targets import default_target, read_target

__all__ = ["PackageOptions", "find_or_make_wheelhouses", "find_wheelhouses", "parse_packages"]

_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class PackageOptions:
    """How Python packages are found.

    Attributes:
        targets: what for; empty: what each Bento is for, on machines like this one.
        indexes: where packages are looked up; None: where each Bento says.
        given: wheels of a person, by package.
        build_sdists: whether wheels may be built here from source distributions.
        upgrade: whether versions are chosen anew although a wheelhouse of the Bento is here.
    """

    targets: tuple[Target, ...] = ()
    indexes: Indexes | None = None
    given: Mapping[str, Sequence[Path]] | None = None
    build_sdists: bool = False
    upgrade: bool = False


@dataclass(frozen=True, slots=True)
class _Bento:
    """A Bento whose packages are wanted."""

    tag: str
    folder: Path
    requirements: BentoRequirements
    digest: bytes


def parse_packages(
    targets: Sequence[str],
    indexes: Sequence[str],
    wheels: Sequence[Path],
    *,
    build_sdists: bool,
    upgrade: bool,
) -> PackageOptions:
    """Parse the options, as a person writes them.

    Raises:
        UsageError: one of them is malformed.
    """
    return PackageOptions(
        tuple(dict.fromkeys(map(read_target, targets))),
        parse_indexes(indexes, os.environ) if indexes else None,
        read_given(wheels),
        build_sdists,
        upgrade,
    )


def find_or_make_wheelhouses(
    bentos: Sequence[str], options: PackageOptions, progress: Progress
) -> list[str]:
    """Return the tags of the wheelhouses of some Bentos, by target; make those that are not here.

    One that is here is not resolved again, unless ``upgrade`` asks for it: no index is asked.

    Raises:
        MissingError: a Bento, a package, or a wheel for a target is not there.
        UsageError: an option does not fit a Bento; or no Bento needs a given wheel.
        ConfigurationError: uv or pip is not installed.
        TransportError: an index cannot be reached, or refuses.
        CorruptError: a file is not what the index says.
        StorageError: the disk refused, or is too small.
    """
    return _list_wheelhouses(bentos, options, progress, _make)


def find_wheelhouses(
    bentos: Sequence[str], options: PackageOptions, progress: Progress
) -> list[str]:
    """Return the tags of the wheelhouses of some Bentos that are in the store; make none.

    Raises:
        MissingError, UsageError: as ``find_or_make_wheelhouses``.
    """

    def note_absence(bento: _Bento, target: Target, _options: PackageOptions, _: Progress) -> None:
        progress.note(
            f"The Python packages of {bento.tag} for {target} were not collected yet: they are not"
            " in this plan."
        )

    return _list_wheelhouses(bentos, options, progress, note_absence)


def _list_wheelhouses(
    bentos: Sequence[str],
    options: PackageOptions,
    progress: Progress,
    make: Callable[..., tuple[str, Wheelhouse] | None],
) -> list[str]:
    if not bentos:
        raise UsageError(
            "--with-env needs a Bento, whose packages travel.", "Give the Bento's tag, too."
        )
    tags: dict[str, None] = {}
    used: set[str] = set()
    is_complete = True
    for source in map(_scan, dict.fromkeys(bentos)):
        bento = _read_bento(source, options)
        if not bento.requirements.count:
            progress.note(f"{bento.tag} names no Python packages.")
            continue
        for target in options.targets or (default_target(bento.requirements.python, bento.tag),):
            found = _find(bento, target, options) or make(bento, target, options, progress)
            if found is None:
                is_complete = False
                continue
            tag, wheelhouse = found
            tags[tag] = None
            used |= {package.file for package in wheelhouse.packages}
            used |= {tool.file for tool in wheelhouse.tools}
    if is_complete:
        _refuse_unused(options, used)
    return list(tags)


def _scan(tag: str) -> Source:
    kind = find_kind(BENTO.name)
    return kind.scan(Reference(BENTO.name, *kind.find(tag)))


def _read_bento(source: Source, options: PackageOptions) -> _Bento:
    kind, tag = find_kind(BENTO.name), f"{source.name}:{source.version}"
    folder = source.folder or kind.install_path(source.name, source.version).final
    requirements = read_folder(folder, kind.describe(folder).python)
    refuse_unsupported(requirements, tag, (options.given or {}).keys())
    return _Bento(tag, folder, requirements, digest_requirements(folder))


def _find(bento: _Bento, target: Target, options: PackageOptions) -> tuple[str, Wheelhouse] | None:
    """Find a wheelhouse of the Bento that has the given wheels; return its tag and lock."""
    if options.upgrade:
        return None
    given = options.given or {}
    wanted = {digest_file(path) for path in find_given(given, bento.requirements, target).values()}
    for stored in list_wheelhouses(bento.digest):
        wheelhouse = stored.lock
        held = {package.sha256 for package in wheelhouse.packages}
        held |= {tool.sha256 for tool in wheelhouse.tools}
        if wheelhouse.target == target and wanted <= held:
            return stored.tag, wheelhouse
    return None


def _make(
    bento: _Bento, target: Target, options: PackageOptions, progress: Progress
) -> tuple[str, Wheelhouse]:
    """Collect the packages, and put them into the store; return tag and lock."""
    indexes = options.indexes or read_options(bento.requirements.options, os.environ)
    collection = Collection(
        *(bento.tag, bento.requirements, bento.digest, bento.folder, target, indexes),
        given=options.given or {},
        build_sdists=options.build_sdists,
        known=find_wheels(),
    )
    programs = find_programs()
    work = f"{PACKAGES}{bento.digest.hex()[:16]}-{target}"
    reporter = Reporter(
        progress.note, partial(progress.begin, f"packages for {target}"), progress.advance
    )
    try:
        with _hold(work, str(target), progress) as folder:
            found = _find(bento, target, options)  # another export has made it meanwhile
            if found is not None:
                return found
            try:
                collected = collect(collection, programs, folder, reporter)
            finally:
                progress.end()
            _note_chosen(bento, collected, progress)
            return _add(collected, work, progress), collected.wheelhouse
    except OSError as error:
        raise storage_error(error, error.filename or "The store") from error


@contextmanager
def _hold(work: str, target: str, progress: Progress) -> Iterator[Path]:
    """Give a private folder of the store, in which one export at a time collects packages.

    It lies as deep as a staged item: uv and pip make links in theirs. If the block fails, wheels
    that were fetched stay for the next try.
    """
    home = find_kind(WHEELHOUSE.name).store()
    lock = private_folder(home) / STAGING / f"{work}.lock"
    descriptor = lock_removable(
        lock,
        lambda: progress.note("Another export collects the same packages; waiting for it to end."),
        partial(make_private_folder, home, STAGING),
    )
    above = private_folder(home) / STAGING / work / WHEELHOUSE.name / target
    folder, done = above / "collected", False
    try:
        make_private_folder(home, STAGING, work, WHEELHOUSE.name, target)
        folder.mkdir(exist_ok=True)
        yield folder
        done = True
    finally:
        clear(folder, keep_wheels=not done)
        lock.unlink(missing_ok=True)
        os.close(descriptor)
        _remove_empty(above, home)


def _remove_empty(folder: Path, home: Path) -> None:
    """Remove a folder of staging and those above it, as far as they are empty."""
    while folder != home:
        with suppress(OSError):
            folder.rmdir()
        folder = folder.parent


def _note_chosen(bento: _Bento, collected: Collected, progress: Progress) -> None:
    chosen = collected.chosen
    if chosen:
        more = f" and {len(chosen) - _SHOWN} more" if len(chosen) > _SHOWN else ""
        progress.note(
            f"{bento.tag} does not say which version of {len(chosen)} of its packages it needs;"
            f" airgap chose {', '.join(chosen[:_SHOWN])}{more}."
        )
    for built in collected.wheelhouse.built:
        progress.note(f"{built.name} {built.version} has no wheel and was built here.")


def _add(collected: Collected, work: str, progress: Progress) -> str:
    """Put a wheelhouse into the store; return its tag."""
    entries = [
        File(path, executable=False, size=file.stat().st_size, digest=digest_file(file), chunks=())
        for path, file in collected.files.items()
    ]
    version = version_of(collected.files[LOCK].read_bytes())
    item = make_item(WHEELHOUSE.name, str(collected.wheelhouse.target), version, entries)
    add_item(
        *(item, collected.files, work),
        lambda: progress.note("An import is running on this machine; waiting for it to end."),
    )
    return item.tag


def _refuse_unused(options: PackageOptions, used: set[str]) -> None:
    """Refuse a given wheel that no Bento needs: its name may be misspelled."""
    for path in [path for paths in (options.given or {}).values() for path in paths]:
        if path.name not in used:
            raise UsageError(
                f"No package that is needed can be {path.name}.",
                "Check its name, version and platform, or leave out --wheel.",
            )
