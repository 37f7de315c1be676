"""What this host does not let run: file systems mounted ``noexec``, and fapolicyd."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from airgap.disk.execution import has_fapolicyd, is_noexec, list_trust_commands
from airgap.disk.temporary import find_temporary_folder
from airgap.errors import AirgapError
from airgap.flow.doctor.finding import Finding, note, ok, problem
from airgap.store import environments, python_builds
from airgap.store.bentoml_home import home

__all__ = ["check_execution"]

_ANOTHER: Final = "Name a folder on another file system:"
_KIT: Final = "airgap"  # the folder in the user's home that install.py fills by default


def check_execution() -> Iterator[Finding]:
    """Report folders from which programs would have to run and cannot; and fapolicyd."""
    findings = list(_check_mounts())
    yield from findings
    if not findings:
        yield ok("noexec", "No folder that programs run from is mounted noexec.")
    yield from _check_fapolicyd()
    yield from _check_temporary()


def _check_mounts() -> Iterator[Finding]:
    for folder in _list_environments():
        if is_noexec(folder):
            yield problem(
                "noexec",
                f"The environment in {folder} cannot be run: its file system is mounted noexec.",
                f"Remove it (airgap env remove {folder}), and make it in another folder:"
                " airgap env create TAG DIR",
            )
    for folder, what, hint in _list_uses():
        if is_noexec(folder):
            yield note(
                "noexec",
                f"{what} cannot run from {folder}: its file system is mounted noexec.",
                hint,
            )
    builds = _list_idle_builds()
    if builds:
        yield note(
            "noexec",
            f"The Pythons that bundles have brought cannot run from {home()}, which is mounted"
            f" noexec: {', '.join(builds)}.",
            "Move the whole home to another file system, and set BENTOML_HOME; or install Python.",
        )


def _list_uses() -> Iterator[tuple[Path, str, str]]:
    """Yield folders that programs run from, as far as there are such: what runs, and a hint."""
    with suppress(AirgapError):  # reported by the check of stores
        yield home(), "An environment", f"{_ANOTHER} airgap env create TAG DIR"
    with suppress(AirgapError):  # reported by ``_check_temporary``
        yield (
            find_temporary_folder(),
            "A proof (prove, rehearse, demo --with-env)",
            f"{_ANOTHER} --tmpdir DIR, or set TMPDIR.",
        )
    with suppress(RuntimeError):  # a user without a home folder
        yield Path.home() / _KIT, "A kit", f"{_ANOTHER} install.py DIR"


def _check_temporary() -> Iterator[Finding]:
    try:
        find_temporary_folder()
    except AirgapError as error:
        yield note("temporary", error.message, error.hint)


def _list_idle_builds() -> list[str]:
    """Return the tags of Python builds that cannot run from where they lie."""
    try:
        return [build.tag for build in python_builds.list_builds() if is_noexec(build.path)]
    except AirgapError:  # reported by the check of items
        return []


def _check_fapolicyd() -> Iterator[Finding]:
    if not has_fapolicyd():
        yield ok("fapolicyd", "fapolicyd does not run here.")
        return
    folders = [Path(sys.prefix), *_list_environments(), home() / "bentos"]
    yield note(
        "fapolicyd",
        "fapolicyd runs here. As its rules say, it blocks programs, libraries and Python files that"
        " are not in its trust database: airgap's own, those of environments, and those of Bentos.",
        "After each installation, run as root: " + "; ".join(list_trust_commands(folders)),
    )


def _list_environments() -> list[Path]:
    try:
        return [environment.folder for environment in environments.list_environments()]
    except AirgapError:  # reported by the check of environments
        return []
