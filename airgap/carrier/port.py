"""The ports of a bundle on the move: what is signed, the source of its packs, and a writer.

All speak of bytes by name. Whether the bytes are the right ones is decided above. What only some
forms of a bundle can do is an attribute that is empty for the others, as a transport has
capabilities: ``PackSource.volumes``, ``BundleReader.stock_archive``, ``BundleWriter.transport``.
"""

from collections.abc import Collection, Container, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from airgap.carrier.depot import Depot
from airgap.carrier.stock.port import StockMembers
from airgap.codec.buffer import Buffer
from airgap.disk.buffers import BufferPool
from airgap.errors import AirgapError
from airgap.format.envelope import Role
from airgap.format.manifest import Pack
from airgap.format.root import SignedRoot
from airgap.transport.port import Transport

__all__ = ["BundleReader", "BundleWriter", "PackSource", "SignedManifest", "Volume"]


class SignedManifest(Protocol):
    """A bundle's manifest and what speaks for it, read in the order of format §11."""

    location: str
    """Where it is, for messages."""

    @property
    def depot(self) -> Depot | None:
        """The depot that it is in (format §23); None for an archive."""
        ...

    def read_manifest(self) -> tuple[str, bytes]:
        """Return the bundle id that the place claims, and the manifest's bytes.

        Raises:
            NotTrustedError: an archive for stock BentoML has no manifest beside it.
        """
        ...

    def read_envelopes(self, role: Role) -> list[bytes]:
        """Return the envelopes of one role; call it after ``read_manifest``."""
        ...

    def read_attestations(self, role: Role) -> list[tuple[bytes, bytes]]:
        """Return each attestation of one role with its envelope; call it after ``read_manifest``.

        One without the other is ignored (format §14).
        """
        ...

    def read_attachments(self) -> dict[str, bytes]:
        """Return the attachments, by file name (format §24).

        Call it after ``read_manifest`` and before roots or packs are read. Nothing depends on
        them: one that cannot be read, or is too long, is left out.
        """
        ...

    def add_attachment(self, file: str, data: bytes) -> None:
        """Put an attachment beside the manifest, unless exactly this one is there.

        Raises:
            UsageError: nothing can be added here.
            ConflictError: another one of this name is there, or no room is left.
            StorageError, TransportError: it cannot be written.
        """
        ...

    def read_roots(self) -> list[SignedRoot]:
        """Return the roots that travel with the bundle, by version.

        Call it after ``read_manifest`` and before any pack is read.

        Raises:
            MissingError: there are none.
            CorruptError: there are too many, or one is not a regular file.
        """
        ...

    def add_files(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Put an envelope, or an attestation and then its envelope, beside the manifest.

        A crash leaves the bundle as it was, or with an attestation that has no envelope yet.

        Raises:
            UsageError: nothing can be added here.
            ConflictError: this key has signed something else there, or no room is left.
            StorageError, TransportError: it cannot be written.
        """
        ...


class Volume(Protocol):
    """A bundle's files in a local folder: each at any time, from any thread (format §19, §20)."""

    location: str
    """Where it is, for messages."""
    folder: Path

    def read_pack(self, pack: Pack, memory: BufferPool | None = None) -> Buffer | AirgapError:
        """Return the bytes under a pack's name, or what is wrong with them."""
        ...

    def size_of(self, digest: bytes, *, is_parity: bool = False) -> int | None:
        """Return the size in bytes under a pack's or parity pack's name; None for nothing."""
        ...

    def open_pack(self, digest: bytes) -> AbstractContextManager[int]:
        """Open a pack, whatever it holds. Raises as ``open_regular``."""
        ...

    def open_parity(self, digest: bytes) -> AbstractContextManager[int]:
        """Open a parity pack, whatever it holds. Raises as ``open_regular``."""
        ...

    def read_label(self) -> bytes:
        """Return the label, if the folder is a volume (format §19). Raises as ``read_bounded``."""
        ...

    def read_parity_index(self) -> bytes:
        """Return the parity index, if there is one (format §20). Raises as ``read_bounded``."""
        ...

    def read_model_signatures(self, files: Collection[str]) -> dict[str, bytes]:
        """Return those of these files that are there; see ``PackSource``."""
        ...


class PackSource(Protocol):
    """Where the packs of a bundle come from, and what follows them."""

    @property
    def location(self) -> str:
        """Where they are, for messages."""
        ...

    @property
    def volumes(self) -> Sequence[Volume]:
        """The local folders that have the packs; none where packs are not read in any order."""
        ...

    @property
    def spooled(self) -> tuple[Path, int] | None:
        """The folder that packs lie in on their way, and how many at a time; None for none."""
        ...

    @property
    def is_stream(self) -> bool:
        """Whether packs can be read only once, from front to back, after the manifest."""
        ...

    def read_packs(
        self, packs: Sequence[Pack], wanted: Container[int], memory: BufferPool | None = None
    ) -> Iterator[tuple[int, Buffer | AirgapError]]:
        """Yield index and bytes of each wanted pack, each read once, with the size it must have.

        The bytes may lie in ``memory``, and are to be given back to it; without it, they are
        ``bytes``.

        A pack that is missing, is not a regular file, or is shorter or longer comes as the error
        instead, so that one damaged file does not keep the others from being read.

        Raises:
            CorruptError, MissingError: nothing more can be read.
        """
        ...

    def read_model_signatures(self, files: Collection[str]) -> dict[str, bytes]:
        """Return those of these files that are there (format §18); call it after all packs.

        Nothing depends on them: one that cannot be read, or is too long, is empty.
        """
        ...


class BundleReader(SignedManifest, Protocol):
    """One bundle in one of its forms."""

    @property
    def packs(self) -> PackSource:
        """The source of its packs."""
        ...

    @property
    def stock_archive(self) -> StockMembers | None:
        """The archive for stock BentoML that has the files instead of packs (format §10)."""
        ...

    def close(self) -> None:
        """Close files and connections; may be called twice."""
        ...


class BundleWriter(Protocol):
    """One bundle being written; nothing has its final name before it is complete."""

    @property
    def transport(self) -> Transport | None:
        """What reaches the depot that is written to (format §23); None for a single file."""
        ...

    def lacks(self, pack: Pack) -> bool:
        """Tell whether ``put_pack`` is needed: the pack is not there, or must be checked."""
        ...

    def put_root(self, name: str, data: bytes) -> None:
        """Store a file of a root that travels, under its depot name; call it before ``put_pack``.

        Raises:
            ConflictError: another file of that name is there.
        """
        ...

    def put_pack(self, digest: bytes, parts: list[Buffer]) -> bool:
        """Store a pack; return False if it was there already (and was checked).

        The parts are handed over: the list may be empty afterwards. Their bytes are not used any
        more when it returns.
        """
        ...

    def publish(
        self, bundle: str, manifest: bytes, envelopes: dict[str, bytes], packs: Sequence[Pack]
    ) -> None:
        """Store envelopes, attachments, models' signatures (by file name); last, the manifest."""
        ...

    def abort(self) -> None:
        """Remove what has no final name. Does nothing after ``publish``; may be called twice.

        Another thread may be in ``put_pack`` meanwhile: it ends soon, with whatever error.
        """
        ...
