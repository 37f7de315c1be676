"""Collects the wheelhouses of a kit: airgap, its extras and what they need, for each target."""

import shutil
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from airgap.errors import UsageError
from airgap.flow.exporting.select import Source
from airgap.flow.kit.own_wheel import DISTRIBUTION, write_own_wheel
from airgap.flow.progress import Progress
from airgap.format import limits
from airgap.format.files import version_of
from airgap.format.kinds import WHEELHOUSE
from airgap.format.wheelhouse import LOCK, NO_BENTO, WHEELS, Target
from airgap.store.source_tree import scan
from airgap.store.wheelhouses import find_wheels
from airgap.version import __version__
from airgap.wheels.bento_requirements import BentoRequirements
from airgap.wheels.collect import Collected, Collection, Reporter, collect
from airgap.wheels.indexes import Indexes, read_options
from airgap.wheels.programs import Programs, find_programs
from airgap.wheels.question import read_given
from airgap.wheels.requirements import IndexOptions, parse_requirements

__all__ = ["EXTRAS", "KitPackages", "collect_wheelhouses", "refuse_unused"]

EXTRAS: Final = ("bentoml", "parity", "pkcs11", "serve", "timestamps", "wheels")
"""Those of airgap; ``wheels`` brings uv."""


@dataclass(frozen=True, slots=True)
class KitPackages:
    """What a kit installs: airgap with ``extras``, for each of ``targets``.

    ``indexes`` are where packages are looked up; None: where uv and pip are configured to.
    ``wheels`` are files of a person, which are taken in place of the indexes'.
    """

    targets: Sequence[Target]
    extras: Sequence[str] = EXTRAS
    indexes: Indexes | None = None
    wheels: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class _Kit:
    """What is the same for all targets; ``known`` grows with each."""

    requirements: BentoRequirements
    indexes: Indexes
    given: Mapping[str, Sequence[Path]]
    programs: Programs
    known: dict[bytes, Path]


def collect_wheelhouses(
    packages: KitPackages, environment: Mapping[str, str], folder: Path, progress: Progress
) -> list[Source]:
    """Collect a wheelhouse for each target below a private folder.

    A package without a wheel is built here: these are airgap's own requirements, whose code runs on
    this machine already. ``environment`` may name the indexes.

    Raises:
        UsageError: an extra is not airgap's, or a given file is not a wheel that is needed.
        ConfigurationError: uv or pip is not installed, or airgap's own wheel cannot be made.
        MissingError, TransportError, CorruptError, StorageError: as ``wheels.collect``.
        OSError: the disk refused.
    """
    _refuse_unknown(packages.extras)
    given = _find_own(read_given(packages.wheels), folder, progress)
    kit = _Kit(
        _list_requirements(packages.extras, _find_version(given)),
        packages.indexes or read_options(IndexOptions(), environment),
        given,
        find_programs(),
        dict(find_wheels()),
    )
    versions: dict[Path, str] = {}
    for target in packages.targets:
        work, item = folder / "work" / str(target), folder / "items" / str(target)
        work.mkdir(parents=True)
        collected = _collect(kit, target, work, progress)
        versions[item] = version_of(collected.files[LOCK].read_bytes())
        _lay_out(collected, item)
        for package in collected.wheelhouse.packages:
            kit.known[package.sha256] = item / f"{WHEELS}{package.file}"
        shutil.rmtree(work)
    # Scanned when all are there: a second name of a wheel, for another target, changes its times.
    sources = [_make_source(item, version) for item, version in versions.items()]
    refuse_unused(packages.wheels, sources)
    return sources


def _refuse_unknown(extras: Sequence[str]) -> None:
    for extra in extras:
        if extra not in EXTRAS:
            raise UsageError(
                f"airgap has no extra {extra!r}.", f"Name some of {', '.join(EXTRAS)}."
            )


def _find_own(
    given: dict[str, list[Path]], folder: Path, progress: Progress
) -> Mapping[str, Sequence[Path]]:
    """Add airgap's own wheel to those that a person gives, unless it comes from an index."""
    if DISTRIBUTION in given:
        return given
    own = write_own_wheel(folder)
    if own is None:
        progress.note(f"airgap {__version__} is fetched from the index, as it was installed here.")
        return given
    progress.note(f"airgap {__version__} is packed from its files on this machine.")
    return {**given, DISTRIBUTION: [own]}


def _collect(kit: _Kit, target: Target, work: Path, progress: Progress) -> Collected:
    collection = Collection(
        *("the kit", kit.requirements, NO_BENTO, work, target, kit.indexes),
        given=kit.given,
        build_sdists=True,
        known=kit.known,
    )
    begin = partial(progress.begin, f"packages for {target}")
    try:
        collected = collect(
            collection, kit.programs, work, Reporter(progress.note, begin, progress.advance)
        )
    finally:
        progress.end()
    for built in collected.wheelhouse.built:
        progress.note(f"{built.name} {built.version} has no wheel and was built here.")
    return collected


def _find_version(given: Mapping[str, Sequence[Path]]) -> str:
    """Return the version of airgap that a person gives, else that of the one that runs."""
    wheels = given.get(DISTRIBUTION)
    return wheels[0].name.split("-")[1] if wheels else __version__


def _list_requirements(extras: Sequence[str], version: str) -> BentoRequirements:
    """Ask for airgap; all else follows from that."""
    names = f"[{','.join(sorted({*extras}))}]" if extras else ""
    line = f"{DISTRIBUTION}{names}=={version}\n"
    asked = parse_requirements("the kit", line.encode()).requirements
    return BentoRequirements(asked=asked, packages=asked, locked=False)


def _lay_out(collected: Collected, item: Path) -> None:
    """Move the files of a wheelhouse to where they are in its item."""
    for path, file in collected.files.items():
        (item / path).parent.mkdir(parents=True, exist_ok=True)
        file.replace(item / path)


def _make_source(item: Path, version: str) -> Source:
    created = max((_find_date(wheel) for wheel in item.glob(f"{WHEELS}*.whl")), default=0)
    return Source(WHEELHOUSE.name, item.name, version, created, scan(item), folder=item)


def _find_date(wheel: Path) -> int:
    """Return the newest date in a wheel, in seconds since 1970: the same wheels give the same."""
    dates = [datetime.fromtimestamp(0, UTC)]
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            with suppress(ValueError):  # zip files may hold a 31st of February
                dates.append(datetime(*member.date_time, tzinfo=UTC))
    return min(int(max(dates).timestamp()), limits.TIME)


def refuse_unused(wheels: Sequence[Path], sources: Sequence[Source]) -> None:
    """Refuse a wheel of a person that is in no wheelhouse. Raises UsageError."""
    used = {Path(file.path).name for source in sources for file in source.tree.files}
    for path in wheels:
        if path.name not in used:
            raise UsageError(
                f"No package that the kit needs can be {path.name}.",
                "Check its name, version and platform, or leave out --wheel.",
            )
