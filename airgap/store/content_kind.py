"""Kinds of items whose version is named by their content: several versions may lie side by side."""

import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from airgap.disk.digests import digest_file
from airgap.errors import CorruptError, MissingError, UsageError
from airgap.format import names
from airgap.format.inventory import File, Item
from airgap.printable import list_some
from airgap.store.bentoml_home import home
from airgap.store.install_paths import InstallPath
from airgap.store.item_kind import ItemKind, Reference, Source, make_description_error
from airgap.store.source_tree import is_unchanged, read_stable, scan

__all__ = ["ContentKind", "link_equal_files"]


class ContentKind(ItemKind):
    """A kind whose items lie in BentoML's home, as ``<folder>/<name>/<version>``.

    What such an item holds was made by others: wheels, layers, data.
    """

    store_title = "BentoML home"

    @staticmethod
    @abstractmethod
    def check_content(item: Item, description: bytes) -> None:
        """Compare an item with the file that describes it. Raises CorruptError."""

    def store(self) -> Path:
        """Return BentoML's home."""
        return home()

    def install_path(self, name: str, version: str) -> InstallPath:
        """Return ``<folder>/<name>/<version>``."""
        final = home() / self.folder / name / version
        return InstallPath(final, home(), None, may_hold_more=False)

    def find(self, tag: str) -> tuple[str, str]:
        """Resolve ``name:version``, or ``name`` if it has one version here.

        Raises:
            UsageError: not a tag, or ``name`` has several versions.
            MissingError: not installed.
        """
        name, version = names.parse_tag(tag)
        versions = [installed for _, installed in self.list_tags(name)]
        if version in versions:
            return name, version
        if version or not versions:
            raise MissingError(
                f"The {self.rules.name} {tag} is not in {home() / self.folder}.",
                "See `airgap list` for what is there.",
                list_some([f"there is {name}:{other}" for other in versions]),
            )
        if len(versions) > 1:
            raise UsageError(
                f"{len(versions)} versions of the {self.rules.name} {name} are installed.",
                f"Name one: {name}:{versions[0]}.",
                list_some([f"there is {name}:{other}" for other in versions]),
            )
        return name, versions[0]

    def scan(self, reference: Reference) -> Source:
        """List an installed item's files; see ``ItemKind.scan``."""
        name, version = self.find(f"{reference.name}:{reference.version}")
        tree = scan(self.install_path(name, version).final)
        return Source(self.rules.name, name, version, 0, tree)

    def has_changed(self, source: Source) -> bool:
        """Tell whether a file has changed; the files that belong to it are named by its version."""
        return not all(map(is_unchanged, source.tree.files))

    def list_tags(self, name: str | None = None) -> Iterator[tuple[str, str]]:
        """Yield name and version of every installed item (of this name), sorted."""
        for path in sorted(
            (home() / self.folder).glob(f"{name or '*'}/*/{self.rules.description}")
        ):
            if self.rules.is_tag(path.parent.parent.name, path.parent.name):
                yield path.parent.parent.name, path.parent.name

    def check_read(self, item: Item, source: Source) -> None:
        """Refuse files that were damaged on the disk; see ``ItemKind.check_read``."""
        description = self.rules.description
        text = b"".join(
            piece
            for file in source.tree.files
            if file.path == description
            for piece in read_stable(file)
        )
        try:
            self.check_content(item, text)
        except CorruptError as error:
            raise CorruptError(
                f"The {item} is not what its {description} says: a file was changed or damaged.",
                "Remove it, and fetch or import it again.",
                [error.message],
            ) from error

    def check(self, item: Item, description: bytes, *, thorough: bool) -> None:  # noqa: ARG002
        """Refuse an item that is not what its description says (format §25 to §27)."""
        try:
            self.check_content(item, description)
        except CorruptError as error:
            raise make_description_error(item, error.message) from error


def link_equal_files(item: Item, folder: Path, copies: Mapping[bytes, str | Path]) -> None:
    """Replace files of a staged item by further names of equal ones, where there are hard links.

    ``copies`` has files of this machine by SHA-256, which are compared: one may be damaged.
    """
    for file in item.files:
        source = copies.get(file.digest)
        if source is None or not _is_equal(Path(source), file):
            continue
        link = (folder / file.path).with_name("link.part")  # no wheel's name, and no blob's
        with suppress(OSError):
            link.unlink(missing_ok=True)
            os.link(source, link, follow_symlinks=False)
            link.replace(folder / file.path)
        link.unlink(missing_ok=True)


def _is_equal(path: Path, file: File) -> bool:
    try:
        return path.lstat().st_size == file.size and digest_file(path) == file.digest
    except OSError:
        return False
