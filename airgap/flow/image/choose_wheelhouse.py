"""The wheelhouse that the image of a Bento is made with."""

from dataclasses import dataclass
from pathlib import Path

from airgap.disk.digests import digest_file
from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_bounded
from airgap.errors import CorruptError, MissingError, UsageError
from airgap.format import limits
from airgap.format.files import version_of
from airgap.format.kinds import WHEELHOUSE
from airgap.format.wheelhouse import LOCK, WHEELS, Wheelhouse, decode
from airgap.store.bento_runtime import digest_requirements
from airgap.store.kinds import find_kind

__all__ = ["InstalledLock", "choose_wheelhouse"]


@dataclass(frozen=True, slots=True)
class InstalledLock:
    """A wheelhouse in the store, by its lock; its wheels are compared when they are found."""

    folder: Path
    lock: Wheelhouse
    version: str

    @property
    def tag(self) -> str:
        """Its tag in the store."""
        return f"{self.lock.target}:{self.version}"

    def find_wheels(self) -> list[Path]:
        """Return the wheels in the order of the lock. Raises CorruptError, StorageError."""
        return [self._find(package.file, package.sha256) for package in self.lock.packages]

    def _find(self, file: str, expected: bytes) -> Path:
        path = self.folder / WHEELS / file
        with translate_errors(path):
            actual = digest_file(path)
        if actual != expected:
            raise CorruptError(
                f"{path} is damaged (SHA-256 is {actual.hex()}, expected {expected.hex()}).",
                "Import the bundle that brought the wheelhouse again, with --replace.",
            )
        return path


def choose_wheelhouse(bento: Path, tag: str, target: str) -> InstalledLock:
    """Return the wheelhouse of a Bento for a target; of any, if there is one.

    Raises:
        MissingError: there is none.
        UsageError: there are several.
        CorruptError, StorageError: a lock or the Bento cannot be read.
    """
    digest = digest_requirements(bento)
    kind = find_kind(WHEELHOUSE.name)
    fitting = [
        lock
        for name, version in kind.list_tags()
        if (lock := _read_lock(kind.install_path(name, version).final, version)).lock.requirements
        == digest
        and target in ("", name)
    ]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise MissingError(
            f"There is no wheelhouse of {tag}{f' for {target}' if target else ''} here.",
            "Export the Bento with --with-env, and import it.",
        )
    raise UsageError(
        f"There are {len(fitting)} wheelhouses of {tag}.",
        f"Choose one with --target {fitting[0].lock.target}.",
        [f"there is {lock.tag}" for lock in fitting],
    )


def _read_lock(folder: Path, version: str) -> InstalledLock:
    raw = read_bounded(folder, LOCK, limits.DESCRIPTION_BYTES)
    if version_of(raw) != version:
        raise CorruptError(
            f"{folder / LOCK} is damaged (SHA-256 begins with {version_of(raw)}, expected"
            f" {version}).",
            "Import the bundle that brought it again, with --replace.",
        )
    return InstalledLock(folder, decode(raw), version)
