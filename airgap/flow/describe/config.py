"""Where this machine's state, settings, stores and remotes are, as plain data."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airgap.disk.named_files import read_named_text
from airgap.errors import AirgapError
from airgap.flow import config
from airgap.flow.location import named_remotes
from airgap.state.state_folder import find_state_folder, own_folder, system_folder
from airgap.store import bentoml_home, hugging_face

__all__ = ["UsedPath", "describe_paths", "describe_remotes", "read_document"]


@dataclass(frozen=True, slots=True)
class UsedPath:
    """A folder or file that airgap uses, and why it is this one."""

    name: str
    path: str
    why: str


def read_document() -> tuple[dict[str, Any], str, str, AirgapError | None]:
    """Read the config file: its content, its text, its path, and what is wrong with it."""
    try:
        path = config.config_path()
    except AirgapError as error:
        return {}, "", "", error
    try:
        return config.load(), _read(str(path)), str(path), None
    except AirgapError as error:
        return {}, "", str(path), error


def _read(path: str) -> str:
    try:
        return read_named_text(Path(path))
    except (OSError, ValueError):
        return ""


def describe_paths() -> list[UsedPath]:
    """Return the state folder, the config file, the stores, and what lies in the state folder."""
    paths = [*_describe_state(), _describe_config()]
    for name, find, variables in (
        ("BentoML home", bentoml_home.home, ("BENTOML_HOME",)),
        (
            "Hugging Face cache",
            hugging_face.cache,
            ("BENTOML_HF_CACHE_DIR", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"),
        ),
    ):
        named = next((variable for variable in variables if variable in os.environ), None)
        why = f"{named} names it" if named else "the default"
        try:
            paths.append(UsedPath(name, str(find()), why))
        except AirgapError as error:
            paths.append(UsedPath(name, "", error.message))
    return paths


def describe_remotes(
    document: Mapping[str, Any],
) -> tuple[list[dict[str, Any]], AirgapError | None]:
    """Return the named remotes with their options, and what is wrong with them."""
    if named_remotes.TABLE not in document:
        return [], None
    try:
        remotes = named_remotes.list_remotes()
    except AirgapError as error:
        return [], error
    return [
        {"name": remote.name, "url": remote.url, "settings": dict(remote.settings)}
        for remote in remotes
    ], None


def _describe_state() -> list[UsedPath]:
    """Return the state folder, and where the pinned root and the ledgers lie in it."""
    try:
        folder = find_state_folder()
    except AirgapError as error:
        return [UsedPath("state folder", "", error.message)]
    own, system = own_folder(), system_folder()
    why = {
        "variable": "AIRGAP_HOME names it",
        "user": f"this user's; {system} is looked at if this one holds only caches",
        "system": f"this system's, by {system}; {own} holds nothing but caches, or does not exist",
    }[folder.origin]
    paths = [UsedPath("state folder", str(folder.path), why)]
    for name, path in (("pinned root", folder.path / "trust"), ("ledgers", folder.path / "sites")):
        reason = "in the state folder" if path.exists() else "does not exist yet"
        paths.append(UsedPath(name, str(path), reason))
    return paths


def _describe_config() -> UsedPath:
    try:
        path = config.config_path()
    except AirgapError as error:
        return UsedPath("config file", "", error.message)
    why = "AIRGAP_CONFIG names it" if os.environ.get("AIRGAP_CONFIG") else "of the state folder"
    return UsedPath("config file", str(path), why if path.exists() else f"{why}; it does not exist")
