"""A single ``.airgap`` file: a tar whose manifest comes first (format §9).

Reading never seeks, so that it works on a pipe. Writing leaves room for the manifest, whose size
is known last, and fills the rest of the room with a member of zeros.
"""

import io
import os
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, Self, cast

from airgap.carrier.archive_padding import make_member, read_padding
from airgap.carrier.archive_signatures import add_attachment, add_files
from airgap.carrier.resumed_file import ResumedFile
from airgap.carrier.texts import texts
from airgap.codec.buffer import Buffer
from airgap.disk.buffers import BufferPool
from airgap.disk.os_errors import storage_error, translate_errors
from airgap.errors import AirgapError, ConflictError, CorruptError, MissingError, UsageError
from airgap.format import layout, limits, model_signature, tar
from airgap.format.attachment import parse_attachment_file
from airgap.format.attestation import ATTESTING_ROLES
from airgap.format.envelope import Role
from airgap.format.manifest import Pack
from airgap.format.root import SignedRoot

__all__ = [
    "ENVELOPE_ROOM",
    "ArchiveReader",
    "ArchiveWriter",
    "CutOffError",
]

ENVELOPE_ROOM: Final = 64 * limits.KIB  # some 60 signatures, 20 approvals, or 8 of ML-DSA
_COPY_BYTES: Final = limits.MIB


class CutOffError(CorruptError):
    """A file ends before its end mark: more bytes may be on their way."""


class _Member(NamedTuple):
    """The header of a member: its name, and its size in bytes."""

    name: str
    size: int


_END: Final = _Member("", 0)
"""What follows the last member."""


