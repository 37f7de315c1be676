"""From a location to readers of the bundles that are there."""

import errno
import io
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from airgap.carrier import local_depot
from airgap.carrier.archive import ArchiveReader
from airgap.carrier.local_depot import DepotReader
from airgap.carrier.port import BundleReader
from airgap.disk.named_files import open_named
from airgap.disk.os_errors import storage_error
from airgap.disk.reading import read_small
from airgap.errors import AirgapError, CorruptError, MissingError, UsageError
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import (
    ArchiveFile,
    LocalDepot,
    Location,
    RemoteArchive,
    RemoteDepot,
    RemoteStockArchive,
    StandardInput,
    StockArchive,
)
from airgap.format import layout, limits, tar
from airgap.format import root as roots
from airgap.printable import count_text

__all__ = ["is_kit", "open_readers", "require_location", "require_path"]

_TAG: Final = re.compile(r"[A-Za-z0-9_.\-]+:[A-Za-z0-9_.\-]+")
"""``name:version``, which also is a path, of a file in this folder."""


def open_readers(location: Location, connector: Connector) -> list[BundleReader]:
    """Return a reader for each bundle of a depot, or for the one that is meant.

    Raises:
        MissingError: there is none.
        UsageError: standard input is a terminal, or a beginning of an id fits several bundles.
        StorageError, TransportError: it cannot be opened.
    """
    readers: list[BundleReader]
    match location:
        case StandardInput():
            readers = [ArchiveReader(_standard_input(), str(location))]
        case LocalDepot(path):
            bundles = _choose(partial(local_depot.list_bundles, require_path(path)), location)
            readers = [DepotReader(path, bundle) for bundle in bundles]
        case ArchiveFile(path):
            _refuse_other_file(path)
            readers = [ArchiveReader(_open_file(path), str(path), path)]
        case StockArchive(path):
            from airgap.carrier.stock.archive import StockReader

            readers = [StockReader(require_path(path), location.form)]
        case RemoteDepot():
            readers = _open_remote_depot(location, connector)
        case RemoteArchive():
            readers = [connector.open_archive(location)]
        case RemoteStockArchive():
            readers = [connector.open_stock_archive(location)]
    return readers


def require_path(path: Path) -> Path:
    """Return the path of a file or folder that is there.

    Raises:
        MissingError: it is not.
    """
    if not path.exists():
        raise MissingError(f"{path} is not there.", _suggest_location(path))
    return path


def _suggest_location(path: Path) -> str:
    """Say what to check; a person may have named an item in the place of a location."""
    if _TAG.fullmatch(str(path)):
        return (
            "This is the tag of an item, and a location is needed: a depot or a .airgap file, such"
            f" as /media/usb/depot. To take one item from a depot, run `airgap pull {path} DEPOT`."
        )
    return "Check the path, and that the medium is mounted."


def is_kit(location: Location) -> bool:
    """Tell whether this is a kit on this machine: a depot with airgap's installer in it."""
    return isinstance(location, LocalDepot) and all(
        (location.path / name).is_file() for name in layout.KIT_NAMES
    )


def require_location(location: Location) -> None:
    """Require that what is named on this machine is there. Raises MissingError."""
    if isinstance(location, LocalDepot | ArchiveFile | StockArchive):
        require_path(location.path)


def _open_remote_depot(location: RemoteDepot, connector: Connector) -> list[BundleReader]:
    from airgap.carrier.remote_depot import RemoteDepotReader

    depot = connector.open_depot(location)
    try:
        bundles = _choose(depot.list_bundles, location)
    except BaseException:
        depot.close()
        raise
    return [RemoteDepotReader(depot, bundle) for bundle in bundles]


def _choose(
    list_bundles: Callable[[str], list[str]], location: LocalDepot | RemoteDepot
) -> list[str]:
    """Return the bundles that are meant: the one with the id that a person gave, or all.

    Raises:
        MissingError: there is none, or the beginning of the id fits several.
        CorruptError: there are too many to choose from, and no id was given.
    """
    wanted = location.bundle
    chosen = list_bundles(wanted)
    if wanted and len(chosen) != 1:
        others: list[str] = []
        with suppress(CorruptError):  # too many to list them here
            others = list_bundles("")
        depot = replace(location, bundle="")
        raise MissingError(
            f"{depot} holds {len(chosen)} bundles whose id begins with {wanted}.",
            "`airgap list` shows what each of its bundles holds.",
            chosen or others,
        )
    return chosen


def _refuse_other_file(path: Path) -> None:
    """Refuse a small file that no part of a ``.airgap`` file can be, and say what it is.

    Raises:
        UsageError: it is a root, or a text or program that lies in each depot.
        CorruptError: it is shorter than any beginning of a ``.airgap`` file.
    """
    if layout.is_archive_name(path.name) or not path.is_file():  # the latter: a FIFO, which waits
        return
    if path.name in (layout.README_NAME, layout.VERIFIER_NAME):
        raise UsageError(
            f"{path} is not a bundle.",
            f"Give the folder that it lies in: {path.absolute().parent}.",
        )
    size = path.stat().st_size
    if size > limits.ROOT_BYTES:
        return
    try:
        root = roots.decode(read_small(path, limits.ROOT_BYTES))
    except (AirgapError, OSError):
        root = None
    if root is not None:
        raise UsageError(
            f"{path} is a root of site {root.site}, not a bundle.",
            "To trust it for the first time, run `airgap trust init`; to take a newer version, run"
            " `airgap trust update`.",
        )
    if size < tar.BLOCK:
        raise CorruptError(
            f"{path} is not a bundle: it has {count_text(size, 'byte')}.",
            "Give a depot, or a file whose name ends in .airgap.",
        )


def _open_file(path: Path) -> BinaryIO:
    try:
        return io.BufferedReader(open_named(require_path(path)))
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise CorruptError(
                f"{path} is not a regular file.",
                "Give a .airgap file, or pipe one into airgap with `-` in place of the path.",
            ) from error
        raise storage_error(error, path) from error


def _standard_input() -> BinaryIO:
    if sys.stdin is None:  # closed, as in `airgap import - <&-`
        raise MissingError("There is no standard input.", "Pipe a .airgap file into airgap.")
    if sys.stdin.buffer.isatty():
        raise UsageError("Standard input is a terminal.", "Pipe a .airgap file into airgap.")
    return sys.stdin.buffer
