"""Locks packages for a target, with uv: every package that is needed, its version and its files."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from airgap.errors import AirgapError, CorruptError, MissingError, TransportError
from airgap.format.wheelhouse import Target, normalize_name
from airgap.wheels.programs import RunOutcome, run
from airgap.wheels.targets import format_for_uv

__all__ = [
    "Distribution",
    "Question",
    "ResolvedPackage",
    "make_no_wheel_error",
    "parse_lock",
    "resolve",
]

_NO_WHEEL: Final = re.compile(
    r"(?<![\w.-])(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:==(?P<version>\S+))?"
    r" has no (?:usable )?wheels"
    r"|Wheels are required for `(?P<needed>[A-Za-z0-9._-]+)`"
)
_UNREACHABLE: Final = re.compile(
    r"[Ff]ailed to fetch|error sending request|[Cc]onnection refused|dns error|timed out"
    r"|HTTP status|[Cc]ould not connect|40[13] (?:Unauthorized|Forbidden)|peer certificate"
)
_FAILED_URL: Final = re.compile(r"https?://[^\s`'\")]+")
_LAST_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class Distribution:
    """A wheel or a source distribution.

    ``location`` is a URL or an absolute path. ``size`` is in bytes, 0 if the index does not say.
    ``sha256`` is empty if that is not known yet.
    """

    file: str
    location: str
    size: int = 0
    sha256: bytes = b""

    @property
    def path(self) -> Path | None:
        """The file, if it is on this machine."""
        if self.location.startswith("/"):
            return Path(self.location)
        parts = urlsplit(self.location)
        return Path(unquote(parts.path)) if parts.scheme == "file" else None

    @property
    def foreseen_size(self) -> int:
        """The bytes that progress counts: of a file on this machine, which no index sizes, all."""
        if self.size or self.path is None:
            return self.size
        with suppress(OSError):
            return self.path.stat().st_size
        return 0

    @property
    def host(self) -> str:
        """The host that it comes from; empty if it is on this machine."""
        return "" if self.path else urlsplit(self.location).hostname or ""

    @property
    def is_wheel(self) -> bool:
        """Tell a wheel from a source distribution."""
        return self.file.endswith(".whl")


@dataclass(frozen=True, slots=True)
class ResolvedPackage:
    """A package of a lock, its version, and the files that there are of it."""

    name: str
    version: str
    wheels: tuple[Distribution, ...] = ()
    sdist: Distribution | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What uv is asked.

    Attributes:
        requirements: lines, as in a file of requirements.
        constraints: versions of packages that may turn out to be needed.
        target: what for.
        prereleases: whether versions before a release may be taken.
        build_sdists: whether source distributions may be built, which runs their code.
        title: names in messages what the packages are for.
    """

    requirements: Sequence[str]
    constraints: Sequence[str]
    target: Target
    prereleases: bool = False
    build_sdists: bool = False
    title: str = "The packages"


def resolve(
    question: Question, uv: Sequence[str], environment: Mapping[str, str], folder: Path
) -> tuple[ResolvedPackage, ...]:
    """Lock the packages; ``folder`` is private, and gets uv's files.

    Raises:
        MissingError: there is no set of packages that fits, or one has no wheel.
        TransportError: an index cannot be reached, or refuses.
        CorruptError: an index says what makes no sense.
        OSError: the disk refused.
    """
    asked, known = folder / "requirements.in", folder / "constraints.txt"
    lock = folder / "pylock.toml"
    lock.unlink(missing_ok=True)
    asked.write_text("".join(f"{line}\n" for line in question.requirements))
    known.write_text("".join(f"{line}\n" for line in question.constraints))
    command = [
        *(*uv, "pip", "compile", asked.name, "--constraint", known.name),
        *("--format", "pylock.toml", "--output-file", lock.name, "--generate-hashes"),
        *("--python-platform", format_for_uv(question.target)),
        *("--python-version", question.target.python),
        *("--no-config", "--no-header", "--no-annotate", "--quiet"),
        *(() if question.build_sdists else ("--only-binary", ":all:")),
        *(("--prerelease", "allow") if question.prereleases else ()),
    ]
    done = run(command, environment, folder)
    if done.status or not lock.exists():
        raise _explain(question, done)
    return parse_lock(lock.read_bytes())


def parse_lock(raw: bytes) -> tuple[ResolvedPackage, ...]:
    """Parse a lock of uv.

    Raises:
        CorruptError: it has not the form of such a lock, which an index can cause.
    """
    try:
        packages = tuple(map(_read_package, tomllib.loads(raw.decode())["packages"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptError(
            f"The lock that uv wrote cannot be read: {error}.",
            "Check the version of uv, and what the index offers.",
        ) from error
    names = [package.name for package in packages]
    if len(set(names)) != len(names):
        raise CorruptError(
            "The lock that uv wrote has a package twice.", "Check what the index offers."
        )
    return packages


def _read_package(package: Mapping[str, Any]) -> ResolvedPackage:
    name = normalize_name(package["name"])
    sdist = _read_distribution(package["sdist"]) if "sdist" in package else None
    wheels = tuple(map(_read_distribution, package.get("wheels", ())))
    if "archive" in package:
        archive = _read_distribution(package["archive"])
        wheels, sdist = ((archive,), None) if archive.is_wheel else ((), archive)
    if not wheels and sdist is None:
        raise ValueError(f"{name} has no file")
    return ResolvedPackage(name, str(package.get("version", "")), wheels, sdist)


def _read_distribution(document: Mapping[str, Any]) -> Distribution:
    location = document.get("url") or document["path"]
    if not isinstance(location, str):
        raise TypeError("a location that is not a text")
    path = urlsplit(location).path if "://" in location else location
    file = document.get("name") or unquote(path).rpartition("/")[2]
    digest = bytes.fromhex(document.get("hashes", {}).get("sha256", ""))
    location = re.sub(r"(://)[^/@]*@", r"\1", location.partition("#")[0])
    return Distribution(str(file), location, int(document.get("size", 0)), digest)


def _explain(question: Question, done: RunOutcome) -> AirgapError:
    """Say why uv found no solution."""
    lines = [line.rstrip() for line in done.messages.splitlines() if line.strip()][-_LAST_LINES:]
    missing = _NO_WHEEL.search(done.messages)
    if missing:
        name, version = missing["name"] or missing["needed"], missing["version"] or ""
        return make_no_wheel_error(name, version, question.target, lines)
    if _UNREACHABLE.search(done.messages):
        url = _FAILED_URL.search(done.messages)
        return TransportError(
            f"A package index cannot be read: {url[0].rstrip(':') if url else 'uv failed'}.",
            "Check the address, the network and the credentials (.netrc, keyring, environment);"
            " --index names another one.",
            lines,
        )
    return MissingError(
        f"{question.title} cannot be resolved for {question.target}.",
        "See what uv says; --index names another index, and --wheel FILE gives a wheel.",
        lines,
    )


def make_no_wheel_error(
    name: str, version: str, target: Target, details: Iterable[str] = ()
) -> MissingError:
    """Make the error of a package that has no wheel for a target."""
    return MissingError(
        f"{' '.join(filter(None, (name, version)))} has no wheel for {target}.",
        "Build a wheel for that target and pass --wheel FILE, or give --build-sdists, which builds"
        " wheels from source here.",
        list(details),
    )
