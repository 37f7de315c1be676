"""Environments: folders with the Python packages of one Bento, made from a wheelhouse.

An environment is a virtual environment of Python. It is complete once it has its description,
which is written last. Until then, and while it is removed, a file marks it as incomplete; the
process that works on the environment holds that file's lock.
"""

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from airgap.disk import locks
from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_if_exists
from airgap.errors import ConflictError, MissingError, UsageError
from airgap.format import limits, names
from airgap.store.bentoml_home import home
from airgap.store.modes import StoreModes, modes_of

__all__ = [
    "DESCRIPTION",
    "FOLDER",
    "MARKER",
    "MARKER_TEXT",
    "Environment",
    "EnvironmentDescription",
    "choose_modes",
    "default_folder",
    "encode",
    "find_environment",
    "is_being_changed",
    "list_environments",
    "read_environment",
    "refuse_foreign",
]

FOLDER: Final = "environments"
"""The folder in BentoML's home that environments are made in, as ``<name>/<version>``."""
DESCRIPTION: Final = "airgap-environment.json"
MARKER: Final = ".airgap-incomplete"
MARKER_TEXT: Final = b"airgap is making or removing the environment in this folder.\n"
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class EnvironmentDescription:
    """What a complete environment says of itself. Items are tags; ``created_at`` is since 1970.

    ``python`` is the interpreter that it was made with. ``bundle`` is the id of the bundle that
    brought the wheelhouse; empty if this machine does not remember it.
    """

    bento: str
    wheelhouse: str
    packages: int
    files: tuple[str, ...]
    python: str
    python_version: str
    bundle: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Environment:
    """A folder that airgap made; ``description`` is None if it is incomplete."""

    folder: Path
    description: EnvironmentDescription | None

    @property
    def python(self) -> Path:
        """The interpreter of the environment."""
        return self.folder / "bin" / "python"


def default_folder(name: str, version: str) -> Path:
    """Return where the environment of a Bento is, unless a person names another folder."""
    return home() / FOLDER / name / version


def choose_modes(folder: Path) -> StoreModes:
    """Return the permission bits of what is in an environment: a service's user reads it."""
    return modes_of(home()) if folder.is_relative_to(home()) else StoreModes()


def encode(description: EnvironmentDescription) -> bytes:
    """Write a description."""
    document = {"format": _FORMAT, **asdict(description)}
    return json.dumps(document, sort_keys=True, indent=1).encode() + b"\n"


def read_environment(folder: Path) -> Environment | None:
    """Read the environment in a folder; None if airgap made none there.

    Raises:
        StorageError: the folder cannot be read.
    """
    with translate_errors(folder):
        if folder.is_symlink() or not folder.is_dir():
            return None
        raw = read_if_exists(folder / DESCRIPTION, limits.DESCRIPTION_BYTES)
        description = None if raw is None else _decode(raw)
        if description is not None:
            return Environment(folder, description)
        marker = read_if_exists(folder / MARKER, len(MARKER_TEXT))
    return Environment(folder, None) if marker == MARKER_TEXT else None


def _decode(raw: bytes) -> EnvironmentDescription | None:
    """Parse a description; None if it is not one that this version of airgap wrote."""
    try:
        document = json.loads(raw)
        if document.pop("format") != _FORMAT:
            return None
        description = EnvironmentDescription(**{**document, "files": tuple(document["files"])})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return description if _has_types(description) and encode(description) == raw else None


def _has_types(description: EnvironmentDescription) -> bool:
    """Tell whether each field holds what its type says, and the time is one that can be printed."""
    is_numbered = all(
        type(number) is int and 0 <= number <= limits.TIME
        for number in (description.packages, description.created_at)
    )
    return is_numbered and all(
        isinstance(text, str)
        for text in (
            *(description.bento, description.wheelhouse, description.bundle),
            *(description.python, description.python_version),
            *description.files,
        )
    )


def refuse_foreign(folder: Path) -> None:
    """Refuse a folder that airgap must neither fill nor empty.

    It must not exist, or be empty, or hold an environment; it must be this user's, and others must
    not be able to write into it.

    Raises:
        ConflictError: it is not so.
        StorageError: it cannot be read.
    """
    with translate_errors(folder):
        try:
            status = folder.lstat()
        except FileNotFoundError:
            return
        problem = _find_problem(status)
        names_there = set() if problem else {path.name for path in folder.iterdir()}
        if names_there - {MARKER} and not read_environment(folder):
            problem = "is not empty, and not an environment that airgap made"
    if problem:
        raise ConflictError(f"{folder} {problem}.", "Name a folder that does not exist yet.")


def _find_problem(status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return "is a link"
    if not stat.S_ISDIR(status.st_mode):
        return "is not a folder"
    if status.st_uid != os.geteuid():
        return f"belongs to another user (uid {status.st_uid})"
    return "can be written by every user" if status.st_mode & stat.S_IWOTH else ""


def is_being_changed(folder: Path) -> bool:
    """Tell whether a process makes or removes the environment right now."""
    return locks.is_locked(folder / MARKER)


def list_environments() -> Iterator[Environment]:
    """Yield the environments in BentoML's home, sorted by the name and version of their Bento."""
    for folder in sorted((home() / FOLDER).glob("*/*")):
        if names.is_tag_part(folder.parent.name) and names.is_tag_part(folder.name):
            environment = read_environment(folder)
            if environment is not None:
                yield environment


def find_environment(text: str) -> Environment:
    """Return the environment that a person names: by its folder, or by the tag of its Bento.

    What has a slash, or is ``.`` or ``..``, is a folder. A tag without a version names the only
    environment of that Bento.

    Raises:
        UsageError: it is neither, or the Bento has several environments.
        MissingError: there is none.
        StorageError: a folder cannot be read.
    """
    if "/" in text or text in (".", ".."):
        folder = Path(text).resolve()
        environment = read_environment(folder)
        if environment is None:
            raise MissingError(
                f"airgap has not made an environment in {folder}.",
                f"`airgap env list` shows those that are there; `airgap env create TAG {folder}`"
                " makes it.",
            )
        return environment
    return _find_by_tag(text)


def _find_by_tag(tag: str) -> Environment:
    name, version = names.parse_tag(tag)
    there = [found for found in list_environments() if found.folder.parent.name == name]
    fitting = [found for found in there if version in ("", found.folder.name)]
    others = [f"there is {name}:{found.folder.name}" for found in there]
    if not fitting:
        raise MissingError(
            f"There is no environment for {tag} in {home() / FOLDER}.",
            f"`airgap env list` shows those that are there; `airgap env create {tag}` makes it.",
            others,
        )
    if len(fitting) > 1:
        raise UsageError(
            f"There are {len(fitting)} environments for {name}.",
            f"Name one: {name}:{fitting[-1].folder.name}.",
            others,
        )
    return fitting[0]
