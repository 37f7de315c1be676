"""Checks the environments that services run in."""

from collections.abc import Iterator
from typing import Final

from airgap.disk.presence import is_file
from airgap.errors import AirgapError
from airgap.flow.doctor.finding import Finding, note, ok, problem
from airgap.flow.environment.packages import list_unsupplied
from airgap.format.kinds import BENTO, FILES
from airgap.store import environments
from airgap.store.environments import Environment, EnvironmentDescription
from airgap.store.kinds import find_kind

__all__ = ["check_environments", "check_packages"]

_SHOWN: Final = 5


def check_environments() -> Iterator[Finding]:
    """Report environments in BentoML's home that are incomplete, or lack what they need."""
    try:
        found = list(environments.list_environments())
    except AirgapError as error:
        yield problem("environments", error.message, error.hint)
        return
    findings = [finding for environment in found for finding in _check(environment)]
    yield from findings
    if found and not findings:
        yield ok("environments", f"The environments are complete ({len(found)}).")


def check_packages() -> Iterator[Finding]:
    """Report Bentos whose Python packages are in no wheelhouse on this machine."""
    unsupplied = list_unsupplied()
    if not unsupplied:
        return
    more = f" and {len(unsupplied) - _SHOWN:,} more" if len(unsupplied) > _SHOWN else ""
    yield note(
        "wheelhouses",
        "No wheelhouse here has the Python packages of these Bentos:"
        f" {', '.join(unsupplied[:_SHOWN])}{more}.",
        "To run them, install the packages yourself, or import a bundle that was exported with"
        " --with-env.",
    )


def _check(environment: Environment) -> Iterator[Finding]:
    folder, description = environment.folder, environment.description
    tag = f"{folder.parent.name}:{folder.name}"
    if description is not None:
        yield from _check_complete(environment, description)
    elif environments.is_being_changed(folder):
        yield note(
            "environments",
            f"A process makes or removes the environment in {folder}.",
            "Wait until it has finished.",
        )
    else:
        yield note(
            "environments",
            f"The environment in {folder} is incomplete: its creation was interrupted.",
            f"Make it again with `airgap env create {tag}`, or remove it with"
            f" `airgap env remove {tag}`.",
        )


def _check_complete(
    environment: Environment, description: EnvironmentDescription
) -> Iterator[Finding]:
    if not is_file(environment.python):
        yield problem(
            "environments",
            f"The Python of the environment in {environment.folder} is gone: it was"
            f" {description.python}.",
            f"Run `airgap env remove {environment.folder}`, and make it again.",
        )
    for kind, tag in (
        (BENTO, description.bento),
        *((FILES, tag) for tag in description.files),
    ):
        try:
            find_kind(kind.name).find(tag)
        except AirgapError:
            yield note(
                "environments",
                f"The environment in {environment.folder} is for the {kind.name} {tag}, which is"
                " not on this machine any more.",
                f"Import it again, or run `airgap env remove {environment.folder}`.",
            )
