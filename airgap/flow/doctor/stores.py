"""Checks BentoML's stores and the Hugging Face cache: disks, leftovers, items."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from airgap.errors import StorageError
from airgap.flow.doctor.finding import Finding, note, ok, problem
from airgap.store import bentoml_listing, health, kinds, remove_item
from airgap.store.health import Disk

__all__ = ["check_items", "check_stores"]

_LOW_SPACE_BYTES: Final = 1_000_000_000


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
        yield note("staging", f"An import into {store} is running.", "Wait until it has finished.")
        return
    for kind, name, version in remove_item.list_leftovers(store):
        yield note(
            "staging",
            f"The removal of the {kind.rules.name} {name}:{version} was interrupted, and has left"
            f" files in {store}.",
            "Finish it: airgap prune",
        )
    for leftover in health.list_leftovers(store):
        waits = "waits for more volumes and keeps"
        yield note(
            "staging",
            f"An import of bundle {leftover.bundle}"
            f" {waits if leftover.waits else 'was interrupted and has left'}"
            f" {leftover.size / 1e6:,.1f} MB in {leftover.folder}.",
            f"Run the same import again to finish it, or remove it: rm -r {leftover.folder}",
        )
