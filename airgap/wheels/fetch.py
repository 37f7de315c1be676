"""Gets wheels by their digests, with pip, and builds those that have none."""

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk.digests import digest_file
from airgap.errors import AirgapError, CorruptError, MissingError, TransportError
from airgap.format.wheelhouse import Target
from airgap.printable import quote
from airgap.wheels.choose import ChosenFile
from airgap.wheels.programs import RunOutcome, run
from airgap.wheels.targets import is_for_any_platform, list_platforms, runs_on

__all__ = ["FETCHED", "Fetcher", "Wheel"]

FETCHED: Final = "wheels"
"""The folder of wheels that are there, in the private folder."""

_GROUP_BYTES: Final = 256 * 1024 * 1024
_GROUP_FILES: Final = 40
"""What pip is asked for at once: it moves files into place at its end."""
_EPOCH: Final = "315532800"
"""1980-01-01, the earliest time of a zip archive: two builds then give the same wheel."""
_URL: Final = re.compile(r"https?://[A-Za-z0-9._~:/?!&'()*+,;=%\[\]-]+")
"""Nothing that pip gives a meaning in a file of requirements, such as ``${VARIABLE}``."""
_DIGESTS: Final = re.compile(r"Expected sha256 ([0-9a-f]{64})\s+Got\s+([0-9a-f]{64})")
_LAST_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel on this machine. ``sdist`` is the digest of what it was built from, if it was."""

    name: str
    version: str
    path: Path
    size: int
    sha256: bytes
    host: str = ""
    sdist: bytes = b""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """What getting wheels needs: pip, its environment, and a private folder.

    ``known`` are files on this machine by digest, which need not be fetched. ``advance`` gets how
    many more bytes are there, by the sizes that were foreseen: an index may give none.
    """

    pip: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    target: Target
    known: Mapping[bytes, Path]
    advance: Callable[[int], None]

    def fetch(self, choices: Iterable[ChosenFile]) -> list[Wheel]:
        """Get the wheels, compare each with its digest, and build what has to be built.

        Raises:
            CorruptError: a file has another digest than the index says.
            TransportError: a file cannot be fetched.
            MissingError: a wheel cannot be built, or would not run on the target.
            OSError: the disk refused.
        """
        ordered = list(choices)
        (self.folder / FETCHED).mkdir(exist_ok=True)
        files = {choice.distribution.file: choice for choice in ordered}
        absent = [choice for choice in files.values() if not self._take(choice)]
        for group in _group(choice for choice in absent if choice.distribution.is_wheel):
            self._download(group)
        return [self._finish(choice) for choice in ordered]

    def _path_of(self, choice: ChosenFile) -> Path:
        return self.folder / FETCHED / choice.distribution.file

    def _take(self, choice: ChosenFile) -> bool:
        """Take a wheel that is on this machine; tell whether there is one."""
        distribution, path = choice.distribution, self._path_of(choice)
        if not distribution.is_wheel:
            return False
        if not _has(path, distribution.sha256):
            path.unlink(missing_ok=True)
            source = distribution.path or self.known.get(distribution.sha256)
            if source is None or not _copy(source, path, link=distribution.path is None):
                return False
            if distribution.sha256 and not _has(path, distribution.sha256):
                path.unlink()
                return False
        self.advance(distribution.foreseen_size)
        return True

    def _download(self, group: Sequence[ChosenFile]) -> None:
        """Fetch wheels with one call of pip."""
        fetched = self._make_empty("download")
        listing = self.folder / "fetch.txt"
        listing.write_text("".join(map(_format_line, group)))
        command = [
            *(*self.pip, "download", "--quiet", "--no-deps", "--require-hashes"),
            *("--only-binary", ":all:", "--implementation", "cp"),
            *("--python-version", self.target.python, "--abi", f"cp3{self.target.minor}"),
            *("--abi", "abi3", "--abi", "none", "--dest", str(fetched)),
            *(word for name in list_platforms(self.target) for word in ("--platform", name)),
            *("--requirement", str(listing)),
        ]
        done = run(command, self.environment, self.folder)
        if done.status:
            raise _explain_fetch(done)
        by_digest = {digest_file(path): path for path in fetched.iterdir()}
        for choice in group:
            path = by_digest.get(choice.distribution.sha256)
            if path is None:
                raise _make_mismatch_error(choice.distribution.file)
            path.replace(self._path_of(choice))
            self.advance(choice.distribution.foreseen_size)

    def _finish(self, choice: ChosenFile) -> Wheel:
        distribution = choice.distribution
        if not distribution.is_wheel:
            return self._build(choice)
        path = self._path_of(choice)
        return Wheel(
            *(choice.name, choice.version, path, path.stat().st_size),
            *(distribution.sha256 or digest_file(path), distribution.host),
        )

    def _build(self, choice: ChosenFile) -> Wheel:
        """Build a wheel, so that a second build gives the same bytes."""
        distribution, built = choice.distribution, self._make_empty("built")
        source = distribution.path
        listing = self.folder / "build.txt"
        listing.write_text("" if source else _format_line(choice))
        what = [str(source)] if source else ["--require-hashes", "--requirement", str(listing)]
        command = [
            *(*self.pip, "wheel", "--quiet", "--no-deps", "--no-cache-dir"),
            *("--wheel-dir", str(built), *what),
        ]
        environment = {**self.environment, "SOURCE_DATE_EPOCH": _EPOCH, "PYTHONHASHSEED": "0"}
        done = run(command, environment, self.folder)
        paths = sorted(built.glob("*.whl"))
        if done.status or len(paths) != 1:
            raise _explain_build(choice, done)
        if not is_for_any_platform(paths[0].name) and not runs_on(paths[0].name, self.target):
            raise MissingError(
                f"{paths[0].name}, built here from {distribution.file}, does not run on"
                f" {self.target}.",
                "Build a wheel for that target and pass --wheel FILE.",
            )
        path = self.folder / FETCHED / paths[0].name
        paths[0].replace(path)
        sdist = distribution.sha256 or digest_file(source or path)
        self.advance(distribution.foreseen_size)
        return Wheel(
            *(choice.name, choice.version or path.name.split("-")[1], path, path.stat().st_size),
            *(digest_file(path), distribution.host, sdist),
        )

    def _make_empty(self, name: str) -> Path:
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder


def _group(choices: Iterable[ChosenFile]) -> Iterator[list[ChosenFile]]:
    group: list[ChosenFile] = []
    for choice in choices:
        group.append(choice)
        size = sum(choice.distribution.size for choice in group)
        if len(group) >= _GROUP_FILES or size >= _GROUP_BYTES:
            yield group
            group = []
    if group:
        yield group


def _format_line(choice: ChosenFile) -> str:
    """Write a line for pip: where the file is, and its digest.

    Raises:
        CorruptError: the index gives an address that is not one, or no digest.
    """
    distribution = choice.distribution
    if not _URL.fullmatch(distribution.location) or not distribution.sha256:
        raise CorruptError(
            f"The index gives {quote(distribution.file)} no valid address or digest.",
            "Use another index (--index), or pass --wheel FILE.",
        )
    return f"{choice.name} @ {distribution.location} --hash=sha256:{distribution.sha256.hex()}\n"


def _has(path: Path, sha256: bytes) -> bool:
    return bool(sha256) and path.is_file() and digest_file(path) == sha256


def _copy(source: Path, path: Path, *, link: bool) -> bool:
    """Give a file a second name, or copy it; return False if it is not there."""
    try:
        if link:
            os.link(source, path)
            return True
    except OSError:
        pass  # another file system, or one without hard links
    try:
        shutil.copyfile(source, path)
    except FileNotFoundError:
        return False
    return True


def _list_last(done: RunOutcome) -> list[str]:
    return [line.rstrip() for line in done.messages.splitlines() if line.strip()][-_LAST_LINES:]


def _explain_fetch(done: RunOutcome) -> AirgapError:
    """Say why pip fetched nothing."""
    differing = _DIGESTS.search(done.messages)
    if differing:
        return _make_mismatch_error("A package", differing[2], differing[1], _list_last(done))
    return TransportError(
        "pip cannot fetch the packages.",
        "Check the network and the credentials (.netrc, keyring, environment), and run the same"
        " command again: what was fetched is kept.",
        _list_last(done),
    )


def _make_mismatch_error(
    file: str, actual: str = "", expected: str = "", details: Sequence[str] = ()
) -> CorruptError:
    digests = f" (SHA-256 is {actual}, expected {expected})" if actual else ""
    return CorruptError(
        f"{file} is not what the index says{digests}.",
        "It was damaged on the way, or replaced on the server: tell the index's operator.",
        details,
    )


def _explain_build(choice: ChosenFile, done: RunOutcome) -> MissingError:
    return MissingError(
        f"A wheel of {choice.name} {choice.version} cannot be built from"
        f" {choice.distribution.file}.",
        "See what pip says, or build a wheel by other means and pass --wheel FILE.",
        _list_last(done),
    )
