"""The config file: defaults for options, below flags and ``AIRGAP_*`` variables."""

import os
import tomllib
from pathlib import Path
from typing import Any

from airgap.disk.expansion import expand
from airgap.disk.named_files import read_named_text
from airgap.errors import ConfigurationError
from airgap.state.state_folder import CONFIG_FILE, STATE_KEY, find_state_folder, system_folder

__all__ = ["config_path", "home", "load"]


def home() -> Path:
    """Return the state folder. Raises as ``find_state_folder``."""
    return find_state_folder().path


def config_path() -> Path:
    """Return the config file: ``AIRGAP_CONFIG``, else the one of the state folder."""
    text = os.environ.get("AIRGAP_CONFIG")
    return Path(expand(text, "AIRGAP_CONFIG")) if text else find_state_folder().config


def load() -> dict[str, Any]:
    """Read the config file; empty if it does not exist.

    The line of the system's that names the state folder is left out: it is not an option.

    Raises:
        ConfigurationError: it cannot be read, is not TOML, or is nested too deeply.
    """
    path = config_path()
    try:
        document = tomllib.loads(read_named_text(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"The config file {path} cannot be used: {_explain(error)}.", "Fix it, or move it away."
        ) from error
    if path == system_folder() / CONFIG_FILE:
        document.pop(STATE_KEY, None)
    return document


def _explain(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return (isinstance(error, OSError) and error.strerror) or str(error)
