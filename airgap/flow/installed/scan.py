"""``airgap scan --installed``: judges the files of installed items, as an import does."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from airgap.disk.digests import digest_file
from airgap.disk.os_errors import translate_errors
from airgap.errors import MissingError
from airgap.flow.installed.check import list_stored
from airgap.flow.installed.item_name import ItemName
from airgap.flow.progress import Progress
from airgap.flow.scanning.policy import (
    PROGRAM_KINDS,
    ScanPolicy,
    choose_policy,
    read_site_policy,
)
from airgap.flow.scanning.scan_staged import ItemFolder, Scan, find_refusal, scan_items
from airgap.flow.site import load_pinned
from airgap.format.inventory import Entry, File, Folder, Link, make_item
from airgap.store.item_kind import Reference, Source
from airgap.store.kinds import find_kind
from airgap.store.source_tree import SourceFile

__all__ = ["InstalledScanRequest", "demand_scanned", "scan_installed"]

_NO_BUNDLE: Final = ""
_HINT: Final = (
    "Nothing of it was run. Remove the item, or let the site's scan policy permit the files."
)


@dataclass(frozen=True, slots=True)
class InstalledScanRequest:
    """Which items to scan, and by what; ``names``: all but programs, if there is none.

    ``policy`` and ``commands`` are as those of ``ScanRequest``.
    """

    names: Sequence[ItemName] = ()
    policy: Path | None = None
    commands: Sequence[str] = field(default=())


def scan_installed(request: InstalledScanRequest, progress: Progress) -> Scan:
    """Judge every file of installed items, as it is on the disk.

    Items of the kinds that are programs are left out: nothing in them would be looked into.

    Raises:
        MissingError: nothing here has such a name.
        ConfigurationError: the policy cannot be used, or a scanner cannot be confined.
        PolicyError: a file has changed while scanners ran.
        StorageError: an item cannot be read.
    """
    root = load_pinned()
    policy = choose_policy(request.policy, request.commands, root.value if root else None)
    stored = [name for name in list_stored() if name.kind not in PROGRAM_KINDS]
    for name in request.names:
        if not any(map(name.fits, stored)):
            raise MissingError(f"{name} is not installed.", "`airgap list` shows what is here.")
    wanted = request.names or stored
    chosen = [each for each in stored if any(name.fits(each) for name in wanted)]
    return _scan_sources(
        [
            find_kind(each.kind).scan(Reference(each.kind, each.name, each.version))
            for each in chosen
        ],
        policy,
        progress,
    )


def demand_scanned(sources: Sequence[Source], progress: Progress) -> None:
    """Judge installed items by the site's scan policy before they are run, if there is one.

    Raises:
        PolicyError: a file is not accepted.
        ConfigurationError, StorageError: as ``scan_installed``.
    """
    root = load_pinned()
    policy = read_site_policy(root.value if root else None)
    if policy is None:
        return
    data = [source for source in sources if source.kind not in PROGRAM_KINDS]
    refusal = find_refusal(_scan_sources(data, policy, progress), _HINT)
    if refusal is not None:
        raise refusal


def _scan_sources(sources: Sequence[Source], policy: ScanPolicy, progress: Progress) -> Scan:
    return scan_items(list(map(_read_folder, sources)), _NO_BUNDLE, policy, progress)


def _read_folder(source: Source) -> ItemFolder:
    """Return an item as it is on the disk, with the digests of its files."""
    locations = {file.path: Path(file.location) for file in source.tree.files}
    entries: list[Entry] = [_read_file(file) for file in source.tree.files]
    entries += [Link(path, target) for path, target in source.tree.links.items()]
    entries += [Folder(path) for path in source.tree.empty_folders]
    item = make_item(source.kind, source.name, source.version, entries)
    folder = source.folder or find_kind(source.kind).install_path(source.name, source.version).final
    parents = {str(location.parent) for location in locations.values()} or {str(folder)}
    return ItemFolder(item, folder, Path(os.path.commonpath(parents)), locations)


def _read_file(file: SourceFile) -> File:
    path = Path(file.location)
    with translate_errors(path):
        return File(file.path, file.executable, file.size, digest_file(path), ())
