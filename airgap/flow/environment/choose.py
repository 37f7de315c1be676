"""Which wheelhouse a Bento's environment is made from, and with which Python of this host."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.errors import MissingError, UsageError
from airgap.flow.environment.pythons import (
    Python,
    describe_python,
    explain_misfit,
    find_python,
    list_versions,
)
from airgap.format.kinds import WHEELHOUSE
from airgap.store.kinds import find_kind
from airgap.store.wheelhouses import StoredWheelhouse

__all__ = ["Choice", "choose"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A wheelhouse, and an interpreter that it is for."""

    wheelhouse: StoredWheelhouse
    python: Python


def choose(
    bento: str,
    wheelhouses: Sequence[StoredWheelhouse],
    preferred: str,
    python: Path | None,
) -> Choice:
    """Choose the wheelhouse that fits this host: for the preferred Python, else for the newest.

    Args:
        bento: the Bento's tag.
        wheelhouses: those of the Bento.
        preferred: the version of Python that the Bento was built for, such as ``3.11``, or empty.
        python: the interpreter that a person names.

    Raises:
        MissingError: there is none, or none fits.
        UsageError: several fit equally; or ``python`` cannot be run.
    """
    if not wheelhouses:
        raise _make_absent_error(bento)
    named = None if python is None else _describe_named(python)
    interpreters: dict[str, Python | None] = {}
    fitting: list[Choice] = []
    misfits: list[str] = []
    for wheelhouse in wheelhouses:
        target = wheelhouse.lock.target
        if target.python not in interpreters:
            usable = named is None or (named.minor == target.python and named.is_usual)
            interpreters[target.python] = named if usable and named else None
            if named is None:
                interpreters[target.python] = find_python(target.python)
        interpreter = interpreters[target.python]
        if interpreter is None:
            misfits.append(f"is for Python {target.python}; {_describe_host(named)}")
            continue
        misfit = explain_misfit(target, interpreter)
        if misfit:
            misfits.append(misfit)
        else:
            fitting.append(Choice(wheelhouse, interpreter))
    if not fitting:
        raise _make_misfit_error(bento, wheelhouses, misfits, named)
    return _choose_best(bento, fitting, preferred)


def _choose_best(bento: str, fitting: Sequence[Choice], preferred: str) -> Choice:
    def rank(choice: Choice) -> tuple[bool, int, tuple[int, int]]:
        target = choice.wheelhouse.lock.target
        return target.python == preferred, target.minor, target.libc_version

    highest = max(map(rank, fitting))
    best = [choice for choice in fitting if rank(choice) == highest]
    if len(best) > 1:
        tags = [choice.wheelhouse.tag for choice in best]
        raise UsageError(
            f"{len(best)} wheelhouses of {bento} fit this host.",
            f"Name one, such as the newest: --wheelhouse {tags[0]}",
            [f"there is {tag}" for tag in tags],
        )
    return best[0]


def _describe_named(path: Path) -> Python:
    python = describe_python(path)
    if python is None:
        raise UsageError(
            f"{path} cannot be run, or is not a Python 3.", "Name an interpreter with --python."
        )
    return python


def _describe_host(named: Python | None) -> str:
    if named is not None:
        unusual = "" if named.is_usual else ", and not the usual CPython"
        return f"{named.path} is Python {named.text}{unusual}"
    versions = list_versions()
    text = " and ".join(filter(None, [", ".join(versions[:-1]), versions[-1]]))
    return f"this host has {text}"


def _make_absent_error(bento: str) -> MissingError:
    kind = find_kind(WHEELHOUSE.name)
    there = [f"there is {name}:{version}" for name, version in kind.list_tags()]
    others = " It has those of other Bentos." if there else ""
    return MissingError(
        f"This machine has no wheelhouse for the Bento {bento}.{others}",
        f"On the connected side, run `airgap export {bento} --with-env`; import that bundle here.",
        there,
    )


def _make_misfit_error(
    bento: str,
    wheelhouses: Sequence[StoredWheelhouse],
    misfits: Sequence[str],
    named: Python | None,
) -> MissingError:
    if len(wheelhouses) == 1:
        message = f"The wheelhouse of {bento} {misfits[0]}."
    else:
        message = f"None of the {len(wheelhouses)} wheelhouses of {bento} fits this host."
    details = [
        f"{wheelhouse.tag} {misfit}"
        for wheelhouse, misfit in zip(wheelhouses, misfits, strict=True)
    ]
    minors = sorted({wheelhouse.lock.target.python for wheelhouse in wheelhouses})
    return MissingError(
        message,
        f"Install Python {' or '.join(minors)} or name it with --python; or export {bento} with it"
        f" (--python FILE.tar.gz), or with --target {_suggest_target(named)}.",
        details,
    )


def _suggest_target(named: Python | None) -> str:
    """Return the target of this host."""
    python = named or next(filter(None, map(find_python, reversed(list_versions()))), None)
    return str(python.target) if python is not None and python.libc else "CP3X-PLATFORM"
