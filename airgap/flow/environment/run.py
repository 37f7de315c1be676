"""``airgap env run``: what BentoML is started with in an environment."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk import locks
from airgap.disk.execution import refuse_noexec
from airgap.disk.os_errors import translate_errors
from airgap.errors import ConfigurationError, MissingError
from airgap.flow.environment.items import read_variables
from airgap.format.kinds import BENTO
from airgap.store.bento_runtime import read_runtime
from airgap.store.environments import (
    DESCRIPTION,
    Environment,
    EnvironmentDescription,
    find_environment,
    is_being_changed,
)
from airgap.store.kinds import find_kind
from airgap.store.python_builds import is_in_build

__all__ = ["OFFLINE", "Start", "hold_while_running", "make_start", "make_start_in"]

OFFLINE: Final[Mapping[str, str]] = {
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "PIP_NO_INDEX": "1",
    "TRANSFORMERS_OFFLINE": "1",
}
"""What keeps libraries from looking for a network: each would wait for an answer."""
_REMOVED: Final = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONUSERBASE")
"""What would let code from outside the environment into it."""
_SERVE: Final = "serve"


@dataclass(frozen=True, slots=True)
class Start:
    """A command in an environment: ``variables`` are set, and ``removed`` are unset, before it."""

    folder: Path
    command: tuple[str, ...]
    variables: Mapping[str, str]
    removed: tuple[str, ...] = _REMOVED

    def make_environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of the command, which inherits the others."""
        path = environment.get("PATH", os.defpath)
        kept = {name: value for name, value in environment.items() if name not in self.removed}
        return {**kept, **self.variables, "PATH": f"{self.folder / 'bin'}{os.pathsep}{path}"}


def make_start(text: str, words: Sequence[str], environment: Mapping[str, str]) -> Start:
    """Prepare `bentoml WORDS` in the environment that a person names; without words, `serve`.

    `serve` gets the Bento's tag as its first argument, unless one of the words is that.

    Raises:
        UsageError: as ``find_environment``.
        MissingError: there is no such environment, it is incomplete, or it has no bentoml; or the
            Bento or its files are not here any more.
        ConfigurationError: a variable is not set that the Bento cannot start without.
        CorruptError, StorageError: the description of an item is damaged or cannot be read.
    """
    found = find_environment(text)
    return make_start_in(found.folder, _require_complete(found), words, environment)


def make_start_in(
    folder: Path,
    description: EnvironmentDescription,
    words: Sequence[str],
    environment: Mapping[str, str],
) -> Start:
    """Prepare the same in a complete environment, for the Bento and the files of a description.

    Raises:
        MissingError, ConfigurationError, CorruptError, StorageError: as ``make_start``; or no
            program can be started from the folder, because it is mounted ``noexec``.
    """
    hint = "Make it in a folder on another file system: airgap env create"
    refuse_noexec(folder, f"{hint} {description.bento} DIR")
    program = folder / "bin" / "bentoml"
    if not os.access(program, os.X_OK):
        raise MissingError(
            f"The environment in {folder} has no program bentoml.",
            "The Bento's requirements must name bentoml: build and export it again.",
        )
    variables = {
        **OFFLINE,
        **read_variables(description.files),
        **({"PYTHONDONTWRITEBYTECODE": "1"} if is_in_build(Path(description.python)) else {}),
        "VIRTUAL_ENV": str(folder),
    }
    arguments = _complete_arguments(list(words) or [_SERVE], description.bento)
    if arguments[0] == _SERVE:
        _demand_variables(description.bento, {**environment, **variables})
    return Start(folder, (str(program), *arguments), variables)


def _require_complete(environment: Environment) -> EnvironmentDescription:
    if environment.description is not None:
        return environment.description
    if is_being_changed(environment.folder):
        raise MissingError(
            f"A process makes or removes the environment in {environment.folder} right now.",
            "Wait until it has ended.",
        )
    raise MissingError(
        f"The environment in {environment.folder} is incomplete: its creation was interrupted.",
        "Make it again with `airgap env create`.",
    )


def _complete_arguments(words: list[str], bento: str) -> list[str]:
    name = bento.partition(":")[0]
    if words[0] != _SERVE or not {bento, name, f"{name}:latest"}.isdisjoint(words):
        return words
    return [_SERVE, bento, *words[1:]]


def _demand_variables(bento: str, environment: Mapping[str, str]) -> None:
    """Refuse to start a Bento that would only say that a variable is missing."""
    kind = find_kind(BENTO.name)
    folder = kind.install_path(*kind.find(bento)).final
    missing = [name for name in read_runtime(folder).variables if name not in environment]
    if missing:
        raise ConfigurationError(
            f"The Bento {bento} needs environment variables that are not set:"
            f" {', '.join(missing)}.",
            f"Set them: {' '.join(f'{name}=…' for name in missing)} airgap env run {bento}",
        )


def hold_while_running(folder: Path) -> int:
    """Hold an environment against removal, in this process and the program that replaces it.

    Returns a descriptor, which that program inherits.

    Raises:
        MissingError: it has just been removed.
        StorageError: it cannot be opened.
    """
    path = folder / DESCRIPTION
    with translate_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        locks.share(descriptor)
        if not path.exists() or not os.path.samestat(os.fstat(descriptor), path.lstat()):
            os.close(descriptor)
            raise MissingError(
                f"The environment in {folder} has just been removed.",
                "Make it again with `airgap env create`.",
            )
        os.set_inheritable(descriptor, True)  # noqa: FBT003  (the library's signature)
    return descriptor
