"""``airgap env list``: the environments of this machine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal

from airgap.errors import MissingError
from airgap.flow.environment.remove import is_running
from airgap.store import environments
from airgap.store.environments import Environment, EnvironmentDescription
from airgap.store.staging import measure_disk_usage
from airgap.times import format_time

__all__ = ["ListedEnvironment", "describe_environment", "list_environments"]

State = Literal["complete", "running", "incomplete", "changing"]
_FIELDS: Final = tuple(field.name for field in fields(EnvironmentDescription))


@dataclass(frozen=True, slots=True)
class ListedEnvironment:
    """An environment, with the bytes that it occupies on the disk.

    A ``changing`` one is being made or removed right now.
    """

    environment: Environment
    state: State
    size: int


def list_environments(folders: Sequence[Path]) -> Iterator[ListedEnvironment]:
    """Yield the environments in BentoML's home, and those in these folders.

    Raises:
        MissingError: a folder has none.
        StorageError: a folder cannot be read.
    """
    found = list(environments.list_environments())
    for folder in folders:
        environment = environments.read_environment(folder.absolute())
        if environment is None:
            raise MissingError(
                f"airgap has not made an environment in {folder}.",
                f"Make it: airgap env create TAG {folder}",
            )
        found.append(environment)
    for environment in {environment.folder: environment for environment in found}.values():
        size = measure_disk_usage(environment.folder)
        yield ListedEnvironment(environment, _read_state(environment), size)


def _read_state(environment: Environment) -> State:
    if environments.is_being_changed(environment.folder):
        return "changing"
    if environment.description is None:
        return "incomplete"
    try:
        return "running" if is_running(environment.folder) else "complete"
    except OSError:  # only its owner can ask
        return "complete"


def describe_environment(environment: Environment) -> dict[str, Any]:
    """Describe an environment for programs: all but its path is null if it is incomplete."""
    description = environment.description
    data: dict[str, Any] = dict.fromkeys(_FIELDS)
    if description is not None:
        data = {name: getattr(description, name) for name in _FIELDS}
        data["files"] = list(description.files)
        data["bundle"] = description.bundle or None
        data["created_at"] = format_time(description.created_at)
    return {"path": str(environment.folder), "complete": description is not None, **data}
