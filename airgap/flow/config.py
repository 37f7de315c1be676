"""The config file: defaults for options, below flags and ``AIRGAP_*`` variables."""

import os
import tomllib
from pathlib import Path
from typing import Any

from airgap.disk.expansion import expand
from airgap.disk.named_files import read_named_text
from airgap.errors import ConfigurationError
from airgap.state import pinned_root

__all__ = ["config_path", "home", "load"]


def home() -> Path:
    """Return the folder of airgap's own state: ``AIRGAP_HOME``, else ``~/.airgap``."""
    return pinned_root.home()


def config_path() -> Path:
    """Return the config file: ``AIRGAP_CONFIG``, else ``config.toml`` in ``AIRGAP_HOME``."""
    text = os.environ.get("AIRGAP_CONFIG")
    return Path(expand(text, "AIRGAP_CONFIG")) if text else pinned_root.home() / "config.toml"


def load() -> dict[str, Any]:
    """Read the config file; empty if it does not exist.

    Raises:
        ConfigurationError: it cannot be read, is not TOML, or is nested too deeply.
    """
    path = config_path()
    try:
        return tomllib.loads(read_named_text(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"The config file {path} cannot be used: {_explain(error)}.", "Fix it, or move it away."
        ) from error


def _explain(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return (isinstance(error, OSError) and error.strerror) or str(error)
