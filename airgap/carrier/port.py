"""The two ports of a bundle on the move: one to read it, one to write it.

Both speak of bytes by name. Whether the bytes are the right ones is decided above.
"""

from collections.abc import Collection, Container, Iterator, Sequence
from typing import Protocol

from airgap.codec.buffer import Buffer
from airgap.disk.buffers import BufferPool
from airgap.errors import AirgapError
from airgap.format.envelope import Role
from airgap.format.manifest import Pack

__all__ = ["BundleReader", "BundleWriter"]


class BundleReader(Protocol):
    """One bundle, read in the order of format §11."""

    place: str
    """Where it is, for messages."""

    def read_manifest(self) -> tuple[str, bytes]:
        """Return the bundle id that the place claims, and the manifest's bytes."""
        ...

    def read_envelopes(self, role: Role) -> list[bytes]:
        """Return the envelopes of one role; call it after ``read_manifest``."""
        ...

    def read_attestations(self, role: Role) -> list[tuple[bytes, bytes]]:
        """Return each attestation of one role with its envelope; call it after ``read_manifest``.

        One without the other is passed over (format §14).
        """
        ...

    def read_packs(
        self, packs: Sequence[Pack], wanted: Container[int], memory: BufferPool | None = None
    ) -> Iterator[tuple[int, Buffer | AirgapError]]:
        """Yield index and bytes of each wanted pack, each read once, with the size it must have.

        They may lie in ``memory``, and are to be given back to it; without it, they are bytes.

        A pack that is not there, is no regular file, or is shorter or longer comes as the error
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

    def close(self) -> None:
        """Let go of files."""
        ...


class BundleWriter(Protocol):
    """One bundle being written; nothing has its final name before it is complete."""

    def put_root(self, name: str, data: bytes) -> None:
        """Store a file of a root that travels, under its depot name; call it before ``put_pack``.

        Raises:
            ConflictError: another file of that name is there.
        """
        ...

    def put_pack(self, digest: bytes, parts: list[Buffer]) -> bool:
        """Store a pack; return False if it was there already (and was checked).

        The parts are handed over: the list may be empty afterwards.
        """
        ...

    def publish(
        self, bundle: str, manifest: bytes, envelopes: dict[str, bytes], packs: Sequence[Pack]
    ) -> None:
        """Store envelopes and models' signatures (by file name) and, last, the manifest."""
        ...

    def abort(self) -> None:
        """Remove what has no final name. Does nothing after ``publish``; may be called twice.

        Another thread may be in ``put_pack`` meanwhile: it ends soon, with whatever error.
        """
        ...
