"""BentoML's stores and the Hugging Face cache: where they are, what is left in them, what broke."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from airgap.flow.doctor.finding import Finding, note, ok, problem
from airgap.store import health, kinds
from airgap.store.health import Disk

__all__ = ["check_items", "check_stores"]

_LITTLE: Final = 1_000_000_000


def check_stores() -> Iterator[Finding]:
    """Say where the stores are, whether they can be written, how much is free, what was left."""
    titles: dict[Path, str] = {}
    folders: dict[Path, list[str]] = {}
    for kind in kinds.all_kinds():
        titles.setdefault(kind.store(), kind.store_title)
        folders.setdefault(kind.store(), []).extend(filter(None, [kind.folder]))
    for store, title in titles.items():
        yield from _check_disk(title, health.inspect_disk(store, tuple(folders[store])))
        yield from _report_leftovers(store)


def check_items() -> Iterator[Finding]:
    """Look at every Bento and model in BentoML's store."""
    sound = True
    for kind in kinds.all_kinds():
        for fault in kind.find_faults(kinds.is_installed):
            sound = sound and fault.harmless
            say = note if fault.harmless else problem
            yield say("items", fault.message, fault.hint)
    if sound:
        counts = [
            f"{kind.folder}: {sum(1 for _ in kind.list_tags())}"
            for kind in kinds.all_kinds()
            if kind.folder
        ]
        yield ok("items", f"Nothing in BentoML's store is broken ({', '.join(counts)}).")


def _check_disk(what: str, disk: Disk) -> Iterator[Finding]:
    free = f"{disk.free / 1e9:,.1f} GB free"
    if not disk.writable:
        yield problem(
            "stores",
            f"This user cannot write to the {what} {disk.store}.",
            "Check who owns it, or set BENTOML_HOME and BENTOML_HF_CACHE_DIR.",
        )
    elif disk.free < _LITTLE:
        yield note(
            "stores",
            f"The {what} {disk.store} has only {free}.",
            "An import needs the size of what is new, and says so before it writes anything.",
        )
    else:
        absent = "" if disk.exists else ", not there yet"
        yield ok("stores", f"The {what} is {disk.store}{absent}, {free}.")
    for part in disk.elsewhere:
        yield problem(
            "stores",
            f"{part} is on another disk than {disk.store}, so imports cannot be renamed into it.",
            "Put the whole store on one file system: move it, and set BENTOML_HOME.",
        )


def _report_leftovers(store: Path) -> Iterator[Finding]:
    if health.is_importing(store):
        yield note("staging", f"An import into {store} is at work right now.", "Let it finish.")
        return
    for left in health.list_leftovers(store):
        yield note(
            "staging",
            f"An import of bundle {left.bundle[:12]}…"
            f" {'waits for more volumes and keeps' if left.waits else 'was cut off and has left'}"
            f" {left.size / 1e6:,.1f} MB in {left.folder}.",
            f"Run the same import again to finish it, or remove it: rm -r {left.folder}",
        )
