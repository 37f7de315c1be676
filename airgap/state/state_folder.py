"""airgap's state folder: a user's own, or the one that all users of a system share.

It is the first of these: what ``AIRGAP_HOME`` names; ``~/.airgap``, if it holds more than caches;
the system's, if that is set up; and ``~/.airgap``, which is then made.
"""

import os
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from airgap.disk.expansion import expand
from airgap.disk.named_files import read_named_text
from airgap.errors import ConfigurationError

__all__ = [
    "CONFIG_FILE",
    "STATE_KEY",
    "StateFolder",
    "describe_search",
    "find_state_folder",
    "is_set_up",
    "own_folder",
    "read_config",
    "state_folder",
    "system_folder",
]

CONFIG_FILE: Final = "config.toml"
STATE_KEY: Final = "state"
"""The line of the system's config file that names the folder of its state."""
_SYSTEM: Final = Path("/etc/airgap")
_SETTINGS: Final = ("trust", "sites", "channels", "keys", CONFIG_FILE)
"""One of these makes a folder count. Everything else in it can be made again, such as caches."""


@dataclass(frozen=True, slots=True)
class StateFolder:
    """A state folder, why it is this one, and the config file that belongs to it."""

    path: Path
    origin: Literal["variable", "user", "system"]
    config: Path


def system_folder() -> Path:
    """Return the folder that sets up airgap for all users of this system."""
    return _SYSTEM


def state_folder() -> Path:
    """Return the path of the state folder. Raises as ``find_state_folder``."""
    return find_state_folder().path


def find_state_folder() -> StateFolder:
    """Return this user's state folder, which need not exist.

    Raises:
        ConfigurationError: ``AIRGAP_HOME`` refers to itself; or the system's config file cannot
            be used, or names a relative path; or nothing says where the folder is, because
            ``AIRGAP_HOME`` is not set, this user has no home folder, and the system has no state
            folder.
    """
    text = os.environ.get("AIRGAP_HOME")
    if text:
        path = Path(expand(text, "AIRGAP_HOME")).absolute()
        return StateFolder(path, "variable", path / CONFIG_FILE)
    own = own_folder()
    if own is not None and is_set_up(own):
        return StateFolder(own, "user", own / CONFIG_FILE)
    system = system_folder()
    if is_set_up(system):
        return StateFolder(_read_system_state(), "system", system / CONFIG_FILE)
    if own is None:
        raise ConfigurationError(
            f"This user (uid {os.geteuid()}) has no home folder, and {system} is not set up.",
            "Set AIRGAP_HOME to the folder of airgap's state.",
        )
    return StateFolder(own, "user", own / CONFIG_FILE)


def own_folder() -> Path | None:
    """Return ``~/.airgap``; None if this user has no home folder, as in some containers."""
    text = os.path.expanduser("~/.airgap")  # noqa: PTH111  (Path.expanduser raises instead)
    return Path(text) if text.startswith("/") else None


def describe_search() -> str:
    """Say for people in which folder something was looked for, and why in that one."""
    folder = find_state_folder()
    if folder.origin == "variable":
        return f"{folder.path}, which AIRGAP_HOME names"
    system = system_folder()
    if folder.origin == "system":
        return f"{folder.path}, which is this system's ({system}), nor in {own_folder()}"
    if not is_set_up(system):
        return f"{folder.path}, and {system} is not set up"
    return f"{folder.path}, which comes before this system's ({system})"


def _read_system_state() -> Path:
    """Return the folder that the system's config file names, else the one that it lies in.

    Raises:
        ConfigurationError: the file cannot be used. Another folder would have another history.
    """
    path = system_folder() / CONFIG_FILE
    text: Any = None
    with suppress(FileNotFoundError):
        text = read_config(path).get(STATE_KEY)
    if text is None:
        return system_folder()
    if not isinstance(text, str) or not text.startswith("/"):
        raise ConfigurationError(
            f"{path} sets {STATE_KEY} to {text!r}, which is not an absolute path.",
            f'Write {STATE_KEY} = "/var/lib/airgap", or remove the line.',
        )
    return Path(text)


def read_config(path: Path) -> dict[str, Any]:
    """Read a config file.

    Raises:
        FileNotFoundError: it does not exist.
        ConfigurationError: it cannot be read, is not TOML, or is nested too deeply.
    """
    try:
        return tomllib.loads(read_named_text(path))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        hint = "Fix it, or move it away."
        if isinstance(error, (PermissionError, NotADirectoryError)):
            hint = "Run this as its owner, or set AIRGAP_HOME to a folder in which you can write."
        raise ConfigurationError(
            f"The config file {path} cannot be used: {_explain(error)}.", hint
        ) from error


def _explain(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return (isinstance(error, OSError) and error.strerror) or str(error)


def is_set_up(folder: Path) -> bool:
    """Tell whether a folder holds more than what can be made again."""
    return any(os.path.lexists(folder / name) for name in _SETTINGS)
