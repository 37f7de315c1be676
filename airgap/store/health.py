"""What may be wrong with the stores. Everything here only reads."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk import locks
from airgap.errors import AirgapError
from airgap.store import bentoml_home
from airgap.store.bentoml_home import FOLDERS, StoreKind
from airgap.store.install_paths import folder_of_model, private_folder
from airgap.store.staging import bytes_used
from airgap.store.volume_progress import JOURNAL

__all__ = ["Disk", "ItemFault", "Leftover", "busy", "disk_of", "item_troubles", "leftovers"]

_LATEST: Final = "latest"


@dataclass(frozen=True, slots=True)
class Disk:
    """Where a store lies. ``free`` is in bytes; ``elsewhere`` are its parts on other disks."""

    store: Path
    exists: bool
    writable: bool
    free: int
    elsewhere: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Leftover:
    """What an import has left in staging, in bytes on the disk.

    ``waits`` tells that it was not cut off: volumes are still to come.
    """

    bundle: str
    folder: Path
    size: int
    waits: bool


@dataclass(frozen=True, slots=True)
class ItemFault:
    """Something in the store that BentoML cannot live with, or (``harmless``) can."""

    path: Path
    message: str
    hint: str
    harmless: bool = False


def disk_of(store: Path, parts: tuple[str, ...] = ()) -> Disk:
    """Look at a store's file system; where the store is not there yet, at the one it will be on."""
    there = next(path for path in (store, *store.parents) if path.exists())
    device = there.stat().st_dev
    return Disk(
        store,
        store.exists(),
        there.is_dir() and os.access(there, os.W_OK | os.X_OK),
        shutil.disk_usage(there).free,
        tuple(
            store / part
            for part in parts
            if (store / part).exists() and (store / part).stat().st_dev != device
        ),
    )


def leftovers(store: Path) -> Iterator[Leftover]:
    """Yield what lies in a store's staging."""
    staging = private_folder(store) / "staging"
    for name in _names(staging):
        waits = (staging / name / JOURNAL).exists()
        yield Leftover(name, staging / name, bytes_used(staging / name), waits)


def busy(store: Path) -> bool:
    """Tell whether an import is at work in a store right now."""
    return locks.is_locked(private_folder(store) / "lock")


def item_troubles(kind: StoreKind) -> Iterator[ItemFault]:
    """Yield what is wrong with the Bentos or the models in BentoML's store."""
    top = bentoml_home.home() / FOLDERS[kind]
    for name in _names(top):
        if not (top / name).is_dir():
            continue
        yield from _latest_trouble(kind, top / name)
        for version in _names(top / name):
            if (top / name / version).is_dir():
                yield from _version_troubles(kind, top / name / version)


def _latest_trouble(kind: StoreKind, folder: Path) -> Iterator[ItemFault]:
    try:
        version = (folder / _LATEST).read_text().strip()
    except (OSError, ValueError):
        return
    if not (folder / version).is_dir():
        yield ItemFault(
            folder / _LATEST,
            f"The {kind} {folder.name}'s `latest` names {version!r}, which is not there.",
            f"BentoML chooses the newest instead; `rm {folder / _LATEST}` ends the doubt.",
            harmless=True,
        )


def _version_troubles(kind: StoreKind, folder: Path) -> Iterator[ItemFault]:
    """Look at one item: its yaml, its tag, leftovers of `bentoml export`, the models it needs."""
    tag = f"{folder.parent.name}:{folder.name}"
    try:
        said = bentoml_home.describe(kind, folder)
    except AirgapError as error:
        breaks = "bentoml list" if kind == "bento" else "bentoml models list"
        hint = error.hint
        if not bentoml_home.is_there(kind, folder):
            hint = f"Remove it (rm -r {folder}) and build or import {tag} again."
        yield ItemFault(folder, f"{error.message[:-1]}, which breaks `{breaks}`.", hint)
        return
    if f"{said.name}:{said.version}" != tag:
        yield ItemFault(
            folder,
            f"{folder} says that it is {said.name}:{said.version}.",
            "Somebody renamed it: give the folder its old name back.",
        )
    if kind == "bento" and (folder / "models").exists():
        yield ItemFault(
            folder / "models",
            f"The Bento {tag} holds models/, left by a `bentoml export` that was cut off; BentoML"
            " takes the models in it for whole.",
            f"Remove it (rm -r {folder / 'models'}): the models are in their own store.",
        )
    for model in said.models:
        if not folder_of_model(model).is_dir():
            yield ItemFault(
                folder,
                f"The Bento {tag} needs the {model.kind} model {model.name}:{model.version}, which"
                " is not on this machine.",
                "Import a bundle that holds it; without it the Bento cannot be served offline.",
                harmless=True,
            )


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return []
