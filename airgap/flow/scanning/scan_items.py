"""Scans the items that are named, with the models that their Bentos need."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airgap.disk.part_file import write_json
from airgap.flow.exporting.select import Source, select_items
from airgap.flow.progress import Progress
from airgap.flow.scanning.policy import Permission, ScanPolicy
from airgap.format.kinds import Kind
from airgap.scan.assess import assess_file
from airgap.scan.item import join_files
from airgap.scan.verdicts import Assessment
from airgap.store.source_tree import SourceFile, StableFile
from airgap.version import __version__

__all__ = ["Scan", "ScannedFile", "ScannedItem", "describe_scan", "scan_items", "write_report"]

_PIECE: Final = 1024 * 1024
_PERMITTED_ANYHOW: Final = frozenset({"inert", "listed"})


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """What a file is. ``sha256`` is in hex, ``size`` in bytes."""

    path: str
    sha256: str
    size: int
    assessment: Assessment
    permission: Permission | None = None
    """What permits it, where it is a program or refused."""

    @property
    def is_accepted(self) -> bool:
        """Whether the file may be there."""
        return self.assessment.verdict in _PERMITTED_ANYHOW or self.permission is not None


@dataclass(frozen=True, slots=True)
class ScannedItem:
    """An item, as ``bento shop:v1``, and all its files in the order of their paths."""

    name: str
    files: tuple[ScannedFile, ...]


@dataclass(frozen=True, slots=True)
class Scan:
    """What became of all items."""

    items: tuple[ScannedItem, ...]

    @property
    def is_accepted(self) -> bool:
        """Whether every file may be there."""
        return all(file.is_accepted for item in self.items for file in item.files)

    @property
    def verdicts(self) -> Mapping[str, int]:
        """How many files have each verdict."""
        return Counter(file.assessment.verdict for item in self.items for file in item.files)


def scan_items(
    tags: Mapping[Kind, Sequence[str]],
    policy: ScanPolicy,
    progress: Progress,
    *,
    with_models: bool = True,
) -> Scan:
    """Scan installed items by tag, with every model that the Bentos name.

    Every file is read once for its SHA-256, and what its form demands again.

    Raises:
        UsageError, MissingError, StorageError, CorruptError: as ``select_items``.
        StorageError: a file cannot be read, or changes meanwhile.
    """
    sources = select_items(tags, with_models=with_models)
    progress.begin("Scanning", sum(source.tree.size for source in sources))
    try:
        return Scan(tuple(_scan_item(source, policy, progress) for source in sources))
    finally:
        progress.end()


def _scan_item(source: Source, policy: ScanPolicy, progress: Progress) -> ScannedItem:
    name = f"{source.kind} {source.name}:{source.version}"
    digests: dict[str, str] = {}
    assessments: dict[str, Assessment] = {}
    for file in source.tree.files:
        digests[file.path], assessments[file.path] = _scan_file(file, progress)
    joined = join_files(assessments)

    def conclude(file: SourceFile) -> ScannedFile:
        assessment, digest = joined[file.path], digests[file.path]
        permission = policy.find_permission(name, file.path, digest, assessment.verdict)
        return ScannedFile(file.path, digest, file.size, assessment, permission)

    return ScannedItem(name, tuple(conclude(file) for file in source.tree.files))


def _scan_file(file: SourceFile, progress: Progress) -> tuple[str, Assessment]:
    """Return a file's SHA-256 in hex, and what it is; it must not change meanwhile."""
    digest = hashlib.sha256()
    with StableFile(file) as stable:
        for _ in range(0, file.size, _PIECE):
            piece = stable.read(_PIECE)
            digest.update(piece)
            progress.advance(len(piece))
        with Path(file.location).open("rb", buffering=0) as stream:
            start = file.within[0] if file.within else 0
            assessment = assess_file(file.path, stream, file.size, start)
    return digest.hexdigest(), assessment


def describe_scan(scan: Scan) -> dict[str, Any]:
    """Describe a scan for JSON; equal files and an equal policy give equal bytes."""
    return {
        "format": 1,
        "airgap": __version__,
        "accepted": scan.is_accepted,
        "verdicts": dict(sorted(scan.verdicts.items())),
        "items": [
            {"item": item.name, "files": [_describe_file(file) for file in item.files]}
            for item in scan.items
        ],
    }


def _describe_file(file: ScannedFile) -> dict[str, Any]:
    described: dict[str, Any] = {
        "path": file.path,
        "sha256": file.sha256,
        "size": file.size,
        "form": file.assessment.form,
        "verdict": file.assessment.verdict,
        "accepted": file.is_accepted,
        "reasons": list(file.assessment.reasons),
    }
    if file.permission is not None and file.assessment.verdict not in _PERMITTED_ANYHOW:
        described["permitted"] = file.permission.reason
    return described


def write_report(path: Path, scan: Scan) -> None:
    """Write a scan as JSON, for `airgap attest --findings`. Raises StorageError."""
    write_json(path, describe_scan(scan))
