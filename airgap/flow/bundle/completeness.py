"""What has arrived in a folder, as far as its signed manifest tells: is all of it there yet?

Nothing that is not authentic is looked into: names, sizes and ages come from an admitted manifest.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from airgap.carrier.archive import CutOffError
from airgap.carrier.archive_end import describe_absent, describe_missing
from airgap.flow.admission.policy import AdmissionPolicy
from airgap.flow.bundle import open_bundle
from airgap.flow.bundle.unseal import UnsealedPacks
from airgap.flow.location.location import ArchiveFile, LocalDepot
from airgap.format import layout
from airgap.format.newest import Age, newest_first, read_age
from airgap.state import installed_manifests

__all__ = [
    "Age",
    "Completeness",
    "CutOffError",
    "lacking",
    "list_installed",
    "look",
    "newest_first",
]


@dataclass(frozen=True, slots=True)
class Completeness:
    """A bundle that this site admits. ``packs`` are depot names with their sizes in bytes."""

    bundle: str
    items: tuple[str, ...]
    packs: tuple[tuple[str, int], ...]
    age: Age
    completes: str = ""
    """The id of the bundle to which this one only brings missing chunks (format §22)."""
    builds_on_others: bool = False
    """Whether it needs chunks that it does not carry (format §4.2)."""


def look(location: LocalDepot | ArchiveFile, admission: AdmissionPolicy) -> Completeness:
    """Admit a bundle, and read nothing more than its manifest and envelopes.

    Also one that only completes another: it may arrive first. A sealed bundle is opened if the
    policy has identities; its packs are then those of its index.

    Raises:
        CutOffError: it ends before its first pack; more may be on its way.
        AirgapError: it is not admitted; see ``bundles.open_bundle``.
    """
    with open_bundle.open_bundle(location, admission, parts=True) as opened:
        manifest = opened.manifest.value
        source = opened.packs
        packs = source.index if isinstance(source, UnsealedPacks) else manifest.packs
        return Completeness(
            opened.bundle,
            tuple(map(str, manifest.items)),
            tuple((layout.pack_name(pack.digest), pack.size) for pack in packs),
            read_age(opened.bundle, manifest),
            manifest.completes.hex() if manifest.completes else "",
            manifest.carried < len(manifest.chunks),
        )


def lacking(path: Path, arrival: Completeness) -> str | None:
    """Say what is not there yet of an admitted bundle in a file or a depot; None if all is.

    Raises:
        CorruptError: the file is not a ``.airgap`` file.
        StorageError: it cannot be read.
    """
    if not path.is_dir():
        return describe_missing(path, len(arrival.packs))
    absent = sum(not _has_size(path / name, size) for name, size in arrival.packs)
    return describe_absent(absent, len(arrival.packs)) if absent else None


def list_installed() -> frozenset[str]:
    """Return the ids of the bundles that this machine remembers to have imported."""
    return installed_manifests.list_bundles()


def _has_size(path: Path, size: int) -> bool:
    """Tell whether a regular file of this size is there; a link is not followed."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == size
