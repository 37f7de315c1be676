"""Checkpoints in the evidence of a bundle, with their time stamps (format §36.7)."""

import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from airgap.carrier.depot import Depot
from airgap.flow.archive.archive_index import StampedArchive
from airgap.flow.progress import Progress
from airgap.flow.retention.records import place_named
from airgap.format import archive, limits, names, stamp_files
from airgap.format.archive import EvidenceFile
from airgap.format.shard import WHOLE, Shard
from airgap.format.stamp_files import StampedFile

__all__ = ["StampedEvidence", "find_evidence_chains", "find_unclear", "list_stamped_evidence"]

_FILE: Final = re.compile(r"[0-9a-f]{16}\.([A-Za-z0-9][-._A-Za-z0-9]*)")
_FIRST: Final = re.compile(r"(.+)\.1\.tsr")


@dataclass
class StampedEvidence:
    """The stamped files in the evidence of one bundle: fills ``Stampable``.

    A new stamp is a new file of evidence, named by its content; nothing else is changed.
    """

    depot: Depot
    evidence_of: str
    progress: Progress
    bundle: str = ""

    @property
    def location(self) -> str:
        """Where it is, for messages."""
        return f"{self.depot.location}/{archive.EVIDENCE}/{self.evidence_of}"

    def find_stamped(self) -> list[StampedFile]:
        """Return what has stamps, each with its chain."""
        return find_evidence_chains(self.depot, self.evidence_of)

    def list_certificates(self) -> list[tuple[bytes, bytes]]:
        """Return the certificates of the archive; see ``Stampable``."""
        return StampedArchive(self.depot, self.progress).list_certificates()

    def add(self, file: str, data: bytes) -> None:
        """Add a stamp to the evidence, or a certificate to the archive; see ``Stampable``."""
        if stamp_files.parse_certificate_file(file) is not None:
            StampedArchive(self.depot, self.progress).add(file, data)
            return
        evidence = EvidenceFile(file, hashlib.sha256(data).hexdigest(), len(data))
        place_named(self.depot, archive.evidence_name(self.evidence_of, evidence), data)

    def record(self, file: str, stamp: bytes) -> None:
        """Append an entry to the ledger of exports."""
        StampedArchive(self.depot, self.progress).record(file, stamp)


def list_stamped_evidence(depot: Depot, shard: Shard = WHOLE) -> list[str]:
    """Return the ids of the bundles of a shard whose evidence has a stamp over another file of it.

    Raises:
        TransportError: the archive cannot be read.
    """
    return [
        bundle
        for bundle in depot.transport.list(archive.EVIDENCE, limits.FOLDER_NAMES)
        if names.is_bundle_id(bundle)
        and shard.takes(bytes.fromhex(bundle))
        and _list_stamped(_list_files(depot, bundle))
    ]


def find_unclear(depot: Depot, bundle: str) -> list[str]:
    """Return the names of stamped files, and of their stamps, of which there are several contents.

    Nobody can say which is meant: their chains can neither be checked nor renewed.

    Raises:
        TransportError: the archive cannot be read.
    """
    files = _list_files(depot, bundle)
    return [
        name
        for stamped in _list_stamped(files)
        for name in (stamped, *_list_stamps(stamped, files))
        if len(files[name]) > 1
    ]


def find_evidence_chains(depot: Depot, bundle: str) -> list[StampedFile]:
    """Return the checkpoints in the evidence of a bundle that have stamps, each with its chain.

    What has one name and several contents is left out: nobody can say which is meant.

    Raises:
        CorruptError: a file is longer than a checkpoint.
        TransportError: the archive cannot be read.
    """
    files = _list_files(depot, bundle)
    folder = f"{archive.EVIDENCE}/{bundle}"
    chains = []
    for name in _list_stamped(files):
        stamps = _list_stamps(name, files)
        if any(len(files[one]) > 1 for one in (name, *stamps)):
            continue
        data = depot.read(f"{folder}/{files[name][0]}", limits.NOTE_BYTES)
        read = {
            stamp: depot.read(f"{folder}/{files[stamp][0]}", limits.TIME_STAMP_BYTES)
            for stamp in stamps
        }
        chains.append(stamp_files.find_chain(name, data, read))
    return chains


def _list_files(depot: Depot, bundle: str) -> dict[str, list[str]]:
    """Return the files of evidence by the names that they had."""
    files: dict[str, list[str]] = defaultdict(list)
    for file in depot.transport.list(f"{archive.EVIDENCE}/{bundle}", limits.FOLDER_NAMES):
        match = _FILE.fullmatch(file)
        if match:
            files[match[1]].append(file)
    return dict(files)


def _list_stamps(name: str, files: dict[str, list[str]]) -> list[str]:
    """Return the names of the stamps of a chain that are there."""
    stamps = (stamp_files.stamp_file(name, number) for number in range(1, limits.STAMPS + 1))
    return [stamp for stamp in stamps if stamp in files]


def _list_stamped(files: dict[str, list[str]]) -> list[str]:
    """Return the names of files that have a first stamp, and are no stamps or envelopes."""
    first = (_FIRST.fullmatch(name) for name in files)
    found = {match[1] for match in first if match}
    return sorted(name for name in found if name in files and not name.endswith(".tsr"))
