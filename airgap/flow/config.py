"""The config file: defaults for options, below flags and ``AIRGAP_*`` variables."""

import json
import os
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from airgap.disk.expansion import expand
from airgap.disk.named_files import read_named_text
from airgap.disk.part_file import write_atomically
from airgap.errors import ConfigurationError
from airgap.printable import quote
from airgap.state.state_folder import (
    CONFIG_FILE,
    STATE_KEY,
    find_state_folder,
    read_config,
    system_folder,
)

__all__ = [
    "WHO_KEY",
    "config_path",
    "home",
    "load",
    "load_who",
    "quote_value",
    "read_text",
    "write_text",
]

WHO_KEY: Final = "record_who"
WHO: Final = ("user", "host", "key")
_SYSTEM_MODE: Final = 0o644


def home() -> Path:
    """Return the state folder. Raises as ``find_state_folder``."""
    return find_state_folder().path


def config_path() -> Path:
    """Return the config file: ``AIRGAP_CONFIG``, else the one of the state folder."""
    text = os.environ.get("AIRGAP_CONFIG")
    return Path(expand(text, "AIRGAP_CONFIG")) if text else find_state_folder().config


def load(*, may_be_new: bool = False) -> dict[str, Any]:
    """Read the config file; empty if it does not exist and no variable names it.

    The line of the system's that names the state folder is left out, and so is what ledgers
    record of people: they are not options.
    ``may_be_new`` is for those who write the file: then it need not exist either if
    ``AIRGAP_CONFIG`` names it.

    Raises:
        ConfigurationError: it cannot be read, is not TOML, or is nested too deeply; or
            ``AIRGAP_CONFIG`` names a file that does not exist.
    """
    path = config_path()
    try:
        document = read_config(path)
    except FileNotFoundError as error:
        if may_be_new or not os.environ.get("AIRGAP_CONFIG"):
            return {}
        raise ConfigurationError(
            f"AIRGAP_CONFIG names {path}, which does not exist.",
            "Correct the variable, or unset it.",
        ) from error
    if path == system_folder() / CONFIG_FILE:
        document.pop(STATE_KEY, None)
    document.pop(WHO_KEY, None)
    return document


def load_who() -> frozenset[str]:
    """Return which names the entries of ledgers have: ``record_who`` of the config file, else all.

    Raises:
        ConfigurationError: it names something else; or the file cannot be used, as in ``load``.
    """
    try:
        names = read_config(config_path()).get(WHO_KEY, list(WHO))
    except FileNotFoundError:
        return frozenset(WHO)
    if not isinstance(names, list) or not all(name in WHO for name in names):
        raise ConfigurationError(
            f"{config_path()} sets {WHO_KEY} to {names!r}.",
            'Write a list of what ledgers record: "user", "host", "key"; or an empty list.',
        )
    return frozenset(names)


def read_text() -> str:
    """Return the text of the config file, to be changed; empty if it does not exist.

    Raises:
        ConfigurationError: it cannot be read.
    """
    path = config_path()
    try:
        return read_named_text(path)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read.", "Fix it, or move it away.") from error


def write_text(text: str) -> None:
    """Replace the text of the config file. Its owner, group and permissions stay, as does a link.

    Raises:
        ConfigurationError: the text is not TOML, because what was there and what was added do not
            go together; nothing is written.
        StorageError: the disk refused.
    """
    path = config_path()
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} was not changed, because it would not be valid TOML any more: {error}.",
            "Change it by hand.",
        ) from error
    target = Path(os.path.realpath(path))  # people who keep such files in git have a link
    status = None
    with suppress(FileNotFoundError):
        status = target.stat()
    mode = _SYSTEM_MODE if path == system_folder() / CONFIG_FILE else None
    write_atomically(target.parent, target.name, [text.encode()], like=status, mode=mode)


def quote_value(value: str | list[str]) -> str:
    """Write a value as TOML has it: in JSON's form, with one more character escaped.

    JSON's own escapes are not used for characters beyond ASCII: TOML refuses surrogates.

    Raises:
        ConfigurationError: it is not UTF-8, and cannot stand in a config file.
    """
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"{quote(text)} is not UTF-8: a config file cannot contain it.",
            "Use a name or path in UTF-8.",
        ) from error
    return text
