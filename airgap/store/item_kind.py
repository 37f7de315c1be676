"""What airgap must know of a kind of item to export, verify and import it.

A new kind is one module with a class of this, and one line in ``kinds.py``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final

from airgap.disk.reading import read_small
from airgap.errors import CorruptError, StorageError
from airgap.format import limits
from airgap.format.inventory import Item
from airgap.format.kinds import Kind, KindRules, find_rules
from airgap.store.install_paths import InstallPath
from airgap.store.source_tree import Tree, is_tree_unchanged

__all__ = [
    "NOTHING_STAGED",
    "NO_DESCRIPTION",
    "Description",
    "ItemFault",
    "ItemKind",
    "Reference",
    "Source",
    "make_description_error",
]


@dataclass(frozen=True, slots=True)
class Reference:
    """An item that another one names.

    ``include`` and ``exclude`` are patterns of huggingface_hub; None takes everything. ``copy`` is
    the folder of a copy that lies in the item that names it, if there is one.
    """

    kind: Kind
    name: str
    version: str
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    copy: Path | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """What an item says of itself, as in bento.yaml.

    ``models`` are those that it needs. ``has_zone`` tells that it gives the time with its zone;
    ``created`` is in UTC if it does not. ``python`` is the version of Python that it is for, such
    as ``3.11``; empty if it does not say.
    """

    name: str
    version: str
    created: datetime
    models: tuple[Reference, ...]
    has_zone: bool = True
    python: str = ""

    @property
    def created_at(self) -> int:
        """Creation time in whole seconds since 1970, within the limits of format §2.3."""
        return min(max(0, int(self.created.timestamp())), limits.TIME)


NOTHING_STAGED: Final[Mapping[bytes, str]] = MappingProxyType({})
NO_DESCRIPTION: Final = Description("", "", datetime.fromtimestamp(0, UTC), ())


@dataclass(frozen=True, slots=True)
class Source:
    """An item in its store, before it is read. ``created_at`` is in seconds since 1970.

    ``folder`` is where it lies, if not where such an item is installed. ``notes`` are for people.
    """

    kind: Kind
    name: str
    version: str
    created_at: int
    tree: Tree
    references: tuple[Reference, ...] = ()
    folder: Path | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Name kind and tag, as people are told."""
        return f"{self.kind} {self.name}:{self.version}"

    @property
    def rules(self) -> KindRules:
        """What the format says of the item's kind."""
        return find_rules(self.kind)

    @property
    def key(self) -> tuple[int, str, str]:
        """What items are sorted by (format §3.2)."""
        return self.rules.rank, self.name, self.version


@dataclass(frozen=True, slots=True)
class ItemFault:
    """Something in a store that breaks the tools that read it, or (``harmless``) does not."""

    path: Path
    message: str
    hint: str
    harmless: bool = False


