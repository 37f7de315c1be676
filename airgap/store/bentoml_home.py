"""BentoML's home: the stores of Bentos and models, read and written as BentoML 1.4 does.

Without importing it: that costs a second, and the isolated side may have only airgap.
"""

import os
import shlex
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from airgap.disk.expansion import expand
from airgap.disk.presence import is_file, is_folder
from airgap.errors import (
    AirgapError,
    ConfigurationError,
    CorruptError,
    MissingError,
    StorageError,
)
from airgap.format import limits, names
from airgap.format.inventory import Item, Link
from airgap.printable import list_some, quote
from airgap.store.install_paths import InstallPath
from airgap.store.item_kind import ItemFault, ItemKind, Reference, Source
from airgap.store.latest import LATEST, read_latest
from airgap.store.source_tree import scan

__all__ = ["BentoMLKind", "home"]


def home() -> Path:
    """Return BentoML's home: ``BENTOML_HOME``, else ``~/bentoml``; both expanded as BentoML does.

    As there, a variable that is set and empty stands for the current folder.

    Raises:
        ConfigurationError: ``BENTOML_HOME`` refers to itself; or it is not set, and this user has
            no home folder: BentoML then makes a folder named ``~`` in the current one.
    """
    text = os.environ.get("BENTOML_HOME", "~/bentoml")
    path = expand(text, "BENTOML_HOME")
    if path.startswith("~/"):
        raise ConfigurationError(
            f"This user (uid {os.geteuid()}) has no home folder, and BENTOML_HOME is"
            f" {quote(text) if 'BENTOML_HOME' in os.environ else 'not set'}.",
            "Set BENTOML_HOME to the path of the folder of BentoML's stores.",
        )
    return Path(path).absolute()