class ArchiveReader:
    """Fills ``BundleReader`` with a stream, read strictly from front to back."""

    stock_archive: None = None
    depot: None = None
    volumes = ()
    is_stream = True
    spooled = None

    def __init__(self, stream: BinaryIO, location: str, path: Path | None = None) -> None:
        """Take an open stream, which ``close`` closes; and its path, if it is a local file."""
        self.location = location
        self._stream = stream
        self._path = path
        self._envelopes: list[tuple[Role, bytes]] = []
        self._attestations: list[tuple[Role, tuple[bytes, bytes]]] = []
        self._names: set[str] = set()
        self._next = _END
        self._bundle = ""
        self._model_signatures: dict[str, bytes] = {}

    def read_manifest(self) -> tuple[str, bytes]:
        """Read the first member: return the bundle id in its name, and its bytes."""
        self._advance()
        bundle = layout.parse_manifest_name(self._next.name)
        if bundle is None or self._next.size > limits.MANIFEST_BYTES:
            raise self._wrong("does not begin with a manifest")
        self._bundle = bundle
        raw = self._take_member()
        while self._read_signature(f"{layout.BUNDLES}/{bundle}/"):
            pass
        return bundle, raw

    def read_envelopes(self, role: Role) -> list[bytes]:
        """Return the envelopes of one role that followed the manifest."""
        return [raw for other, raw in self._envelopes if other == role]

    def read_attestations(self, role: Role) -> list[tuple[bytes, bytes]]:
        """Return each attestation of one role that followed the manifest, with its envelope."""
        return [pair for other, pair in self._attestations if other == role]

    def read_roots(self) -> list[SignedRoot]:
        """Return the roots that travel in the file, by version; call it after ``read_manifest``.

        Raises:
            MissingError: there are none.
        """
        roots: dict[int, bytes] = {}
        envelopes: dict[int, list[bytes]] = {}
        for version, is_root in self._root_members():
            data = self._take_member()
            if is_root:
                roots[version] = data
            else:
                envelopes.setdefault(version, []).append(data)
        if not roots:
            raise MissingError(f"{self.location} holds no roots.", "Give the path of a root file.")
        return [
            SignedRoot(roots[version], tuple(envelopes.get(version, ())))
            for version in sorted(roots)
        ]

    def read_attachments(self) -> dict[str, bytes]:
        """Return the attachments at the end of the padding; see ``SignedManifest``."""
        if not self._is_padding():
            return {}
        if self._next.size > limits.PADDING_BYTES:
            raise self._wrong("has an overlong padding")
        padding = read_padding(self._read, self._next.size, f"{layout.BUNDLES}/{self._bundle}/")
        self._advance()
        return dict(padding.attachments)

    def add_files(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Put an envelope, or an attestation and its envelope, into the room left for it."""
        add_files(self._require_path(), self._bundle, files)

    def add_attachment(self, file: str, data: bytes) -> None:
        """Put an attachment into the room left for signatures; see ``SignedManifest``."""
        add_attachment(self._require_path(), self._bundle, file, data)

    def _require_path(self) -> Path:
        if self._path is None:
            raise UsageError(
                f"Nothing can be added to {self.location}: it is not a file on this machine.",
                "Fetch the file (`airgap copy`), sign it or attach to it here, and copy it back;"
                " or use a depot.",
            )
        return self._path

    @property
    def packs(self) -> Self:
        """Itself: the packs follow in the stream."""
        return self

    def read_packs(
        self, packs: Sequence[Pack], wanted: Container[int], memory: BufferPool | None = None
    ) -> Iterator[tuple[int, Buffer | AirgapError]]:
        """Yield index and bytes of each wanted pack; demand all of them, and a proper end."""
        for _ in self._root_members():
            self._skip(limits.ROOT_BYTES)
        for index, pack in enumerate(packs):
            self._demand(layout.pack_name(pack.digest), pack.size)
            if index in wanted:
                yield index, self._take_pack(pack.size, memory)
                self._advance()
            else:
                self._skip(limits.SEALED_PACK_BYTES)
        self._take_model_signatures(f"{layout.BUNDLES}/{self._bundle}/")
        for name in (layout.checksums_name(self._bundle), *texts()):
            if self._next.name == name:
                self._skip(limits.TEXT_MEMBER_BYTES)
        self._demand_end()

    def read_model_signatures(self, files: Collection[str]) -> dict[str, bytes]:
        """Return those of these files that followed the packs."""
        return {name: data for name, data in self._model_signatures.items() if name in files}

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()

    def _read_signature(self, prefix: str) -> bool:
        """Read an envelope, or an attestation and its envelope; tell whether there was one."""
        file = self._file_below(prefix)
        parsed = layout.parse_attestation_file(file)
        if parsed:
            statement = self._take_small(parsed[0], limits.ATTESTATION_BYTES)
            if self._file_below(prefix) != f"{file.removesuffix('attestation')}dsse":
                raise self._wrong("has an attestation without its signature")
            envelope = self._take_small(parsed[0], limits.ENVELOPE_BYTES)
            self._attestations.append((parsed[0], (statement, envelope)))
            return True
        parsed = layout.parse_envelope_file(file)
        if parsed is None:
            return False
        if parsed[0] in ATTESTING_ROLES:
            raise self._wrong("has a signature without its attestation")
        self._envelopes.append((parsed[0], self._take_small(parsed[0], limits.ENVELOPE_BYTES)))
        return True

    def _take_model_signatures(self, prefix: str) -> None:
        """Take them whole, and read the header of the next one."""
        left, last = limits.MODEL_SIGNATURES_BYTES, ""
        while model_signature.is_file_name(file := self._file_below(prefix)):
            size = self._next.size
            left -= size
            if left < 0 or size > limits.MODEL_SIGNATURE_BYTES or file <= last:
                raise self._wrong("has overlong signatures of models, or not in order")
            last = file
            self._model_signatures[file] = self._take_member()

    def _file_below(self, prefix: str) -> str:
        name = self._next.name
        return name.removeprefix(prefix) if name.startswith(prefix) else ""

    def _take_small(self, role: Role, limit: int) -> bytes:
        """Take an envelope or attestation whole, and read the header of the next one."""
        if self._next.name in self._names:
            raise self._wrong("has a signature twice")
        self._names.add(self._next.name)
        count = sum(other == role for other, _ in (*self._envelopes, *self._attestations))
        if self._next.size > limit or count >= limits.ENVELOPES:
            raise self._wrong("has an overlong signature, or too many of them")
        return self._take_member()

    def _is_padding(self) -> bool:
        """Tell whether the next member is the padding, which is there once at most."""
        if self._next.name != tar.PADDING_NAME:
            return False
        if self._next.name in self._names:
            raise self._wrong("has a padding twice")
        self._names.add(self._next.name)
        return True

    def _root_members(self) -> Iterator[tuple[int, bool]]:
        """Skip the padding, then yield version and kind of each member that is a root's.

        The caller takes or skips each member. After the last one, there are no more.
        """
        if self._is_padding():
            self._skip(limits.PADDING_BYTES)
        left = {True: limits.TRAVELLING_ROOTS, False: limits.TRAVELLING_ENVELOPES}
        while parsed := layout.parse_root_file(self._file_below(f"{layout.ROOTS}/")):
            version, is_root = parsed
            left[is_root] -= 1
            most = limits.ROOT_BYTES if is_root else limits.ENVELOPE_BYTES
            if self._next.size > most or left[is_root] < 0 or self._next.name in self._names:
                raise self._wrong("has an overlong root, too many of them, or one twice")
            self._names.add(self._next.name)
            yield version, is_root

    def _demand(self, name: str, size: int) -> None:
        if self._next == _END:
            raise MissingError(
                f"{self.location} ends before {name}.", "Copy the file from its source again."
            )
        if self._next != (name, size):
            raise self._wrong(f"has {self._next.name!r} where {name!r} of {size:,} bytes belongs")

    def _demand_end(self) -> None:
        if self._next != _END:
            raise self._wrong(f"has {self._next.name!r} after its last member")
        # One byte more than there may be: a pipe could give zeros for ever.
        rest = self._read_up_to(limits.TAIL_BYTES + 1)
        if len(rest) > limits.TAIL_BYTES or rest.strip(b"\0"):
            raise self._wrong("goes on after its end")

    def _advance(self) -> None:
        """Read the next member's header."""
        block = self._read(tar.BLOCK)  # one that is cut off may be on its way
        try:
            header = tar.parse_header(block)
        except CorruptError as error:
            raise CorruptError(
                f"{self.location} is not a .airgap file, or is damaged or cut off.", error.hint
            ) from error
        self._next = _Member(*header) if header else _END
        if header is None and self._read(tar.BLOCK) != bytes(tar.BLOCK):
            raise self._wrong("does not end as it should")

    def _take_member(self) -> bytes:
        """Take the member that was announced whole, and read the header of the next one."""
        data = self._take(self._next.size)
        self._advance()
        return data

    def _take(self, size: int) -> bytes:
        data = self._read(size)
        self._take_zeros(tar.round_to_block(size) - size)
        return data

    def _take_zeros(self, size: int) -> None:
        if self._read(size).strip(b"\0"):
            raise self._wrong("has other bytes than zeros between its members")

    def _take_pack(self, size: int, memory: BufferPool | None) -> Buffer:
        if memory is None:
            return self._take(size)
        data = memory.fill(size, self._read_into)
        if len(data) != size:
            raise self._cut_off()
        self._take_zeros(tar.round_to_block(size) - size)
        return data

    def _skip(self, limit: int) -> None:
        """Skip a member whose bytes are not needed, and read the header of the next one."""
        if self._next.size > limit:
            raise self._wrong(f"has an overlong {self._next.name!r}")
        left = tar.round_to_block(self._next.size)
        if self._stream.seekable():  # what lies beyond the end of the file shows at the next read
            self._stream.seek(left, os.SEEK_CUR)
            left = 0
        while left:
            left -= len(self._read(min(left, _COPY_BYTES)))
        self._advance()

    def _read_up_to(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except OSError as error:
            raise storage_error(error, self.location) from error

    def _read_into(self, view: memoryview) -> int:
        try:
            return cast("io.BufferedReader", self._stream).readinto(view)
        except OSError as error:
            raise storage_error(error, self.location) from error

    def _read(self, size: int) -> bytes:
        data = self._read_up_to(size)
        if len(data) != size:
            raise self._cut_off()
        return data

    def _cut_off(self) -> CutOffError:
        return CutOffError(
            f"{self.location} ends too early.", "It is cut off: copy it from its source again."
        )

    def _wrong(self, why: str) -> CorruptError:
        return CorruptError(f"{self.location} {why}.", "Copy the file from its source again.")


class ArchiveWriter:
    """Writes one bundle into a ``.airgap`` file, under another name until it is complete.

    It goes on with what an interrupted run left (format §9).
    """

    transport: None = None

    def __init__(
        self,
        path: Path,
        manifest_room: int,
        tell: Callable[[str], object] = lambda _: None,
        *,
        is_spool: bool = False,
    ) -> None:
        """Leave ``manifest_room`` bytes for the manifest; ``tell`` gets notes for people.

        A spool is removed at the end of this process, and need not survive a power cut.

        Raises:
            StorageError: the file cannot be made.
        """
        self._path, self._is_spool = path, is_spool
        self._room = tar.round_to_block(manifest_room) + ENVELOPE_ROOM + 2 * tar.BLOCK
        with translate_errors(path):
            self._file = ResumedFile(path, self._room, tell)

    def lacks(self, _: Pack) -> bool:
        """Tell that each pack is needed: also one that is there is compared."""
        return True

    def put_root(self, name: str, data: bytes) -> None:
        """Append a file of a root that travels; call it before ``put_pack``."""
        self._append(name, [data])

    def put_pack(self, digest: bytes, parts: list[Buffer]) -> bool:
        """Append a pack; return False if an interrupted run had written it."""
        return self._append(layout.pack_name(digest), parts)

    def publish(
        self, bundle: str, manifest: bytes, envelopes: dict[str, bytes], packs: Sequence[Pack]
    ) -> None:
        """Append the texts, fill the front, sync, rename.

        Raises:
            StorageError: the disk refused.
            ConflictError: a folder is in the way.
        """
        for file in sorted(filter(model_signature.is_file_name, envelopes)):
            self._append(f"{layout.BUNDLES}/{bundle}/{file}", [envelopes[file]])
        self._append(layout.checksums_name(bundle), [layout.list_checksums(bundle, packs)])
        for name, data in texts().items():
            self._append(name, [data])
        front, attachments = _make_front(bundle, manifest, envelopes)
        left = self._room - len(front) - tar.BLOCK
        if left < len(attachments):
            self._file.discard()
            raise AirgapError("The room left for the manifest was too small.", "Report this.")
        padding = tar.make_header(tar.PADDING_NAME, left)
        try:
            self._file.publish(
                tar.END,
                [(self._room - len(attachments), attachments), (0, front + padding)],
                is_spool=self._is_spool,
            )
        except IsADirectoryError as error:
            self._file.discard()
            raise ConflictError(
                f"{self._path} is a folder.", "Give the name of a file to write."
            ) from error
        except OSError as error:
            raise storage_error(error, self._path) from error

    def abort(self) -> None:
        """Close the incomplete file, with which the next run goes on; remove an empty one."""
        self._file.leave()

    def discard(self) -> None:
        """Remove the incomplete file. Does nothing after ``publish``."""
        self._file.discard()

    def _append(self, name: str, parts: Sequence[Buffer]) -> bool:
        size = sum(map(len, parts))
        zeros = bytes(tar.round_to_block(size) - size)
        with translate_errors(self._path):
            return self._file.append([tar.make_header(name, size), *parts, zeros])


def _make_front(bundle: str, manifest: bytes, files: dict[str, bytes]) -> tuple[bytes, bytes]:
    """Return the members before the padding, and those that the padding ends with (format §24)."""
    front, attachments = make_member(layout.manifest_name(bundle), manifest), b""
    for file in sorted(files):
        member = make_member(f"{layout.BUNDLES}/{bundle}/{file}", files[file])
        if parse_attachment_file(file):
            attachments += member
        elif not model_signature.is_file_name(file):
            front += member
    return front, attachments