class ItemKind(ABC):
    """One kind of item: where its items are on this machine, and what must be true of them.

    ``rules`` is what the format says of it, its rank among them. ``store_title`` names the store
    for people, and ``folder`` is the kind's own folder in it, if it has one. Folders whose name is
    in ``ignored_folders`` are not part of an item, at any depth, nor is what ``ignored_top`` names
    at its top. ``has_tags`` says that people name items by tag; other items travel with those that
    need them.
    """

    rules: ClassVar[KindRules]
    searched_suffixes: ClassVar[tuple[str, ...]] = (
        *(".py", ".sh", ".ipynb", ".toml", ".yaml", ".yml", ".ini", ".cfg"),
        *(".env", ".netrc", ".pem", ".key"),
    )
    """Ends of the paths that an export searches for secrets; an empty end is that of each path."""
    dockerfile: ClassVar[str] = ""
    """The path of the file that an image is built from, if such items have one."""
    store_title: ClassVar[str]
    folder: ClassVar[str] = ""
    ignored_folders: ClassVar[frozenset[str]] = frozenset()
    ignored_top: ClassVar[frozenset[str]] = frozenset()
    has_tags: ClassVar[bool] = True

    @abstractmethod
    def store(self) -> Path:
        """Return the store that the items are installed in."""

    @abstractmethod
    def install_path(self, name: str, version: str) -> InstallPath:
        """Return where an item is installed, whether it is there or not."""

    @abstractmethod
    def find(self, tag: str) -> tuple[str, str]:
        """Return name and version of the installed item that a person names.

        Raises:
            UsageError: not a tag.
            MissingError: not installed.
        """

    @abstractmethod
    def scan(self, reference: Reference) -> Source:
        """List an item's files, without reading them.

        Raises:
            UsageError, MissingError: as ``find``.
            StorageError: the item cannot be read, or is not what it says it is.
            CorruptError: its description is malformed.
        """

    def has_changed(self, source: Source) -> bool:
        """Tell whether an item is no longer what was scanned. Raises as ``scan``."""
        folder = source.folder or self.install_path(source.name, source.version).final
        return not is_tree_unchanged(
            source.tree,
            folder,
            ignored_folders=self.ignored_folders,
            ignored_top=self.ignored_top,
        )

    def list_tags(self, name: str | None = None) -> Iterator[tuple[str, str]]:  # noqa: ARG002
        """Yield name and version of every installed item (of this name), sorted."""
        yield from ()

    def list_installed(self) -> Iterator[tuple[str, str]]:
        """Yield name and version of every installed item, also of those without tags, sorted."""
        yield from self.list_tags()

    def describe(self, folder: Path, *, thorough: bool = False) -> Description:
        """Read the description in an item's folder; ``thorough`` is that of ``read_description``.

        Raises:
            StorageError: it is missing or cannot be read.
            CorruptError: it is malformed.
        """
        if not self.rules.description:
            return NO_DESCRIPTION
        path = folder / self.rules.description
        try:
            text = read_small(path, limits.DESCRIPTION_BYTES)
        except OSError as error:
            raise StorageError(
                f"{path} cannot be read: {error.strerror}.",
                f"The {self.rules.name} is incomplete: move its folder out of the store and build"
                " it again.",
            ) from error
        return self.read_description(text, str(path), thorough=thorough)

    def read_description(
        self,
        text: bytes,  # noqa: ARG002
        source: str,  # noqa: ARG002
        *,
        thorough: bool = False,  # noqa: ARG002
    ) -> Description:
        """Parse a description; ``source`` says in a message where it is from.

        ``thorough`` takes 20 times longer, and also refuses text that airgap and the owner of the
        store parse differently: for what is about to travel or to be installed.

        Raises:
            CorruptError: it is malformed.
        """
        return NO_DESCRIPTION

    def check(self, item: Item, description: bytes, *, thorough: bool) -> None:
        """Refuse an item that would break its store (format §3.2).

        ``description`` is the content of the file that describes it, empty if the kind has none;
        ``thorough`` is that of ``read_description``.

        Raises:
            CorruptError: the description is malformed, or is that of another item.
        """
        if not self.rules.description:
            return
        try:
            described = self.read_description(
                description, f"The {self.rules.description}", thorough=thorough
            )
        except CorruptError as error:
            raise make_description_error(item, error.message) from error
        if (described.name, described.version) != (item.name, item.version):
            raise make_description_error(
                item, f"It is that of {described.name}:{described.version}."
            )

    def check_read(self, item: Item, source: Source) -> None:  # noqa: B027
        """Refuse an item that was read for an export and would be refused by every importer.

        Raises:
            CorruptError: its files are not what its description says.
        """

    def check_staged(self, item: Item, folder: Path) -> None:  # noqa: B027
        """Refuse an item whose files are all written, and do not belong together.

        Raises:
            CorruptError: they do not.
            OSError: the disk refused.
        """

    def share_installed(  # noqa: B027
        self, item: Item, folder: Path, staged: Mapping[bytes, str] = NOTHING_STAGED
    ) -> None:
        """Replace staged files, which are all written, by further names of equal ones.

        Those are installed, or are staged with the item: ``staged`` has these by SHA-256.

        Raises:
            OSError: the disk refused.
        """

    def record_installed(  # noqa: B027
        self, item: Item, target: InstallPath, make_part: Callable[[], Path]
    ) -> None:
        """Tell other programs of an item that is in place; the same again changes nothing.

        ``make_part`` makes the folder for a file that is being written, on the store's file system,
        and returns the file's path.

        Raises:
            OSError: the disk refused.
            StorageError: the folder for airgap's own work is not as it should be.
        """

    def forget_installed(self, target: InstallPath) -> Callable[[], object]:  # noqa: ARG002
        """Take back what ``record_installed`` told other programs; the item is about to go.

        Returns what undoes that, if the item cannot be removed.

        Raises:
            OSError: the disk refused.
        """
        return lambda: None

    def find_faults(self, is_installed: Callable[[Reference], bool]) -> Iterator[ItemFault]:  # noqa: ARG002
        """Yield what is wrong with the installed items."""
        yield from ()


def make_description_error(item: Item, reason: str = "") -> CorruptError:
    """Make the error of an item whose description is missing, too long, or wrong (format §3.2)."""
    return CorruptError(
        f"The {item.rules.description} of the {item} is missing, malformed or of another item.",
        "The bundle was made wrongly: ask the sender to export it again.",
        [reason] if reason else [],
    )
