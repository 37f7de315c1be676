"""Targets: the Python and the platform that wheels are for, and which wheel fits best."""

import platform
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final

from airgap.errors import UsageError
from airgap.format.wheelhouse import Target, parse_target
from airgap.wheels.programs import load_packaging

__all__ = [
    "choose_best",
    "default_target",
    "format_for_uv",
    "is_as_new",
    "is_for_any_platform",
    "list_platforms",
    "rank_wheel",
    "read_target",
    "runs_on",
    "this_machine",
]

DEFAULT_GLIBC: Final = (2, 28)
"""RHEL 8, Debian 10 and all later ones have it."""
_OLDEST: Final = {"manylinux": (2, 17), "musllinux": (1, 1)}
_ARCHITECTURES: Final = ("x86_64", "aarch64")
_OLD_NAMES: Final = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_FIRST_GLIBC: Final = {"x86_64": 5, "aarch64": 17}
_UV_GLIBC: Final = (17, 28, *range(31, 41))
"""The versions of glibc that uv knows as platforms."""
_OLDEST_PYTHON: Final = 8


def read_target(text: str) -> Target:
    """Parse a target that a person names.

    Raises:
        UsageError: it is not a target, or not one that packages can be resolved for.
    """
    target = parse_target(text)
    if target is None:
        raise UsageError(
            f"{text!r} is not a target.",
            "Write it as cp311-manylinux_2_28_x86_64: version of CPython, libc, architecture.",
        )
    if target.architecture not in _ARCHITECTURES or target.minor < _OLDEST_PYTHON:
        raise UsageError(
            f"Packages for {text} cannot be resolved.",
            f"Name an architecture of {' and '.join(_ARCHITECTURES)}, and CPython 3.8 or later.",
        )
    oldest = _OLDEST[target.libc]
    if target.libc_version < oldest or target.libc_version[0] != oldest[0]:
        raise UsageError(
            f"Packages for {text} cannot be resolved.",
            f"Name {target.libc}_{oldest[0]}_{oldest[1]} or later.",
        )
    return target


def default_target(python: str, bento: str) -> Target:
    """Return the target of a Bento that is to run on machines like this one.

    Raises:
        UsageError: the Bento does not say which Python it is for, or this machine is of another
            architecture than those that packages can be resolved for.
    """
    architecture = {"arm64": "aarch64", "AMD64": "x86_64"}.get(
        platform.machine(), platform.machine()
    )
    if not python or architecture not in _ARCHITECTURES:
        reason = (
            "does not say which Python it is for" if not python else f"would run on {architecture}"
        )
        raise UsageError(
            f"{bento} {reason}.", "Give --target, such as cp311-manylinux_2_28_x86_64."
        )
    return read_target(
        str(Target(int(python.removeprefix("3.")), "manylinux", DEFAULT_GLIBC, architecture))
    )


def format_for_uv(target: Target) -> str:
    """Return the newest platform of uv that is not newer than the target."""
    if target.libc == "musllinux":
        return f"{target.architecture}-unknown-linux-musl"
    minor = max(minor for minor in _UV_GLIBC if minor <= target.libc_version[1])
    return f"{target.architecture}-manylinux_2_{minor}"


def list_platforms(target: Target) -> Iterator[str]:
    """Yield the platforms whose wheels run on the target, best first."""
    major, newest = target.libc_version
    first = 0 if target.libc == "musllinux" else _FIRST_GLIBC[target.architecture]
    for minor in range(newest, first - 1, -1):
        yield f"{target.libc}_{major}_{minor}_{target.architecture}"
        if target.libc == "manylinux" and minor in _OLD_NAMES:
            yield f"{_OLD_NAMES[minor]}_{target.architecture}"


@cache
def _rank_tags(target: Target) -> Mapping[Any, int]:
    """Return every wheel tag that fits the target, and its rank; 0 is the best."""
    tags = load_packaging("packaging.tags")
    platforms = list(list_platforms(target))
    python, interpreter = (3, target.minor), f"cp3{target.minor}"
    ranked = [
        *tags.cpython_tags(python, [interpreter], platforms),
        *tags.compatible_tags(python, interpreter, platforms),
    ]
    return {tag: rank for rank, tag in reversed(list(enumerate(ranked)))}


def rank_wheel(file: str, target: Target) -> int | None:
    """Return how well a wheel fits a target, by its file name: 0 is best, None does not fit."""
    ranks = _rank_tags(target)
    return min((ranks[tag] for tag in _parse_tags(file) if tag in ranks), default=None)


def choose_best(files: Iterable[str], target: Target) -> str | None:
    """Return the wheel that fits best; of equal ones, that with the highest build number."""
    utils = load_packaging("packaging.utils")
    fitting: list[tuple[int, tuple[int, str], str]] = []
    for file in files:
        rank = rank_wheel(file, target)
        if rank is not None:
            build = utils.parse_wheel_filename(file)[2] or (-1, "")
            fitting.append((-rank, build, file))
    return max(fitting)[2] if fitting else None


def runs_on(file: str, target: Target) -> bool:
    """Tell whether a wheel runs on a target, by its file name.

    A wheel that was built and not repaired says ``linux``, and not which libc it needs: that of the
    machine that built it, which is taken to be this one.
    """
    if rank_wheel(file, target) is not None:
        return True
    here = this_machine()
    return here is not None and is_as_new(target, here) and _runs_here(file)


def is_as_new(target: Target, here: Target) -> bool:
    """Tell whether what is built on a machine runs on a target: its libc is not older."""
    return (target.minor, target.libc, target.architecture) == (
        *(here.minor, here.libc),
        here.architecture,
    ) and target.libc_version >= here.libc_version


def _runs_here(file: str) -> bool:
    tags = load_packaging("packaging.tags")
    return not set(_parse_tags(file)).isdisjoint(tags.sys_tags())


def _parse_tags(file: str) -> Collection[Any]:
    utils = load_packaging("packaging.utils")
    try:
        tags: Collection[Any] = utils.parse_wheel_filename(file)[3]
    except utils.InvalidWheelFilename:
        return ()
    return tags


def is_for_any_platform(file: str) -> bool:
    """Tell whether a wheel runs on every platform and needs no binary interface of Python."""
    tags = _parse_tags(file)
    return bool(tags) and all(tag.platform == "any" and tag.abi == "none" for tag in tags)


def this_machine() -> Target | None:
    """Return the target that this machine is; None if it is not one."""
    tags = load_packaging("packaging.tags")
    if sys.implementation.name != "cpython":
        return None
    return next(filter(None, map(_read_own_tag, tags.sys_tags())), None)


def _read_own_tag(tag: Any) -> Target | None:  # noqa: ANN401  (packaging is optional)
    return parse_target(f"{tag.interpreter}-{tag.platform}")
