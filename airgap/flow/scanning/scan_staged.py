"""Judges what is staged of a bundle, file by file (format §32)."""

import hashlib
import os
import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from airgap.disk.descriptors import open_without_waiting
from airgap.disk.os_errors import translate_errors
from airgap.errors import PolicyError
from airgap.flow.progress import Progress
from airgap.flow.scanning.policy import OWN_SOURCES, PROGRAM_KINDS, Permission, Scanner, ScanPolicy
from airgap.flow.scanning.scanners import CLEAN, ask_scanner, ask_version
from airgap.format.inventory import File, Folder, Item, Link
from airgap.printable import quote
from airgap.scan.item import join_files
from airgap.scan.judge_file import judge_file
from airgap.scan.verdicts import Judgment, code, refused
from airgap.store.staging import StagedItem

__all__ = [
    "ItemFolder",
    "Scan",
    "ScannedFile",
    "ScannedItem",
    "find_refusal",
    "scan_items",
    "scan_staged",
]

_SHOWN: Final = 20
_HINT: Final = (
    "Nothing of the bundle was installed. Ask its builders, or let the site's scan policy permit"
    " the files."
)


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """What a file is. ``sha256`` is in hex, ``size`` in bytes; ``scanners`` by their names."""

    path: str
    sha256: str
    size: int
    judgment: Judgment
    permission: Permission | None = None
    """What permits it, where it is code or refused."""
    scanners: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_accepted(self) -> bool:
        """Whether the file may be there."""
        return self.judgment.verdict == "inert" or self.permission is not None


@dataclass(frozen=True, slots=True)
class ScannedItem:
    """An item, as ``bento shop:v1``, and all its files in the order of their paths."""

    name: str
    files: tuple[ScannedFile, ...]


@dataclass(frozen=True, slots=True)
class Scan:
    """What became of all items; ``versions`` has what the scanners say of themselves."""

    bundle: str
    policy: ScanPolicy
    items: tuple[ScannedItem, ...]
    versions: Mapping[str, str]

    @property
    def refused(self) -> list[tuple[ScannedItem, ScannedFile]]:
        """The files that may not be there."""
        files = [(item, file) for item in self.items for file in item.files]
        return [(item, file) for item, file in files if not file.is_accepted]

    @property
    def verdicts(self) -> Counter[str]:
        """How many files have each verdict."""
        return Counter(file.judgment.verdict for item in self.items for file in item.files)

    @property
    def statement(self) -> str:
        """One sentence that says no more than was checked."""
        refused = len(self.refused)
        if refused:
            return f"{refused:,} of {self.verdicts.total():,} files are refused."
        others = sum(
            file.permission is not None and file.permission.reason != OWN_SOURCES
            for item in self.items
            for file in item.files
        )
        rest = f", except for {others:,} files that the policy permits" if others else ""
        return f"The lists of the gate find no code outside of the Bentos' own sources{rest}."


@dataclass(frozen=True, slots=True)
class ItemFolder:
    """An item, and where its files are to be read.

    ``top`` is the folder that scanners get: it has the files of all items with the same one.
    ``locations`` has those files that are not below ``folder``, by their paths in the item.
    """

    item: Item
    folder: Path
    top: Path
    locations: Mapping[str, Path] = field(default_factory=dict)

    def locate(self, path: str) -> Path:
        """Return where a file of the item is."""
        return self.locations.get(path) or self.folder / path


def scan_staged(
    staged: Sequence[StagedItem], bundle: str, policy: ScanPolicy, progress: Progress
) -> Scan:
    """Judge every file of staged items. Raises as ``scan_items``."""
    folders = [ItemFolder(each.item, each.folder, each.folder.parents[2]) for each in staged]
    return scan_items(folders, bundle, policy, progress)


def scan_items(
    staged: Sequence[ItemFolder], bundle: str, policy: ScanPolicy, progress: Progress
) -> Scan:
    """Judge every file of items, and let the policy's scanners look at them.

    Raises:
        ConfigurationError: a scanner cannot be confined.
        PolicyError: a file has changed while the scanners ran.
        StorageError: a file cannot be read.
    """
    answers = _ask_scanners(staged, policy.scanners)
    scanners = policy.scanners if staged else ()
    versions = {each.name: ask_version(each, staged[0].folder) for each in scanners}
    if scanners:
        _refuse_changed(staged)
    progress.begin("scanning", sum(item.item.size for item in staged))
    try:
        items = tuple(_scan_item(item, policy, answers, progress) for item in staged)
    finally:
        progress.end()
    return Scan(bundle, policy, items, versions)


