"""A state folder for all users of this system: who pins its root, and which group imports."""

import errno
import grp
import os
import stat
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from airgap.disk import durable
from airgap.disk.named_files import read_named_text
from airgap.disk.os_errors import translate_errors
from airgap.errors import ConfigurationError, ConflictError, UsageError
from airgap.flow import config as config_file
from airgap.state.state_folder import (
    CONFIG_FILE,
    STATE_KEY,
    find_state_folder,
    is_set_up,
    system_folder,
)

__all__ = ["make_system_folder", "prepare_system_folder"]

_STATE: Final = Path("/var/lib/airgap")
_FOLDER_MODE: Final = 0o755
_CONFIG_MODE: Final = 0o644
_STATE_MODE: Final = 0o3770
"""The group may add files, and nobody may remove or replace another's: not the pinned root."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SHARED: Final = 0o2770
_FOLDERS: Final[Mapping[str, int]] = MappingProxyType(
    {"trust": 0o2750, "sites": _SHARED, "manifests": _SHARED, "uploads": _SHARED, "cache": _SHARED}
)
"""What the state folder has before the group may enter it: no member can make these first."""
_OWNED: Final = frozenset({"trust", "sites"})


def make_system_folder(group: str) -> Path:
    """Make the state folder of this system at once; see ``prepare_system_folder``."""
    return prepare_system_folder(group)()


def prepare_system_folder(group: str) -> Callable[[], Path]:
    """Check that the state folder of this system can be made; return what makes it.

    That makes it for a group, with the folders that no member may own, and names it in the config
    file. Nothing changes if it is there already: a run that was killed is finished by the next one.
    It raises ConflictError if another user owns the folder, and StorageError if this user may not
    write there.

    Raises:
        UsageError: there is no such group.
        ConflictError: this user has a state folder that comes before the system's, or the system
            has another one.
        ConfigurationError: the system's config file cannot be used.
        StorageError: the system's config file cannot be read.
    """
    number = _find_group(group)
    _require_unhidden()
    config = system_folder() / CONFIG_FILE
    with translate_errors(config):
        text = _read(config)
    is_named = _is_named(config, text, _STATE)
    return partial(_make, _STATE, number, None if is_named else text)


def _make(state: Path, group: int, config: str | None) -> Path:
    """Make the folder, and name it in the config file, which has the text ``config`` before."""
    with translate_errors(state):
        durable.make_folder(state.parent)
        with suppress(FileExistsError):
            state.mkdir(0o700)
        _fill(state, group)
    if config is not None:
        _name_state(system_folder() / CONFIG_FILE, config, state)
    return state


def _fill(state: Path, group: int) -> None:
    """Make the folders in the state folder, and open it to the group then."""
    descriptor = _open(state)
    try:
        _require_owner(state, descriptor)
        status = os.fstat(descriptor)
        if (status.st_gid, stat.S_IMODE(status.st_mode)) != (group, _STATE_MODE):
            os.fchmod(descriptor, 0o700)
        for name, mode in _FOLDERS.items():
            _make_folder(descriptor, state / name, group, mode)
        os.fsync(descriptor)
        os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, _STATE_MODE)
    finally:
        os.close(descriptor)


def _make_folder(above: int, path: Path, group: int, mode: int) -> None:
    """Make a folder in the open state folder; one that exists keeps its mode."""
    is_new = True
    try:
        os.mkdir(path.name, 0o700, dir_fd=above)
    except FileExistsError:
        is_new = False
    descriptor = _open(path, above)
    try:
        if is_new or path.name in _OWNED:
            _require_owner(path, descriptor)
        if is_new:
            os.fchown(descriptor, -1, group)
            os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _open(path: Path, above: int | None = None) -> int:
    """Open a folder, which must not be a link. Raises ConflictError."""
    try:
        return os.open(path if above is None else path.name, _FOLDER, dir_fd=above)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        raise ConflictError(
            f"{path} is a link, or is not a folder.",
            "Check who put it there, and remove it.",
        ) from error


def _require_owner(path: Path, descriptor: int) -> None:
    """Refuse a folder whose owner could replace the pinned root. Raises ConflictError."""
    owner = os.fstat(descriptor).st_uid
    if owner != os.geteuid():
        raise ConflictError(
            f"{path} belongs to another user (uid {owner}), who could choose whom this machine"
            " trusts.",
            "Check what is in it, and move it away.",
        )


def _find_group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise UsageError(
            f"There is no group {name} on this system.",
            f"Make it and add the users who import: groupadd {name}",
        ) from error


def _require_unhidden() -> None:
    """Refuse to begin a state folder that this user would not use: there would be two ledgers."""
    folder = find_state_folder()
    if folder.origin == "variable":
        raise ConflictError(
            f"AIRGAP_HOME names {folder.path}, which comes before the system's state folder.",
            "Unset AIRGAP_HOME, or leave --system out.",
        )
    if folder.origin == "user" and is_set_up(folder.path):
        raise ConflictError(
            f"This user's own state folder {folder.path} comes before the system's.",
            f"If this machine imports with it, move it to {_STATE}; else move it away.",
        )


def _read(config: Path) -> str:
    try:
        return read_named_text(config)
    except FileNotFoundError:
        return ""


def _is_named(config: Path, text: str, state: Path) -> bool:
    """Tell whether the system's config file names the state folder.

    Raises:
        ConflictError: it names another one.
        ConfigurationError: it cannot be used.
    """
    try:
        named = tomllib.loads(text).get(STATE_KEY)
    except ValueError as error:
        raise ConfigurationError(
            f"The config file {config} cannot be used: {error}.", "Fix it, or move it away."
        ) from error
    if named not in (None, str(state)):
        raise ConflictError(
            f"{config} names another state folder, {named}.",
            f"Use that one, or change the line {STATE_KEY} = … first.",
        )
    return named is not None


def _name_state(config: Path, text: str, state: Path) -> None:
    """Let the system's config file name the state folder, above all its sections."""
    with translate_errors(config):
        if not config.parent.is_dir():
            durable.make_folder(config.parent)
            config.parent.chmod(_FOLDER_MODE)  # every user reads it, whatever root's umask is
        line = f"{STATE_KEY} = {config_file.quote_value(str(state))}\n"
        durable.replace_file(config, (line + text).encode(), mode=_CONFIG_MODE)
