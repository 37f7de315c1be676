"""``airgap kit``: a signed bundle of wheelhouses, and the programs that install from it."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from airgap.carrier.local_depot import DepotWriter
from airgap.disk.os_errors import storage_error, translate_errors
from airgap.disk.part_file import write_atomically
from airgap.disk.temporary import find_temporary_folder
from airgap.errors import ConflictError, UsageError
from airgap.flow.disk_use import note_peaks
from airgap.flow.exporting.builders import require_builders
from airgap.flow.exporting.foresee import foresee
from airgap.flow.exporting.terms import Terms
from airgap.flow.exporting.write_bundle import ExportResult, export_items
from airgap.flow.kit.programs import INSTALLER, list_programs
from airgap.flow.kit.wheelhouses import EXTRAS, KitPackages, collect_wheelhouses
from airgap.flow.location.connector import LOCAL
from airgap.flow.location.destination import require_folder_above
from airgap.flow.location.location import LocalDepot
from airgap.flow.media.split import VolumeOptions
from airgap.flow.progress import Progress
from airgap.format import layout
from airgap.format.wheelhouse import Target
from airgap.signing.signer import Signer
from airgap.wheels.indexes import parse_indexes
from airgap.wheels.targets import default_target, read_target

__all__ = ["Kit", "KitPackages", "KitRequest", "make_kit", "parse_packages"]

_VERSION: Final = re.compile(r"3\.\d{1,3}")
_FOLDERS: Final = (layout.BUNDLES, layout.PACKS, layout.ROOTS)


@dataclass(frozen=True, slots=True)
class KitRequest:
    """What kit to make, signed by whom, on which terms, and where.

    ``roots`` are roots that travel with it and their envelopes, by depot name (format §8), and
    ``spool`` is where temporary files go.
    """

    folder: Path
    packages: KitPackages
    signers: Sequence[Signer]
    terms: Terms = field(default_factory=Terms)
    roots: Mapping[str, bytes] = field(default_factory=dict)
    jobs: int | None = None
    spool: Path | None = None


@dataclass(frozen=True, slots=True)
class Kit:
    """A kit that was made. ``programs`` are the SHA-256 of its programs, in hex, by name."""

    exported: ExportResult
    programs: Mapping[str, str]

    @property
    def installer(self) -> str:
        """The SHA-256 of the program that a person starts."""
        return self.programs[INSTALLER]


def parse_packages(  # noqa: PLR0913  (one argument per option)
    pythons: Sequence[str],
    targets: Sequence[str],
    running: str,
    *,
    extras: Sequence[str] = (),
    indexes: Sequence[str] = (),
    wheels: Sequence[Path] = (),
) -> KitPackages:
    """Parse what a person wants in a kit.

    Args:
        pythons: versions such as ``3.11``, or several with commas between them.
        targets: further targets.
        running: the version to take if neither names any.
        extras: those of airgap; none: all.
        indexes: as ``--index`` has them; none: those of the environment.
        wheels: files that are taken in place of the indexes'.

    Raises:
        UsageError: one of them is malformed.
    """
    versions = [version.strip() for text in pythons for version in text.split(",")]
    if not versions and not targets:
        versions = [running]
    chosen = [*map(_parse_version, versions), *map(read_target, targets)]
    return KitPackages(
        tuple(dict.fromkeys(chosen)),
        tuple(extras) or EXTRAS,
        parse_indexes(indexes, os.environ) if indexes else None,
        tuple(wheels),
    )


def _parse_version(version: str) -> Target:
    if not _VERSION.fullmatch(version):
        raise UsageError(
            f"{version!r} is not a version of Python 3.", "Write it as in --python 3.11,3.12,3.13."
        )
    return default_target(version, "The kit")


def make_kit(request: KitRequest, progress: Progress) -> Kit:
    """Write a kit into a folder that does not exist, or is empty.

    One that was interrupted goes on in its folder: the bundle is published last.

    Raises:
        UsageError, ConfigurationError, MissingError, TransportError, CorruptError: as
            ``collect_wheelhouses``.
        ConfigurationError: no root that travels has the key as a builder.
        MissingError: the folder above it does not exist.
        ConflictError: something else is in the folder, or a whole kit.
        StorageError: the disk refused, or is too small.
    """
    require_folder_above(request.folder)
    require_builders(request.signers, request.roots)
    programs = list_programs()
    settings = replace(
        request.terms.make_options(request.jobs), roots=request.roots, preset="none"
    )  # compressed, it could not be read with Python's standard library
    with translate_errors(request.folder):
        _refuse_other_content(request.folder, programs)
    with _make_private_folder(request.spool) as private:
        sources = collect_wheelhouses(request.packages, os.environ, private, progress)
        folder = LocalDepot(request.folder)
        foreseen = foresee(sources, folder, settings, VolumeOptions(), LOCAL)
        note_peaks(foreseen.peaks, progress)
        for name, raw in programs.items():
            write_atomically(request.folder, name, [raw])
        writer = DepotWriter(request.folder)
        exported = export_items(sources, writer, request.signers, settings, progress)
    digests = {
        name: hashlib.sha256(raw).hexdigest()
        for name, raw in sorted(programs.items())
        if name != layout.README_NAME
    }
    return Kit(replace(exported, peaks=foreseen.peaks), digests)


def _refuse_other_content(folder: Path, programs: Mapping[str, bytes]) -> None:
    """Refuse a folder that has more in it than a kit that was interrupted. Raises OSError too."""
    if not os.path.lexists(folder):
        return
    if next(folder.glob(f"{layout.BUNDLES}/*/{layout.MANIFEST}"), None) is not None:
        raise ConflictError(
            f"{folder} holds a bundle already.",
            "Make the kit in a folder that does not exist, or remove this one.",
        )
    for path in folder.iterdir():
        if path.name in _FOLDERS or path.name.endswith(".part"):
            continue
        if path.name not in programs or path.read_bytes() != programs[path.name]:
            raise ConflictError(
                f"{path} is not part of a kit.", "Make the kit in a folder that does not exist."
            )


@contextmanager
def _make_private_folder(spool: Path | None) -> Iterator[Path]:
    top = find_temporary_folder(spool)
    try:
        with tempfile.TemporaryDirectory(prefix="airgap-", dir=top) as folder:
            yield Path(folder)
    except OSError as error:
        raise storage_error(error, error.filename or top) from error