def find_refusal(scan: Scan, hint: str = _HINT) -> PolicyError | None:
    """Return the error that refuses files which are not accepted; None: all are."""
    refused = scan.refused
    if not refused:
        return None
    lines = [
        f"{item.name}: {quote(file.path)} is {_describe(file)}" for item, file in refused[:_SHOWN]
    ]
    if len(refused) > _SHOWN:
        lines.append(f"and {len(refused) - _SHOWN:,} more")
    return PolicyError(
        f"The scan refused {len(refused):,} of {scan.verdicts.total():,} files.", hint, lines
    )


def _describe(file: ScannedFile) -> str:
    return f"{file.judgment.verdict} ({'; '.join(file.judgment.reasons[:3])})"


def _ask_scanners(
    staged: Sequence[ItemFolder], scanners: Sequence[Scanner]
) -> dict[str, dict[Path, str]]:
    """Return what each scanner says of each staged file: it is asked once for each folder."""
    folders: dict[Path, list[ItemFolder]] = {}
    for item in staged:
        folders.setdefault(item.top, []).append(item)
    answers: dict[str, dict[Path, str]] = {}
    for scanner in scanners:
        for folder, items in folders.items():
            sizes = {
                item.locate(file.path).relative_to(folder).as_posix(): file.size
                for item in items
                for file in item.item.files
            }
            results = ask_scanner(scanner, folder, sizes)
            known = answers.setdefault(scanner.name, {})
            known |= {folder / path: result for path, result in results.items()}
    return answers


def _scan_item(
    staged: ItemFolder,
    policy: ScanPolicy,
    answers: Mapping[str, Mapping[Path, str]],
    progress: Progress,
) -> ScannedItem:
    item = staged.item
    judgments: dict[str, Judgment] = {}
    for file in item.files:
        judgments[file.path] = _judge(item, file, staged.locate(file.path))
        progress.advance(file.size)
    joined = join_files(judgments, {file.path: file.size for file in item.files})
    links = tuple(_judge_links(staged))
    name = f"{item.kind} {item.tag}"

    def conclude(file: File) -> ScannedFile:
        results = {
            scanner: results[staged.locate(file.path)]
            for scanner, results in answers.items()
            if staged.locate(file.path) in results
        }
        judgment, digest = joined[file.path], file.digest.hex()
        bad = tuple(f"{who}: {what}" for who, what in results.items() if what != CLEAN)
        if bad:
            judgment = Judgment("refused", judgment.form, (*bad, *judgment.reasons))
        permission = None
        if judgment.verdict != "inert":
            permission = policy.find_permission(name, file.path, digest, judgment.verdict)
        return ScannedFile(file.path, digest, file.size, judgment, permission, results)

    joined |= {link.path: judgment for link, judgment in links}
    judged = (*item.files, *(link for link, _ in links))
    return ScannedItem(name, tuple(conclude(file) for file in sorted(judged, key=_path)))


def _path(file: File) -> str:
    return file.path


def _judge_links(staged: ItemFolder) -> Iterator[tuple[File, Judgment]]:
    """Judge files once more by the names that links give them: a text may be a program by one."""
    item = staged.item
    files = {file.path: file for file in item.files}
    for link in item.entries:
        if isinstance(link, Link):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(link.path), link.target))
            if target in files:
                file = files[target]._replace(path=link.path)
                yield file, _judge(item, file, staged.locate(target))
            elif target not in {*_list_folders(item)}:  # it leads to another link
                judgment = refused("link", "it does not lead to a file or folder of the item")
                yield (
                    File(link.path, executable=False, size=0, digest=bytes(32), chunks=()),
                    judgment,
                )


def _list_folders(item: Item) -> Iterator[str]:
    for entry in item.entries:
        yield from (str(parent) for parent in PurePosixPath(entry.path).parents)
        if isinstance(entry, Folder):
            yield entry.path


def _judge(item: Item, file: File, path: Path) -> Judgment:
    if item.kind in PROGRAM_KINDS:
        return code(item.kind, f"a {item.kind} is a program, and is not looked into")
    with translate_errors(path):
        descriptor = open_without_waiting(path, os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as stream:
            return judge_file(file.path, stream, file.size)


def _refuse_changed(staged: Sequence[ItemFolder]) -> None:
    """Refuse files that have changed since their digests were compared. Raises PolicyError."""
    for item in staged:
        for file in item.item.files:
            path = item.locate(file.path)
            with translate_errors(path):
                descriptor = open_without_waiting(path, os.O_NOFOLLOW)
                with os.fdopen(descriptor, "rb") as stream:
                    digest = hashlib.file_digest(stream, "sha256").digest()
            if digest != file.digest:
                raise PolicyError(
                    f"{quote(str(path))} has changed while the scanners ran.",
                    "Nothing of the bundle was installed. Look for a scanner that writes files.",
                )
