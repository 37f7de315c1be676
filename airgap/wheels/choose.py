"""Which file of each package travels: the wheel that fits the target best, else one to be built."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from airgap.errors import CorruptError, MissingError
from airgap.format.wheelhouse import Target, is_wheel_of
from airgap.wheels.requirements import Requirement
from airgap.wheels.resolve import Distribution, ResolvedPackage, make_no_wheel_error
from airgap.wheels.targets import choose_best, runs_on

__all__ = ["ChosenFile", "choose_files", "list_hashes"]


@dataclass(frozen=True, slots=True)
class ChosenFile:
    """The file that was chosen of a package: a wheel, or a source distribution to build."""

    name: str
    version: str
    distribution: Distribution


def list_hashes(requirements: Iterable[Requirement]) -> dict[str, frozenset[str]]:
    """Return the digests that a Bento allows of each package, for those of which it gives some."""
    allowed: dict[str, frozenset[str]] = {}
    for requirement in requirements:
        if requirement.hashes:
            others = allowed.get(requirement.name, frozenset())
            allowed[requirement.name] = others | frozenset(requirement.hashes)
    return allowed


def choose_files(
    packages: Iterable[ResolvedPackage],
    target: Target,
    allowed: Mapping[str, Collection[str]],
    *,
    build_sdists: bool,
) -> list[ChosenFile]:
    """Choose one file of each package.

    Raises:
        MissingError: a package has no wheel for the target, and nothing is to be built.
        CorruptError: no file of a package has a digest that the Bento allows.
    """
    return [
        _choose(package, target, allowed.get(package.name, ()), build_sdists=build_sdists)
        for package in sorted(packages, key=lambda package: package.name)
    ]


def _choose(
    package: ResolvedPackage, target: Target, allowed: Collection[str], *, build_sdists: bool
) -> ChosenFile:
    wheels = _list_allowed(package, package.wheels, allowed)
    wheel = _choose_wheel(package, wheels, target)
    if wheel is not None:
        return ChosenFile(package.name, package.version or wheel.file.split("-")[1], wheel)
    if package.sdist is None or not build_sdists:
        raise _explain(package, target)
    (sdist,) = _list_allowed(package, (package.sdist,), allowed)
    return ChosenFile(package.name, package.version, sdist)


def _choose_wheel(
    package: ResolvedPackage, wheels: Iterable[Distribution], target: Target
) -> Distribution | None:
    """Choose the best wheel; a file of this machine that was built here may be for its libc."""
    by_file = {wheel.file: wheel for wheel in wheels if is_wheel_of(wheel.file, package.name)}
    best = choose_best(by_file, target)
    if best is not None:
        return by_file[best]
    local = (wheel for wheel in by_file.values() if wheel.path and runs_on(wheel.file, target))
    return next(local, None)


def _list_allowed(
    package: ResolvedPackage, files: Collection[Distribution], allowed: Collection[str]
) -> Collection[Distribution]:
    """Return the files with a digest that the Bento allows; all if it gives none."""
    found = [file for file in files if not allowed or file.sha256.hex() in allowed]
    if files and not found:
        raise CorruptError(
            f"No file of {package.name} {package.version} has a SHA-256 that the Bento gives.",
            "The index has other files than when the Bento was built: ask its operator, or build"
            " the Bento again.",
            [f"{file.file} has {file.sha256.hex() or 'no digest'}" for file in files],
        )
    return found


def _explain(package: ResolvedPackage, target: Target) -> MissingError:
    """Say which files there are of a package that has none for the target."""
    details = [f"there is {wheel.file}" for wheel in package.wheels[:10]]
    local = next((wheel for wheel in package.wheels if wheel.path), None)
    if local is not None:
        return MissingError(
            f"{local.file} does not run on {target}.",
            "Build a wheel for that target and pass --wheel FILE. A wheel for linux_… runs where"
            " the C library is at least this machine's: name such a --target, or repair it with"
            " auditwheel.",
        )
    if package.sdist is not None:
        details.append(f"there is {package.sdist.file}, from which a wheel can be built")
    return make_no_wheel_error(package.name, package.version, target, details)