class BentoMLKind(ItemKind):
    """A kind whose items lie in BentoML's home, as ``<folder>/<name>/<version>``.

    ``command`` is the BentoML command for this kind, without its verb.
    """

    store_title = "BentoML home"
    command: ClassVar[str]

    def store(self) -> Path:
        """Return BentoML's home."""
        return home()

    def install_path(self, name: str, version: str) -> InstallPath:
        """Return ``<folder>/<name>/<version>``; ``latest`` lies beside the versions."""
        top = home()
        final = top / self.folder / name / version
        return InstallPath(final, top, final.parent / LATEST, may_hold_more=False)

    def find(self, tag: str) -> tuple[str, str]:
        """Resolve ``name``, ``name:latest`` or ``name:version``.

        A version must be complete: unlike BentoML, airgap accepts no prefix of one.

        Raises:
            UsageError: not a tag.
            MissingError: not in the store.
        """
        name, version = names.parse_tag(tag)
        version = version or self._latest_version(name)
        if not self._is_item(self.install_path(name, version).final):
            raise self._missing(f"{name}:{version}", name)
        return name, version

    def scan(self, reference: Reference) -> Source:
        """List an item's files; see ``ItemKind.scan``."""
        name, version = self.find(f"{reference.name}:{reference.version}")
        folder = self.install_path(name, version).final
        description = self.describe(folder, thorough=True)
        if (description.name, description.version) != (name, version):
            raise StorageError(
                f"The {self.rules.name} in {folder} calls itself"
                f" {description.name}:{description.version}.",
                "Delete it with BentoML and build it again.",
            )
        tree = scan(folder, ignored_folders=self.ignored_folders, ignored_top=self.ignored_top)
        return Source(
            self.rules.name, name, version, description.created_at, tree, description.models
        )

    def check(self, item: Item, description: bytes, *, thorough: bool) -> None:
        """Also refuse a link at which `bentoml list` ends: it looks behind each; see ``ItemKind``.

        The system refuses a longer name, instead of saying that nothing has it.
        """
        super().check(item, description, thorough=thorough)
        for entry in item.entries:
            if isinstance(entry, Link) and any(
                len(part.encode()) > limits.PATH_PART_BYTES for part in entry.target.split("/")
            ):
                raise CorruptError(
                    f"The link {entry.path!r} of the {item} points to a name of more than"
                    f" {limits.PATH_PART_BYTES} bytes, at which `bentoml list` would end.",
                    "Ask the sender to remove the link and to export again.",
                )

    def list_tags(self, name: str | None = None) -> Iterator[tuple[str, str]]:
        """Yield name and version of every item in the store, sorted."""
        top = home() / self.folder
        for item_name in [name] if name else _list_subfolders(top):
            for version in _list_subfolders(top / item_name):
                if self._is_item(top / item_name / version):
                    yield item_name, version

    def find_faults(self, is_installed: Callable[[Reference], bool]) -> Iterator[ItemFault]:
        """Yield what is wrong with the items in the store."""
        top = home() / self.folder
        for name in _list_subfolders(top):
            yield from self._find_latest_fault(top / name)
            for version in _list_subfolders(top / name):
                yield from self._find_item_faults(top / name / version, is_installed)

    def find_inner_faults(
        self,
        folder: Path,  # noqa: ARG002
        is_installed: Callable[[Reference], bool],  # noqa: ARG002
    ) -> Iterator[ItemFault]:
        """Yield what is wrong with items that lie in an item's folder."""
        yield from ()

    def _find_item_faults(
        self, folder: Path, is_installed: Callable[[Reference], bool]
    ) -> Iterator[ItemFault]:
        """Look at one item: its description, its tag, leftovers, and the models it needs."""
        tag = f"{folder.parent.name}:{folder.name}"
        try:
            description = self.describe(folder, thorough=True)
        except AirgapError as error:
            hint = error.hint
            if not self._is_item(folder):
                hint = (
                    f"Remove it (rm -r {shlex.quote(str(folder))}) and build or import {tag} again."
                )
            message = f"{error.message[:-1]}, which breaks `{self.command} list`."
            yield ItemFault(folder, message, hint)
            return
        if f"{description.name}:{description.version}" != tag:
            yield ItemFault(
                folder,
                f"{folder} calls itself {description.name}:{description.version}.",
                "The folder was renamed: restore its old name.",
            )
        yield from self.find_inner_faults(folder, is_installed)
        for model in description.models:
            if not (is_installed(model) or self.holds(folder, model)):
                yield ItemFault(
                    folder,
                    f"The {self.rules.name} {tag} needs the {model.kind} model"
                    f" {model.name}:{model.version}, which is not on this machine.",
                    "Import a bundle that holds it; without it the Bento cannot be served offline.",
                    harmless=True,
                )

    def holds(self, folder: Path, model: Reference) -> bool:  # noqa: ARG002
        """Tell whether an item's folder holds a model itself, complete or not."""
        return False

    def _is_item(self, folder: Path) -> bool:
        """Tell an item from a folder that a program left behind."""
        return is_file(folder / self.rules.description)

    def _latest_version(self, name: str) -> str:
        """Return what ``latest`` names; where that does not exist, the newest, as BentoML does."""
        version = read_latest(home() / self.folder / name / LATEST)
        if version and is_folder(self.install_path(name, version).final):
            return version
        versions = [version for _, version in self.list_tags(name)]
        if not versions:
            raise self._missing(name, name)
        return max(versions, key=lambda version: self._created(name, version))

    def _created(self, name: str, version: str) -> datetime:
        """Return when a version was made; one that cannot be read is older than all others."""
        try:
            return self.describe(self.install_path(name, version).final).created
        except AirgapError:
            return datetime.min.replace(tzinfo=UTC)

    def _missing(self, tag: str, name: str) -> MissingError:
        others = [f"{name}:{version}" for _, version in self.list_tags(name)]
        if not others:
            from difflib import get_close_matches

            named = sorted({":".join(tag) for tag in self.list_tags()})
            others = get_close_matches(tag, named)
        return MissingError(
            f"The {self.rules.name} {tag} is not in {home() / self.folder}.",
            f"See `{self.command} list` for what is there. Build it on this machine, or import it.",
            list_some([f"there is {other}" for other in others]),
        )

    def _find_latest_fault(self, folder: Path) -> Iterator[ItemFault]:
        path = folder / LATEST
        if not os.path.lexists(path):
            return
        version = read_latest(path)
        command = f"rm {shlex.quote(str(path))}"
        subject = f"`latest` of the {self.rules.name} {folder.name}"
        if not version:
            yield ItemFault(
                path,
                f"{subject} names no version, and BentoML may find none.",
                f"Remove it; BentoML uses the newest version then: {command}",
            )
        elif not is_folder(folder / version):
            yield ItemFault(
                path,
                f"{subject} names {version!r}, which does not exist.",
                f"BentoML uses the newest version instead. To be sure, remove it: {command}",
                harmless=True,
            )


def _list_subfolders(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if is_folder(path))
    except OSError:
        return []
