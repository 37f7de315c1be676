"""A home that one proof has for itself: stores, airgap's own state, and a user's folders.

Models are never copied: they are links to what is in the stores of this machine.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk.execution import refuse_noexec
from airgap.disk.os_errors import storage_error
from airgap.disk.space import round_up
from airgap.disk.temporary import find_temporary_folder
from airgap.flow.admission.history import begin_history
from airgap.flow.admission.policy import require_root
from airgap.flow.proof.proof_use import HOME_BLOCKS
from airgap.format import envelope as dsse
from airgap.format.inventory import Item
from airgap.state import pinned_root
from airgap.state.pinned_root import PinnedRoot
from airgap.state.state_folder import state_folder
from airgap.store.compare import find_differences, has_missing_files
from airgap.store.install_paths import InstallPath
from airgap.store.item_kind import Reference, Source
from airgap.store.kinds import install_path

__all__ = ["PrivateHome", "TrialPlace", "is_here", "make_private_home"]

_COPIED: Final = 1024 * 1024
"""Up to this size, in bytes, a file is copied."""
_FOLDERS: Final = 4
"""Those above an item."""
_USER_FOLDERS: Final = ("tmp", ".cache", ".config")
_KEPT: Final = ("PATH", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH", "TERM")
_KEPT_STARTS: Final = ("LC_", "CUDA_", "NVIDIA_", "ROCR_", "HIP_")


@dataclass(frozen=True, slots=True)
class TrialPlace:
    """Where one service of a proof is tried."""

    folder: Path

    @property
    def logs(self) -> Path:
        """Where the sandbox writes."""
        return self.folder / "sandbox"

    @property
    def user(self) -> Path:
        """The home folder of the service's user."""
        return self.folder / "user"


@dataclass(slots=True)
class PrivateHome:
    """The folder of a proof, and what is linked into its stores."""

    folder: Path
    state: Path
    """airgap's own state: this machine's, or one that the proof has for itself."""

    @property
    def variables(self) -> Mapping[str, str]:
        """What makes airgap and BentoML use this home."""
        hub = str(self.folder / "hub")
        return {
            "BENTOML_HOME": str(self.folder / "bentoml"),
            "BENTOML_HF_CACHE_DIR": hub,
            "HF_HUB_CACHE": hub,
            "AIRGAP_HOME": str(self.state),
        }

    def make_place(self) -> "TrialPlace":
        """Make the folders of one service, which no other service of the proof sees.

        Raises:
            OSError: the disk refused.
        """
        place = TrialPlace(Path(tempfile.mkdtemp(prefix="trial-", dir=self.folder)))
        for folder in (place.logs, *(place.user / path for path in _USER_FOLDERS)):
            folder.mkdir(parents=True)
        return place

    def make_environment(self, environment: Mapping[str, str], user: Path) -> dict[str, str]:
        """Return the variables of a service: few of this process, so that no secret is logged.

        ``user`` is the folder of the service's user.
        """
        kept = {
            name: value
            for name, value in environment.items()
            if name in _KEPT or name.startswith(_KEPT_STARTS)
        }
        return {
            **kept,
            **self.variables,
            "HOME": str(user),
            "TMPDIR": str(user / "tmp"),
            "XDG_CACHE_HOME": str(user / ".cache"),
            "XDG_CONFIG_HOME": str(user / ".config"),
        }

    @contextmanager
    def use(self) -> Iterator[None]:
        """Let this process use the home, for the length of the block."""
        before = {name: os.environ.get(name) for name in self.variables}
        os.environ.update(self.variables)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value

    def link(self, item: Item | Reference, here: Path) -> None:
        """Link the folder of an item into the home's store. Raises OSError."""
        place = self._find_place(item)
        place.final.parent.mkdir(parents=True, exist_ok=True)
        place.final.symlink_to(here)
        if place.latest and not place.latest.exists():
            place.latest.write_text(item.version)

    def link_files(self, source: Source) -> None:
        """Put the files of an item into the home's store, and nothing else.

        Small files are copied, because airgap follows no links where it reads descriptions.

        Raises:
            OSError: the disk refused.
        """
        top = self._find_place(Reference(source.kind, source.name, source.version)).final
        for path in source.tree.empty_folders:
            (top / path).mkdir(parents=True)
        for path, target in source.tree.links.items():
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).symlink_to(target)
        for file in source.tree.files:
            place = top / file.path
            place.parent.mkdir(parents=True, exist_ok=True)
            if file.size <= _COPIED:
                shutil.copy(file.location, place)
            else:
                place.symlink_to(file.location)

    def measure_copies(self, sources: Sequence[Source], block: int) -> int:
        """Return the bytes of a home with these items by ``link_files``, in whole blocks."""
        total = HOME_BLOCKS * block
        for source in sources:
            files = source.tree.files
            folders = {path.rpartition("/")[0] for path in (file.path for file in files)}
            total += sum(round_up(file.size, block) for file in files if file.size <= _COPIED)
            total += (len(folders) + _FOLDERS) * block
        return total

    def _find_place(self, item: Item | Reference) -> InstallPath:
        with self.use():
            return install_path(item)


@contextmanager
def make_private_home(tmpdir: Path | None, *, own_state: bool) -> Iterator[PrivateHome]:
    """Give a home that goes with the block.

    With ``own_state`` it trusts what this machine trusts, and what it imports is not recorded in
    this machine's ledger.

    Raises:
        ConfigurationError: the state of this machine is incomplete.
        StorageError: the disk refused, or the folder is mounted ``noexec``.
    """
    root = pinned_root.load_root() if own_state else None
    top = find_temporary_folder(tmpdir)
    try:
        with tempfile.TemporaryDirectory(prefix="airgap-proof-", dir=top) as name:
            folder = Path(name)
            refuse_noexec(folder, "Name a folder on another file system: --tmpdir DIR.")
            home = PrivateHome(folder, folder / "airgap" if own_state else state_folder())
            for path in ("hub", "bentoml"):
                (folder / path).mkdir()
            if root:
                _pin(home, root)
            yield home
    except OSError as error:
        raise storage_error(error, top) from error


def _pin(home: PrivateHome, root: PinnedRoot) -> None:
    envelopes = {dsse.decode(envelope).key_id: envelope for envelope in root.envelopes}
    with home.use():
        pinned_root.save_root(root.raw, envelopes, root.fingerprint, None)
        begin_history(require_root().value)


def is_here(item: Item) -> bool:
    """Tell whether an item is installed on this machine, with the same content."""
    here = install_path(item)
    with suppress(OSError):
        return (
            here.final.is_dir()
            and all((here.final / file.path).stat().st_size == file.size for file in item.files)
            and not has_missing_files(item, here)
            and not any(find_differences(item, here))
        )
    return False
