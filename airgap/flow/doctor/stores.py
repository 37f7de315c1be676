"""Checks BentoML's stores and the Hugging Face cache: disks, leftovers, items."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from airgap.errors import StorageError
from airgap.flow.doctor.finding import Finding, note, ok, problem
from airgap.store import bentoml_listing, health, kinds, remove_item
from airgap.store.health import Disk, Leftover
from airgap.store.replaced import find_only_copies

__all__ = ["check_items", "check_stores"]

_LOW_SPACE_BYTES: Final = 1_000_000_000

_LEFTOVERS: Final = {
    "import": (
        "An import of bundle {} was interrupted and has left",
        "Run the same import again to finish it, or remove it",
    ),
    "volumes": (
        "An import of bundle {} waits for more volumes and keeps",
        "Run the same import again to finish it, or remove it",
    ),
    "unsigned": (
        "An import of an archive without a signature was interrupted and has left",
        "The next such import removes it. To do it now",
    ),
    "packages": (
        "An export that collects packages did not finish and has left",
        "Run the same export again to use it, or remove it",
    ),
    "unknown": (
        "Something that airgap did not make takes",
        "Look at it. If nothing needs it, remove it",
    ),
}
"""What work in staging was, and what to do."""


def check_stores() -> Iterator[Finding]:
    """Check where the stores are, whether they are writable, their free space and leftovers."""
    titles: dict[Path, str] = {}
    folders: dict[Path, list[str]] = {}
    for kind in kinds.list_kinds():
        titles.setdefault(kind.store(), kind.store_title)
        folders.setdefault(kind.store(), []).extend(filter(None, [kind.folder]))
    for store, title in titles.items():
        yield from _check_disk(title, health.inspect_disk(store, tuple(folders[store])))
        yield from _report_leftovers(store)


def check_items() -> Iterator[Finding]:
    """Check every Bento and model in BentoML's store."""
    sound = True
    for kind in kinds.list_kinds():
        for fault in kind.find_faults(kinds.is_installed):
            sound = sound and fault.harmless
            report = note if fault.harmless else problem
            yield report("items", fault.message, fault.hint)
    for conflict in bentoml_listing.find_store_conflicts():
        sound = False
        yield problem("items", conflict.message, "Delete one of them with BentoML.")
    if sound:
        counts = [
            f"{kind.folder}: {sum(1 for _ in kind.list_tags())}"
            for kind in kinds.list_kinds()
            if kind.folder
        ]
        yield ok("items", f"Nothing in BentoML's store is broken ({', '.join(counts)}).")


def _check_disk(title: str, disk: Disk) -> Iterator[Finding]:
    free = "free space unknown" if disk.free is None else f"{disk.free / 1e9:,.1f} GB free"
    if not disk.writable:
        yield problem(
            "stores",
            f"This user cannot write to the {title} {disk.store}.",
            "Check who owns it, or set BENTOML_HOME and BENTOML_HF_CACHE_DIR.",
        )
    elif disk.free is not None and disk.free < _LOW_SPACE_BYTES:
        yield note(
            "stores",
            f"The {title} {disk.store} has only {free}.",
            "An import checks that new items fit before it writes anything.",
        )
    else:
        absent = "" if disk.exists else ", which does not exist yet"
        yield ok("stores", f"The {title} is {disk.store}{absent}, {free}.")
    for part in disk.detached:
        yield problem(
            "stores",
            f"{part} is on another file system than {disk.store}, from which items are renamed"
            " into it.",
            f"Put the whole store on one file system: move {disk.store} there, and make it a link.",
        )


def _report_leftovers(store: Path) -> Iterator[Finding]:
    try:
        health.inspect_staging(store)
    except StorageError as error:
        yield problem("staging", error.message, error.hint)
        return
    if health.is_importing(store):
        message = f"An import into {store} is running, or an export that adds packages to it."
        yield note("staging", message, "Wait until it has finished.")
        return
    for kind, name, version in remove_item.list_leftovers(store):
        yield note(
            "staging",
            f"The removal of the {kind.rules.name} {name}:{version} was interrupted, and has left"
            f" files in {store}.",
            "Finish it: airgap prune",
        )
    only_copies = [*find_only_copies(store)]
    for copy in only_copies:
        item = f"{copy.item.kind} {copy.item.name}:{copy.item.version}"
        yield problem(
            "staging",
            f"An import was killed while it replaced the {item}: its only copy is {copy.old}.",
            "The next import puts it back. To do it now: " + _join("mv", copy.old, copy.final),
        )
    for leftover in health.list_leftovers(store):
        if not any(copy.old.is_relative_to(leftover.paths[0]) for copy in only_copies):
            yield _describe_leftover(leftover)


def _describe_leftover(leftover: Leftover) -> Finding:
    """Say what lies in staging, and whether it may be removed."""
    folder, size = leftover.paths[0], f"{leftover.size / 1e6:,.1f} MB"
    if leftover.is_running:
        message = f"An export collects packages in {folder}."
        return note("staging", message, "Wait until it has finished.")
    cause, advice = _LEFTOVERS[leftover.work]
    return note(
        "staging",
        f"{cause.format(leftover.name)} {size} in {folder}.",
        f"{advice}: {_join('rm', '-r', *leftover.paths)}",
    )


def _join(*words: str | Path) -> str:
    """Write a command for a shell."""
    return shlex.join(map(str, words))
