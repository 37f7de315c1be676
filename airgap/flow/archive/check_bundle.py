"""Checks what lies beside the manifest of a bundle in an archive (format §36.3).

Nothing here reads a pack, and nothing is trusted: what is found is said.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from airgap.carrier.depot import DepotBundle
from airgap.errors import AirgapError, ConfigurationError, MissingError
from airgap.flow.archive.check_stamps import check_chains
from airgap.flow.bundle.signature_files import read_signature_files
from airgap.format import attestation, layout, limits, parity, stamp_files
from airgap.format import root as roots
from airgap.format.attachment import list_names
from airgap.format.check_result import ArchiveTest, CheckProblem, ProblemKind
from airgap.format.envelope import decode as decode_envelope
from airgap.format.manifest import Manifest
from airgap.format.root import Key, Root, SignedRoot
from airgap.printable import make_printable
from airgap.signing import time_stamps, trust
from airgap.signing.as_of import AcceptedRoot
from airgap.signing.thresholds import find_valid_signers
from airgap.signing.trust import Verified
from airgap.transport.port import Transport

__all__ = [
    "BundleCheck",
    "KnownRoots",
    "check_roots",
    "digest_file",
    "has_stamp_library",
    "read_now",
]

_TEXT_CHARACTERS: Final = 400


@dataclass(frozen=True, slots=True)
class KnownRoots:
    """The pinned root, and the older ones that are accepted with it."""

    pinned: Verified[Root]
    accepted: Sequence[AcceptedRoot]

    def find_key(self, role: str, key_id: str) -> Key | None:
        """Return a key of a role in any of these roots, revoked or not."""
        for one in self.accepted:
            for name, keys in one.root.roles.items():
                if name == role and key_id in keys.key_ids:
                    return next(key for key in one.root.keys if key.id == key_id)
        return None


@dataclass
class BundleCheck:
    """A check of the small files of one bundle; ``problems`` are found by ``run``."""

    reader: DepotBundle
    raw: bytes
    manifest: Manifest
    roots: KnownRoots | None
    now: int
    with_stamps: bool = True
    problems: list[CheckProblem] = field(default_factory=list)

    def run(self) -> list[CheckProblem]:
        """Check everything; return what is wrong.

        Raises:
            TransportError: the archive cannot be read.
        """
        signed = read_signature_files(self.reader)
        attached = self.reader.read_attachments()
        self._check_listed(signed, attached)
        if self.roots:
            self._check_signatures(self.roots, signed)
        self._check_reports(signed, attached)
        self._check_indexes(signed, attached)
        if self.with_stamps:
            chains = stamp_files.find_stamped(signed, attached)
            folder = f"{layout.BUNDLES}/{self.reader.bundle}"
            self.problems += check_chains(chains, folder, self.now)
        self._check_parity()
        return self.problems

    def _check_listed(self, signed: Mapping[str, bytes], attached: Mapping[str, bytes]) -> None:
        """Find files of which the name is right, and the content cannot be read."""
        for file in self.reader.list_files():
            is_signature = layout.parse_envelope_file(file) or layout.parse_attestation_file(file)
            if is_signature and file not in signed:
                self._add("signatures", file, "corrupt", "it is not what its name says")
        for file in list_names(self.reader.list_files()):
            if file not in attached:
                self._add(
                    "attachments", file, "corrupt", "it is empty, too long, or cannot be read"
                )

    def _check_signatures(self, trusted: KnownRoots, signed: Mapping[str, bytes]) -> None:
        valid: set[str] = set()
        for file, raw in signed.items():
            parsed = layout.parse_envelope_file(file)
            if parsed is None:
                continue
            role, key_id = parsed[0], decode_envelope(raw).key_id
            key = trusted.find_key(role, key_id)
            document = self.raw if role == "builder" else signed[layout.attestation_beside(file)]
            if key is None:
                continue
            try:
                find_valid_signers(role, document, [raw], {key_id: key})
            except AirgapError:
                self._add("signatures", file, "corrupt", f"it is not the signature of key {key_id}")
                continue
            if role == "builder":
                valid.add(key_id)
        self._check_builders(trusted, signed, valid)

    def _check_builders(
        self, trusted: KnownRoots, signed: Mapping[str, bytes], valid: set[str]
    ) -> None:
        """Demand enough builders of a root of then, and say so if those of today are too few."""
        name = layout.MANIFEST
        enough = [
            one.root.version
            for one in trusted.accepted
            if one.root.threshold("builder") <= len(valid & _list_builders(one.root))
        ]
        if not enough:
            text = f"no accepted root has enough of its builders ({len(valid)} valid signatures)"
            self._add("signatures", name, "not-trusted", text)
            return
        envelopes = [data for file, data in signed.items() if file.startswith("builder.")]
        try:
            trust.demand_builders(self.raw, envelopes, trusted.pinned)
        except AirgapError as error:
            text = f"signed by root version {enough[-1]}, but: {error.message}"
            self._add("signatures", name, "not-trusted", text, is_warning=True)

    def _check_reports(self, signed: Mapping[str, bytes], attached: Mapping[str, bytes]) -> None:
        """Compare the findings of attestations with the digests in them (format §14)."""
        for file, raw in signed.items():
            if layout.parse_attestation_file(file) is None:
                continue
            try:
                findings = attestation.decode(raw).findings
            except AirgapError as error:
                self._add("signatures", file, "corrupt", error.message)
                continue
            report = layout.findings_file(file)
            if findings is None:
                continue
            if report not in attached:
                text = "the findings that were signed are not attached"
                self._add("attachments", report, "missing", text, is_warning=True)
            elif hashlib.sha256(attached[report]).digest() != findings:
                self._add("attachments", report, "corrupt", "it is not the file that was signed")

    def _check_indexes(self, signed: Mapping[str, bytes], attached: Mapping[str, bytes]) -> None:
        """Compare small files with the stronger digests of indexes (format §33.5)."""
        folder = f"{layout.BUNDLES}/{self.reader.bundle}/"
        present = {f"{folder}{file}": data for file, data in {**signed, **attached}.items()}
        present[layout.manifest_name(self.reader.bundle)] = self.raw
        for file in filter(stamp_files.is_index_file, attached):
            try:
                lines = stamp_files.parse_index(attached[file], file)
            except AirgapError as error:
                self._add("attachments", file, "corrupt", error.message)
                continue
            for line in lines:
                data = present.get(line.name)
                if not line.name.startswith(folder):  # a pack: its name is its SHA-256
                    continue
                if data is None:
                    self._report("attachments", line.name, "missing", f"{file} names it")
                elif (hashlib.sha512(data).digest(), len(data)) != (line.sha512, line.size):
                    text = f"it is not the file that {file} names"
                    self._report("attachments", line.name, "corrupt", text)

    def _check_parity(self) -> None:
        name = layout.parity_index_name(self.reader.bundle)
        if name.rpartition("/")[2] not in self.reader.list_files():
            return
        packs = self.manifest.packs
        try:
            groups = parity.decode(
                self.reader.depot.read(name, limits.PARITY_INDEX_BYTES), len(packs)
            )
        except AirgapError as error:
            self._report("parity", name, "corrupt", error.message)
            return
        for group in groups:
            size = max(packs[index].size for index in group.packs)
            for digest in group.parity:
                file = layout.parity_name(self.reader.bundle, digest)
                try:
                    if digest_file(self.reader.depot.transport, file, size) != digest:
                        self._report("parity", file, "corrupt", "it is damaged")
                except MissingError:
                    self._report("parity", file, "missing", "it is not there")
                except AirgapError as error:
                    self._report("parity", file, "corrupt", error.message)

    def _add(
        self,
        test: ArchiveTest,
        file: str,
        kind: ProblemKind,
        text: str,
        *,
        is_warning: bool = False,
    ) -> None:
        name = f"{layout.BUNDLES}/{self.reader.bundle}/{file}"
        self._report(test, name, kind, text, is_warning=is_warning)

    def _report(
        self,
        test: ArchiveTest,
        name: str,
        kind: ProblemKind,
        text: str,
        *,
        is_warning: bool = False,
    ) -> None:
        text = make_printable(text)[:_TEXT_CHARACTERS]
        self.problems.append(
            CheckProblem("warned" if is_warning else "failed", test, name, kind, text)
        )


def _list_builders(root: Root) -> frozenset[str]:
    """Return the ids of the builders of a root, revoked or not."""
    return frozenset(root.roles["builder"].key_ids)


def check_roots(signed: Sequence[SignedRoot]) -> Iterator[CheckProblem]:
    """Find roots that travel in an archive and cannot be decoded."""
    for number, one in enumerate(signed, 1):
        try:
            roots.decode(one.raw)
        except AirgapError as error:
            text = make_printable(error.message)[:_TEXT_CHARACTERS]
            yield CheckProblem(
                "failed", "roots", f"{layout.ROOTS} (number {number})", "corrupt", text
            )


def has_stamp_library() -> bool:
    """Tell whether time stamps can be read on this machine."""
    try:
        time_stamps.demand_library()
    except ConfigurationError:
        return False
    return True


def digest_file(transport: Transport, name: str, size: int) -> bytes | None:
    """Return the SHA-256 of a file, of which no more is kept than a piece; None for another size.

    Raises:
        MissingError: it is not there.
        TransportError, StorageError: it cannot be read.
    """
    state, seen = hashlib.sha256(), 0

    def update(piece: memoryview) -> None:
        nonlocal seen
        state.update(piece)
        seen += len(piece)

    transport.get(name, update, 0, size + 1)
    return state.digest() if seen == size else None


def read_now() -> int:
    """Return the time of this machine's clock, in seconds since 1970."""
    return int(time.time())
