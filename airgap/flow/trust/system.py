"""A state folder for all users of this system: who pins its root, and which group imports."""

import grp
import os
import tomllib
from pathlib import Path
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

__all__ = ["make_system_folder"]

_STATE: Final = Path("/var/lib/airgap")
_FOLDER_MODE: Final = 0o755
_CONFIG_MODE: Final = 0o644
_STATE_MODE: Final = 0o3770
"""The group may add files, and nobody may remove or replace another's: not the pinned root."""


def make_system_folder(group: str) -> Path:
    """Make the state folder of this system, shared by a group, and name it in the config file.

    Nothing changes if it is there already: a run that was killed is finished by the next one.

    Raises:
        UsageError: there is no such group.
        ConflictError: this user has a state folder that comes before the system's, or the system
            has another one.
        ConfigurationError: the system's config file cannot be used.
        StorageError: this user may not write there.
    """
    number, state = _find_group(group), _STATE
    _require_unhidden()
    config = system_folder() / CONFIG_FILE
    with translate_errors(config):
        text = _read(config)
    _name_state(config, text, state)
    with translate_errors(state):
        durable.make_folder(state.parent)
        if not state.is_dir():
            state.mkdir(0o700)
        os.chown(state, -1, number)
        state.chmod(_STATE_MODE)
    return state


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


def _name_state(config: Path, text: str, state: Path) -> None:
    """Let the system's config file name the state folder, above all its sections."""
    try:
        named = tomllib.loads(text).get(STATE_KEY)
    except ValueError as error:
        raise ConfigurationError(
            f"The config file {config} cannot be used: {error}.", "Fix it, or move it away."
        ) from error
    if named == str(state):
        return
    if named is not None:
        raise ConflictError(
            f"{config} names another state folder, {named}.",
            f"Use that one, or change the line {STATE_KEY} = … first.",
        )
    with translate_errors(config):
        if not config.parent.is_dir():
            durable.make_folder(config.parent)
            config.parent.chmod(_FOLDER_MODE)  # every user reads it, whatever root's umask is
        line = f"{STATE_KEY} = {config_file.quote_value(str(state))}\n"
        durable.replace_file(config, (line + text).encode(), mode=_CONFIG_MODE)
