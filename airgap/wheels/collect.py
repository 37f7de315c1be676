"""Collects the wheels of a Bento for one target: lock, choose, fetch, describe."""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from airgap.disk.space import make_shortage, measure_free
from airgap.errors import CorruptError
from airgap.format.wheelhouse import (
    LOCK,
    REQUIREMENTS,
    TOOLS,
    WHEELS,
    BuiltPackage,
    LockedPackage,
    Target,
    Tool,
    Wheelhouse,
    encode,
    format_requirements,
    normalize_name,
)
from airgap.printable import count_text, size_text
from airgap.wheels.bento_requirements import BentoRequirements
from airgap.wheels.choose import ChosenFile, choose_files, list_hashes
from airgap.wheels.fetch import FETCHED, Fetcher, Wheel
from airgap.wheels.indexes import Indexes, make_environment
from airgap.wheels.programs import Programs
from airgap.wheels.question import find_given, list_constraints, list_roots
from airgap.wheels.resolve import Question, ResolvedPackage, resolve

__all__ = ["Collected", "Collection", "Reporter", "clear", "collect"]

LARGE_BYTES: Final = 1024**3
"""Downloads above this are announced."""
_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Collection:
    """What to collect.

    Attributes:
        bento: its tag, for messages.
        requirements: what it says of its packages.
        digest: of that, which leads from the Bento to its wheelhouse (format §26).
        bento_folder: where the Bento is.
        target: what for.
        indexes: where packages are looked up.
        given: wheels of a person, by package.
        build_sdists: whether wheels may be built, which runs the code of source distributions.
        known: wheels on this machine, by digest.
    """

    bento: str
    requirements: BentoRequirements
    digest: bytes
    bento_folder: Path
    target: Target
    indexes: Indexes
    given: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    build_sdists: bool = False
    known: Mapping[bytes, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Collected:
    """A wheelhouse, and its files by their paths in the item.

    ``chosen`` are the packages whose version the Bento does not give, as ``name version``.
    """

    wheelhouse: Wheelhouse
    files: Mapping[str, Path]
    chosen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reporter:
    """Gets notes, and how many bytes are there."""

    note: Callable[[str], None]
    begin: Callable[[int], None]
    advance: Callable[[int], None]


def collect(
    collection: Collection, programs: Programs, folder: Path, reporter: Reporter
) -> Collected:
    """Collect the wheels of a Bento; ``folder`` is private, and keeps what was fetched.

    Raises:
        MissingError: a package, or a wheel of it for the target, is not there.
        TransportError: an index cannot be reached, or refuses.
        CorruptError: a file is not what the index says.
        UsageError: a given wheel is not of the version that the Bento asks for.
        StorageError, OSError: the disk refused, or is too small.
    """
    scratch = folder / "tmp"
    scratch.mkdir(exist_ok=True)
    environment = make_environment(collection.indexes, str(scratch))
    given = find_given(collection.given, collection.requirements, collection.target)
    packages = resolve(_make_question(collection, given), programs.uv, environment, folder)
    tools = resolve(_make_tool_question(collection, given), programs.uv, environment, folder)
    choices, tool_choices = _choose(collection, packages), _choose(collection, tools)
    _refuse_local((*choices, *tool_choices), collection, given)
    _announce((*choices, *tool_choices), collection, folder, reporter)
    fetcher = Fetcher(
        *(programs.pip, environment, folder, collection.target, collection.known),
        reporter.advance,
    )
    fetched = fetcher.fetch((*choices, *tool_choices))
    wheels, tool_wheels = fetched[: len(choices)], fetched[len(choices) :]
    chosen = _list_chosen(collection.requirements, wheels)
    wheelhouse = _describe(collection, wheels, tool_wheels, locked=not chosen)
    return Collected(wheelhouse, _write(wheelhouse, wheels, tool_wheels, folder), chosen)


def clear(folder: Path, *, keep_wheels: bool) -> None:
    """Remove what ``collect`` left in its folder, or everything but the wheels; then the folder."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name == FETCHED and keep_wheels:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    for empty in (folder / FETCHED, folder):
        with suppress(OSError):  # there is something in it
            empty.rmdir()


def _make_question(collection: Collection, given: Mapping[str, Path]) -> Question:
    requirements, folder = collection.requirements, collection.bento_folder
    return Question(
        list(list_roots(requirements, folder, given)),
        list(list_constraints(requirements, folder, given)),
        collection.target,
        requirements.options.prereleases,
        collection.build_sdists,
        f"The packages of {collection.bento}",
    )


def _make_tool_question(collection: Collection, given: Mapping[str, Path]) -> Question:
    """Ask for pip, which installs the others on the other side."""
    pip = f"pip @ {given['pip'].as_uri()}" if "pip" in given else "pip"
    return Question([pip], [], collection.target, title="pip")


def _choose(collection: Collection, packages: Sequence[ResolvedPackage]) -> list[ChosenFile]:
    allowed = list_hashes(collection.requirements.packages)
    return choose_files(packages, collection.target, allowed, build_sdists=collection.build_sdists)


def _refuse_local(
    choices: Iterable[ChosenFile], collection: Collection, given: Mapping[str, Path]
) -> None:
    """Refuse files of this machine that an index on a server names.

    Raises:
        CorruptError: it names one.
    """
    indexes = collection.indexes
    if any(not index.host for index in (*indexes.urls, *indexes.find_links)):
        return
    own = {collection.bento_folder / path for path in collection.requirements.wheels}
    for choice in choices:
        path = choice.distribution.path
        if path is not None and path not in own and path not in given.values():
            raise CorruptError(
                f"The index names a file of this machine, {path}, as a wheel of {choice.name}.",
                "Do not use this index: name another one with --index.",
            )


def _announce(
    choices: Sequence[ChosenFile], collection: Collection, folder: Path, reporter: Reporter
) -> None:
    """Say how much is fetched, if that is much; refuse what the disk has no room for.

    Raises:
        StorageError: it is too small.
    """
    sizes = {choice.distribution.file: choice.distribution.foreseen_size for choice in choices}
    total = sum(sizes.values())
    reporter.begin(total)
    if total >= LARGE_BYTES:
        largest = max(sizes, key=lambda file: sizes[file])
        reporter.note(
            f"The packages of {collection.bento} for {collection.target} have {size_text(total)}:"
            f" {count_text(len(sizes), 'file')}, of which {largest} has"
            f" {size_text(sizes[largest])}."
        )
    free = measure_free(folder)
    if free is not None and total > free:
        raise make_shortage(folder, total, free, " for Python packages")


def _list_chosen(requirements: BentoRequirements, wheels: Iterable[Wheel]) -> tuple[str, ...]:
    """Return the packages whose version the Bento does not give."""
    pinned = {package.name for package in requirements.packages if package.is_pinned}
    pinned |= {normalize_name(Path(path).name.partition("-")[0]) for path in requirements.wheels}
    return tuple(f"{wheel.name} {wheel.version}" for wheel in wheels if wheel.name not in pinned)


def _describe(
    collection: Collection, wheels: Sequence[Wheel], tools: Sequence[Wheel], *, locked: bool
) -> Wheelhouse:
    return Wheelhouse(
        collection.target,
        collection.digest,
        tuple(
            LockedPackage(wheel.name, wheel.version, wheel.path.name, wheel.size, wheel.sha256)
            for wheel in wheels
        ),
        tuple(Tool(wheel.path.name, wheel.size, wheel.sha256) for wheel in tools),
        tuple(
            BuiltPackage(wheel.name, wheel.version, wheel.sdist) for wheel in wheels if wheel.sdist
        ),
        tuple(sorted({wheel.host for wheel in (*wheels, *tools) if wheel.host})),
        locked,
    )


def _write(
    wheelhouse: Wheelhouse, wheels: Iterable[Wheel], tools: Iterable[Wheel], folder: Path
) -> dict[str, Path]:
    """Write the two lists of packages; return where each file of the item is."""
    lock, requirements = folder / "item-lock", folder / "item-requirements"
    lock.write_bytes(encode(wheelhouse))
    requirements.write_bytes(format_requirements(wheelhouse))
    files = {f"{WHEELS}{wheel.path.name}": wheel.path for wheel in wheels}
    for tool in tools:
        path = tool.path
        if path in files.values():  # each file of an item is moved into its place
            path = Path(shutil.copyfile(path, folder / f"tool-{path.name}"))
        files[f"{TOOLS}{tool.path.name}"] = path
    return {LOCK: lock, REQUIREMENTS: requirements, **files}
