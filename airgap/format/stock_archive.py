"""The content of an archive for stock BentoML, and the files beside it (format §10)."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from airgap.errors import CorruptError
from airgap.format import layout, names
from airgap.format.envelope import Role
from airgap.format.inventory import File, Folder, Item, Link
from airgap.format.kinds import HUGGING_FACE
from airgap.format.manifest import Manifest

__all__ = [
    "MODELS",
    "StockContents",
    "StockFile",
    "check_items",
    "check_manifest",
    "envelope_name",
    "list_contents",
    "manifest_name",
    "name_by_digest",
    "parse_envelope_name",
    "path_prefix",
    "resolve_link",
]

MODELS: Final = "models"
_BY_DIGEST: Final = f"{MODELS}/{HUGGING_FACE.name}"
_SUFFIX: Final = ".airgap-manifest"
_LINKS_FOLLOWED: Final = 40


@dataclass(slots=True)
class StockFile:
    """A file in the archive: ``size`` in bytes, SHA-256, and the item files that it stands for.

    ``targets`` has pairs of an item's index and its file. A copy of a link's target has none.
    """

    path: str
    size: int
    digest: bytes
    targets: list[tuple[int, File]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class StockContents:
    """The content of an archive: files by path, links (path to target), empty folders."""

    files: Mapping[str, StockFile]
    links: Mapping[str, str]
    empty_folders: frozenset[str]

    def nonempty_folders(self) -> frozenset[str]:
        """Return all folders that are not empty; members for them are redundant."""
        folders: set[str] = set()
        for path in (*self.files, *self.links, *self.empty_folders):
            folder = path.rpartition("/")[0]
            while folder and folder not in folders:
                folders.add(folder)
                folder = folder.rpartition("/")[0]
        return frozenset(folders)


def manifest_name(name: str) -> str:
    """Name the manifest beside the archive ``name``."""
    return name + _SUFFIX


def envelope_name(name: str, role: Role, key_id: str) -> str:
    """Name an envelope beside the archive ``name``."""
    return f"{name}{_SUFFIX}.{role}.{key_id}.dsse"


def parse_envelope_name(name: str, file: str) -> tuple[Role, str] | None:
    """Return role and key id if ``file`` is an envelope of the archive ``name``, else None."""
    prefix = f"{manifest_name(name)}."
    return (
        layout.parse_envelope_file(file.removeprefix(prefix)) if file.startswith(prefix) else None
    )


def name_by_digest(digest: bytes) -> str:
    """Name a file that an archive holds by its digest."""
    return f"{_BY_DIGEST}/{digest.hex()}"


def path_prefix(item: Item) -> str:
    """Return the prefix of an item's paths in the archive of a Bento."""
    return "" if item.rules.stock == "top" else f"{MODELS}/{item.name}/{item.version}/"


def check_manifest(manifest: Manifest) -> None:
    """Check that a manifest is for an archive: it has no packs; see also ``check_items``."""
    if manifest.packs:
        raise _wrong_manifest_error()
    check_items(manifest.items)


def check_items(items: Sequence[Item]) -> None:
    """Check that the items are one Bento with its models, or one model.

    Raises:
        CorruptError: they are not, or the Bento has files of its own in ``models``.
    """
    placements = [item.rules.stock for item in items]
    bentos = [item for item in items if item.rules.stock == "top"]
    if (len(bentos) != 1 and placements != ["models"]) or "none" in placements:
        raise _wrong_manifest_error()
    for entry in (entry for item in bentos for entry in item.entries):
        if names.fold(entry.path.partition("/")[0]) == MODELS:
            raise CorruptError(
                f"{bentos[0]} has {entry.path!r} where its models belong.",
                "Rename it and build again, or export into a depot or a .airgap file.",
            )


def list_contents(items: Sequence[Item], *, folder: bool) -> StockContents:
    """Return the content of the archive (or, with ``folder``, the folder) of these items."""
    files: dict[str, StockFile] = {}
    links: dict[str, str] = {}
    empty: set[str] = set()
    alone = [item.rules.stock for item in items] == ["models"]
    for number, item in enumerate(items):
        if item.rules.stock == "by digest":
            named = ((name_by_digest(file.digest), file) for file in item.files)
            _add(files, named, number)
            continue
        prefix = "" if alone else path_prefix(item)
        _add(files, ((prefix + file.path, file) for file in item.files), number)
        empty |= {prefix + entry.path for entry in item.entries if isinstance(entry, Folder)}
        if folder:
            links |= {
                prefix + entry.path: entry.target
                for entry in item.entries
                if isinstance(entry, Link)
            }
        else:
            for path, file in _find_copies(item):
                files[prefix + path] = StockFile(prefix + path, file.size, file.digest)
    return StockContents(files, links, frozenset(empty))


def resolve_link(path: str, links: Mapping[str, str], files: Container[str]) -> str | None:
    """Return the file that a link leads to, directly or through other links, or None.

    No folder on the way is a link (format §2.6), so the text of the paths decides.
    """
    for _ in range(_LINKS_FOLLOWED):
        if path not in links:
            return path if path in files else None
        parts = path.split("/")[:-1]
        for part in links[path].split("/"):
            if part == "..":
                parts = parts[:-1]
            elif part not in ("", "."):
                parts.append(part)
        path = "/".join(parts)
    return None


def _find_copies(item: Item) -> Iterator[tuple[str, File]]:
    """Yield each link that is stored as a copy of a file: its path, and the file."""
    files = {file.path: file for file in item.files}
    links = {entry.path: entry.target for entry in item.entries if isinstance(entry, Link)}
    for path in links:
        target = resolve_link(path, links, files)
        if target is not None:
            yield path, files[target]


def _add(files: dict[str, StockFile], named: Iterable[tuple[str, File]], item: int) -> None:
    for path, file in named:
        stored = files.setdefault(path, StockFile(path, file.size, file.digest))
        stored.targets.append((item, file))


def _wrong_manifest_error() -> CorruptError:
    return CorruptError(
        "The manifest is not for an archive of one Bento or one model.",
        "Copy the manifest that was exported with the archive.",
    )
