"""What uv is asked, from what a Bento says.

A lock of BentoML is for one platform: markers are evaluated, and packages that only others need are
not in it. So what was asked for is resolved anew for each target, and the lock's versions are
constraints.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from airgap.errors import MissingError, UsageError
from airgap.format.wheelhouse import Target, is_wheel_of, normalize_name
from airgap.wheels.bento_requirements import BentoRequirements
from airgap.wheels.programs import load_packaging
from airgap.wheels.requirements import Requirement
from airgap.wheels.targets import runs_on

__all__ = ["find_given", "list_constraints", "list_roots", "read_given"]

_OUTSIDE: Final = ".whl"


def read_given(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Return the wheels that a person gives, by package.

    Raises:
        UsageError: one of them is not a wheel, or not a file.
    """
    given: dict[str, list[Path]] = {}
    for path in paths:
        name = normalize_name(path.name.partition("-")[0])
        if not is_wheel_of(path.name, name) or not path.is_file():
            raise UsageError(
                f"{path} is not a wheel.", "Give a file as in --wheel x-1.0-py3-none-any.whl."
            )
        given.setdefault(name, []).append(path.absolute())
    return given


def find_given(
    given: Mapping[str, Iterable[Path]], requirements: BentoRequirements, target: Target
) -> dict[str, Path]:
    """Return the given wheels that run on a target, one of each package.

    Raises:
        UsageError: the Bento asks for another version.
    """
    found: dict[str, Path] = {}
    pins = {package.name: package for package in requirements.packages if package.version}
    for name, paths in given.items():
        path = next((path for path in paths if runs_on(path.name, target)), None)
        if path is None:
            continue
        found[name] = path
        pin = pins.get(name)
        if pin and pin.source == "index" and not _is_version(path, pin.version):
            raise UsageError(
                f"--wheel {path.name} is not of the version {pin.version}, which {pin.position}"
                " asks for.",
                "Give a wheel of that version, or build the Bento again.",
            )
    return found


def _is_version(wheel: Path, version: str) -> bool:
    version_type = load_packaging("packaging.version").Version
    own = wheel.name.split("-")[1]
    return bool(version_type(own) == version_type(version))


def list_roots(
    requirements: BentoRequirements, folder: Path, given: Mapping[str, Path]
) -> Iterator[str]:
    """Yield what was asked for, as lines for uv. ``folder`` is the Bento's.

    Lines that only a given wheel answers are plain names: the wheels are constraints.
    """
    local = {Path(path).name: folder / path for path in requirements.wheels}
    for requirement in requirements.asked:
        yield _format_line(requirement, local, given)
    asked = {requirement.location for requirement in requirements.asked}
    for file, path in local.items():
        if file not in asked and path.parent.parent.name == "python" and file.endswith(_OUTSIDE):
            name = normalize_name(file.partition("-")[0])
            yield name if name in given else f"{name} @ {_format_path(path)}"
    yield from sorted({line.name for line in requirements.unsupported} & given.keys())


def list_constraints(
    requirements: BentoRequirements, folder: Path, given: Mapping[str, Path]
) -> Iterator[str]:
    """Yield the versions, and the files, that the Bento and the person give, as lines for uv."""
    local = {Path(path).name: folder / path for path in requirements.wheels}
    for requirement in requirements.packages:
        if requirement.is_pinned and requirement.name not in given:
            yield _format_line(requirement, local, given, extras=False)
    for name, path in given.items():
        yield f"{name} @ {_format_path(path)}"


def _format_line(
    requirement: Requirement,
    local: Mapping[str, Path],
    given: Mapping[str, Path],
    *,
    extras: bool = True,
) -> str:
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    names = f"[{','.join(requirement.extras)}]" if requirement.extras and extras else ""
    name = f"{requirement.name}{names}"
    if requirement.name in given:
        return f"{name}{marker}"
    if requirement.source == "wheel":
        path = local.get(requirement.location)
        if path is None:
            raise MissingError(
                f"The Bento lacks {requirement.location}, which {requirement.position} names.",
                "Build the Bento again.",
            )
        return f"{name} @ {_format_path(path)}{marker}"
    if requirement.source == "url":
        digest = f"#sha256={requirement.hashes[0]}" if requirement.hashes else ""
        return f"{name} @ {requirement.location}{digest}{marker}"
    return f"{name}{requirement.specifier}{marker}"


def _format_path(path: Path) -> str:
    return f"file://{quote(str(path))}"
