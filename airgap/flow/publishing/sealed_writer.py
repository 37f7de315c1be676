"""Seals a bundle while it is written: the packs, then the bundle itself, into an index (§34)."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from airgap.carrier.port import BundleWriter
from airgap.codec.buffer import Buffer
from airgap.disk.buffers import BufferPool
from airgap.disk.os_errors import translate_errors
from airgap.flow.progress import Progress
from airgap.flow.publishing.publish import SignedBundle, publish
from airgap.format import envelope as dsse
from airgap.format import layout, limits, seal
from airgap.format import manifest as manifests
from airgap.format.age_header import measure_payload
from airgap.format.manifest import Block, ChunkTable, Manifest, Pack
from airgap.format.sealed import CHANNEL, CHUNK_BYTES, SealedIndex
from airgap.sealing.age_file import encrypt
from airgap.sealing.age_keys import AgeIdentity, AgeRecipient, generate_identity, parse_identity
from airgap.signing.signer import Signer
from airgap.state import sealed_packs
from airgap.state.sealed_packs import SealedPack, SealedPacks
from airgap.state.state_folder import state_folder
from airgap.version import __version__

__all__ = [
    "PublishedIndex",
    "SealedWriter",
    "Sealing",
    "UnpublishedIndex",
    "measure_pack",
    "measure_room",
]

_DAY: Final = 86_400
_TOOL: Final = f"airgap {__version__}"
_HYBRID: Final = "mlkem768x25519"
_BYTES_PER_PACK: Final = 160
_HEADER: Final = 2 * limits.KIB
_ROOM: Final = 512 * limits.KIB


@dataclass(frozen=True, slots=True)
class UnpublishedIndex:
    """An index that is signed and not published yet, its envelopes, and the manifest inside."""

    raw: bytes
    envelopes: Mapping[str, bytes]
    inner: bytes


@dataclass(frozen=True, slots=True)
class Sealing:
    """To whom a bundle is sealed, who signs its index, and when it is sealed."""

    recipients: tuple[AgeRecipient, ...]
    signers: Sequence[Signer]
    now: int
    """Seconds since 1970."""
    audience: tuple[str, ...] = ()
    depot: str = ""
    """What the depot is remembered by; empty: it is a file, or on its way, and is not."""
    record: Callable[[UnpublishedIndex], object] = lambda index: None  # noqa: ARG005
    """Is called before an index is published; what it raises stops that."""


@dataclass(frozen=True, slots=True)
class PublishedIndex:
    """The index of a sealed bundle that was written, and its bundle id."""

    bundle: str
    manifest: Manifest


def measure_pack(size: int) -> int:
    """Return the bytes that a pack of so many bytes has at most once it is sealed."""
    return _HEADER + measure_payload(seal.round_up(size, seal.PACK_STEP))


def measure_room(room: int) -> int:
    """Return the bytes that an index cannot exceed if the manifest inside has at most ``room``.

    A manifest has at least 40 bytes for each pack.
    """
    return room + room // 40 * _BYTES_PER_PACK + _ROOM


@dataclass(slots=True)
class SealedWriter:
    """Fills ``BundleWriter``: what reaches the writer below is encrypted.

    Packs that were sealed for the same depot and audience earlier are used again (format §34.6).
    """

    below: BundleWriter
    sealing: Sealing
    progress: Progress
    index: PublishedIndex | None = None
    """What was published."""
    transport: None = None
    """It has none to publish by: ``publish`` here does all of it."""
    _epoch: AgeIdentity = field(init=False)
    _known: dict[bytes, SealedPack] = field(init=False)
    _memory: BufferPool = field(default_factory=lambda: BufferPool(limits.SEALED_PACK_BYTES))

    def __post_init__(self) -> None:
        """Continue the epoch of the depot, or begin one."""
        depot = self.sealing.depot
        recipients = {one.text for one in self.sealing.recipients}
        with translate_errors(state_folder()):
            record = sealed_packs.load(depot, self._audience) if depot else None
        if record and recipients.issuperset(record.recipients):
            self._epoch, self._known = parse_identity(record.epoch), dict(record.packs)
        else:  # who is a recipient no more must not open what is sealed from now on
            is_hybrid = all(one.kind == _HYBRID for one in self.sealing.recipients)
            self._epoch, self._known = generate_identity(post_quantum=is_hybrid), {}

    @property
    def _audience(self) -> tuple[str, ...]:
        return self.sealing.audience

    def lacks(self, pack: Pack) -> bool:
        """Tell whether a pack, as it is before it is sealed, is needed."""
        known = self._known.get(pack.digest)
        return known is None or self.below.lacks(_make_pack(known, 0))

    def put_root(self, name: str, data: bytes) -> None:
        """Store a file of a root that travels; it is not sealed."""
        self.below.put_root(name, data)

    def put_pack(self, digest: bytes, parts: list[Buffer]) -> bool:
        """Encrypt a pack and store it, unless it is there, sealed."""
        known = self._known.get(digest)
        if known is not None and not self.below.lacks(_make_pack(known, 0)):
            return False
        padding = seal.pad(sum(map(len, parts)), seal.PACK_STEP)
        file = encrypt([*parts, padding], [self._epoch.recipient], self._memory)
        parts.clear()
        beginning = hashlib.sha256(file[:CHUNK_BYTES]).digest()
        sealed = SealedPack(hashlib.sha256(file).digest(), len(file), beginning)
        self._known[digest] = sealed
        try:
            # In one piece, the kernel would take six times as long: it looks for large pages.
            pieces: list[Buffer] = [
                file[at : at + limits.MIB] for at in range(0, len(file), limits.MIB)
            ]
            return self.below.put_pack(sealed.digest, pieces)
        finally:
            self._memory.give_back(file)

    def publish(
        self, bundle: str, manifest: bytes, envelopes: dict[str, bytes], packs: Sequence[Pack]
    ) -> None:
        """Seal the bundle, sign its index, have it recorded, and publish it."""
        salt = os.urandom(seal.SALT_BYTES)
        content = seal.Seal(salt, self._epoch.text, manifest, envelopes)
        recipients = self.sealing.recipients
        file = bytes(encrypt([seal.encode_seal(content)], recipients))
        commitment = seal.commit(salt, bytes.fromhex(bundle))
        sealed = [self._known[pack.digest] for pack in packs]
        index = self._make_index(SealedIndex(commitment, len(recipients), file), sealed)
        raw = manifests.encode(index)
        files = {
            layout.envelope_file("builder", signer.key.id): dsse.encode(signer.sign("builder", raw))
            for signer in self.sealing.signers
        }
        self.sealing.record(UnpublishedIndex(raw, files, manifest))
        self.index = PublishedIndex(manifests.bundle_id(raw), index)
        published = SignedBundle(self.index.bundle, raw, files, index.packs)
        publish(self.below, published, self.progress)
        self._remember()

    def abort(self) -> None:
        """Remove what has no final name."""
        self.below.abort()

    def _make_index(self, sealed: SealedIndex, packs: Sequence[SealedPack]) -> Manifest:
        return Manifest(
            items=(),
            chunks=ChunkTable(
                b"".join(pack.beginning for pack in packs),
                [min(CHUNK_BYTES, pack.size) for pack in packs],
            ),
            packs=tuple(_make_pack(pack, number) for number, pack in enumerate(packs)),
            created_at=self.sealing.now // _DAY * _DAY,
            tool=_TOOL,
            channel=CHANNEL,
            audience=self._audience,
            sealed=sealed,
        )

    def _remember(self) -> None:
        if not self.sealing.depot:
            return
        recipients = tuple(sorted(one.text for one in self.sealing.recipients))
        with translate_errors(state_folder()):
            record = SealedPacks(self._epoch.text, recipients, self._known)
            sealed_packs.save(self.sealing.depot, self._audience, record)


def _make_pack(sealed: SealedPack, number: int) -> Pack:
    block = Block(0, min(CHUNK_BYTES, sealed.size), 0, number, 1)
    return Pack(sealed.digest, sealed.size, [block])
