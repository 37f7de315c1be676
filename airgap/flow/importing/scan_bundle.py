"""Scan: stages a bundle as an import does, judges its files, and removes them again."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from airgap.disk.os_errors import translate_errors
from airgap.disk.temporary import find_temporary_folder
from airgap.flow import pipeline
from airgap.flow.admission.policy import require_root
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.importing.stage_packs import stage_packs
from airgap.flow.importing.stock_archive import stage_members
from airgap.flow.importing.use_case import ImportRequest, open_request
from airgap.flow.progress import Progress
from airgap.flow.scanning.policy import choose_policy
from airgap.flow.scanning.scan_staged import Scan, scan_staged
from airgap.format.inventory import Item
from airgap.store.install_paths import InstallPath
from airgap.store.staging import StagedItem, remove_tree

__all__ = ["ScanRequest", "scan_bundle"]


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """Which bundle to scan, and by what.

    ``policy`` is a file; None: the site's policy, if this machine has one. ``commands`` are further
    scanners. ``tmpdir`` gets the bundle's files while they are looked at.
    """

    source: ImportRequest
    policy: Path | None = None
    commands: Sequence[str] = ()
    tmpdir: Path | None = None


def scan_bundle(request: ScanRequest, progress: Progress) -> Scan:
    """Judge every file of a bundle that this site admits; nothing of it stays on the disk.

    The bundle may lack the attestations that the root demands: a scan comes before them. Packs are
    read once, as by an import.

    Raises:
        ConfigurationError: this machine trusts nobody, the policy cannot be used, or a scanner
            cannot be confined.
        AirgapError: as ``import_bundle``.
    """
    policy = choose_policy(request.policy, request.commands, require_root().value)
    undemanded = frozenset(demand.name for demand in require_root().value.demands())
    source = replace(request.source, newest=True, undemanded=undemanded)
    with open_request(source, progress, remember=False) as opened:
        items = opened.manifest.value.items
        folder = find_temporary_folder(request.tmpdir)
        with translate_errors(folder):
            top = Path(tempfile.mkdtemp(prefix="airgap-scan-", dir=folder))
        try:
            staged = [StagedItem(item, _locate(top, item), opened.bundle) for item in items]
            if staged:
                _stage(opened, staged, request.source.jobs, progress)
            return scan_staged(staged, opened.bundle, policy, progress)
        finally:
            remove_tree(top)


def _locate(top: Path, item: Item) -> InstallPath:
    """Return a place in a store of its own, to which nothing is ever moved."""
    return InstallPath(top / item.kind / item.name / item.version, top, None, may_hold_more=False)


def _stage(
    opened: Opened, staged: Sequence[StagedItem], jobs: int | None, progress: Progress
) -> None:
    archive = opened.reader.stock_archive
    if archive:
        stage_members(archive, opened.manifest.value.items, staged, progress)
    else:
        stage_packs(opened, staged, jobs=jobs or pipeline.default_jobs(), progress=progress)
