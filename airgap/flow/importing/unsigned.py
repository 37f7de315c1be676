"""Import of an archive without a signature: only where a person insists (format §10).

What is in it is proven by nothing. Its form is checked as strictly as that of a signed one, and
its inventory is made here, so that staging, conflicts and renames are those of every import.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from airgap.carrier.stock.archive import StockReader
from airgap.errors import NotTrustedError
from airgap.flow.admission import history
from airgap.flow.admission.policy import require_root
from airgap.flow.importing.install_bundle import (
    ImportRecord,
    InstallOptions,
    InstallResult,
    accept_staged,
    commit,
    finish_staging,
    foresee,
    lock_stores,
    make_plan,
    preview,
)
from airgap.flow.importing.plan import Plan
from airgap.flow.importing.received_items import ReceivedItems
from airgap.flow.location.location import StockArchive
from airgap.flow.progress import Progress
from airgap.flow.scanning.gate import examine_staged
from airgap.flow.scanning.policy import read_site_policy
from airgap.format import stock_archive as stock
from airgap.format.inventory import Item
from airgap.format.kinds import BENTO, MODEL
from airgap.state import pinned_root
from airgap.store import bentoml_home
from airgap.store.kinds import install_path
from airgap.store.replaced import put_back_replaced
from airgap.store.staging import StagedItem
from airgap.store.unsigned_staging import UnsignedStaging

__all__ = ["WARNING", "import_unsigned", "is_unsigned"]

WARNING: Final = (
    "NOT SIGNED: nothing proves who made {} or that it was not changed. Anyone who could change it"
    " can run programs here as soon as its Bento is served."
)


def is_unsigned(archive: StockArchive) -> bool:
    """Tell whether there is an archive without a manifest beside it."""
    path = archive.path
    return path.exists() and not StockReader(path, archive.form).is_signed


def import_unsigned(
    archive: StockArchive,
    choices: InstallOptions,
    progress: Progress,
    check: Callable[[Sequence[Item]], object] | None = None,
    check_staged: Callable[[Plan], Mapping[str, bytes]] = lambda _: {},
) -> InstallResult:
    """Install what an archive holds although it is not signed.

    ``check`` sees the items before anything is installed, and may raise; ``check_staged`` is as for
    ``install_bundle``.

    Raises:
        NotTrustedError: a manifest lies beside it: then that one counts.
        CorruptError: its members break a rule of format §2 or §10, or make up no Bento or model.
        ConflictError, StorageError: as ``install_bundle.import_bundle``.
        PolicyError: the import history of this machine's site has a fault.
    """
    if pinned_root.load_root() is not None:
        history.require_consistent(require_root().value.site)
    reader = StockReader(archive.path, archive.form)
    if reader.is_signed:
        raise NotTrustedError(
            f"{archive} has a manifest beside it, so it is not taken as unsigned.",
            "Import it without --insecure-allow-unsigned.",
        )
    progress.note(f"Reading {archive}.")
    with ExitStack() as held:
        stores = () if choices.dry_run else (bentoml_home.home(),)
        held.enter_context(lock_stores(stores, progress))
        incoming = None if choices.dry_run else UnsignedStaging(bentoml_home.home())
        if incoming is not None:
            held.callback(incoming.discard)
        received = ReceivedItems()
        for member, pieces in reader.members():
            received.take(member, pieces, incoming)
        items = received.items()
        if check:
            check(items)
        name = hashlib.sha256(b"".join(item.digest for item in items)).hexdigest()
        if incoming is not None:
            _discard(items, name)  # what a killed import of the same archive left
            held.callback(_discard, items, name)
            _move_to_staging(incoming, items, name)
        plan = make_plan(items, name, choices, progress)
        peaks = foresee(plan, None)
        if choices.dry_run:
            return replace(preview(plan), peaks=peaks)
        documents = _scan(plan, progress)
        finish_staging(plan.staged, progress, signed=False)
        record = _make_record(name, {**documents, **accept_staged(plan, check_staged)})
        return replace(commit(plan, record, progress), peaks=peaks)


def _scan(plan: Plan, progress: Progress) -> Mapping[str, bytes]:
    """Refuse what the site's scan policy refuses, and return digests for the ledger (§32.6)."""
    root = None if pinned_root.load_root() is None else require_root().value
    scan_policy = read_site_policy(root)
    if scan_policy is None or not plan.staged:
        return {}
    result = examine_staged(plan.staged, plan.bundle, scan_policy, progress)
    if result.refusal is not None:
        raise result.refusal
    return result.documents


def _make_record(name: str, documents: Mapping[str, bytes]) -> ImportRecord | None:
    """Say what the site's history records of this, if the machine belongs to one (§17.3)."""
    if pinned_root.load_root() is None:
        return None
    entry = history.make_root_entry(require_root().value, "unsigned")
    entry = replace(entry, bundle=bytes.fromhex(name), documents=documents)
    return ImportRecord(entry, lambda _: None)


def _move_to_staging(incoming: UnsignedStaging, items: list[Item], name: str) -> None:
    """Move each item to where it is staged: models first, then what is left as the Bento."""
    alone = len(items) == 1 and items[0].kind == MODEL.name
    for item in items:
        if item.kind == BENTO.name:
            incoming.remove(stock.MODELS)
        path = "" if alone else stock.path_prefix(item)
        incoming.hand_over(path, StagedItem(item, install_path(item), name))


def _discard(items: list[Item], name: str) -> None:
    """Remove what is staged, unless an item that was to be replaced has its only copy there."""
    try:
        for store in {install_path(item).store for item in items}:
            put_back_replaced(store)
    except OSError:  # the next import puts it back
        return
    for item in items:
        StagedItem(item, install_path(item), name).discard()
