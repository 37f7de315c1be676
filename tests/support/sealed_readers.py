"""Readers of what is sealed: encrypted files, the seal in them, the index, and what is kept."""

from typing import Final

from airgap.errors import AirgapError, CorruptError, PolicyError
from airgap.format import age_header, bech32, limits
from airgap.format import manifest as manifests
from airgap.format.age_header import AgeHeaderError, Stanza
from airgap.format.manifest import Block, ChunkTable, Manifest, Pack
from airgap.format.seal import Seal, decode_seal, encode_seal
from airgap.format.sealed import CHANNEL, SealedIndex
from airgap.sealing.age_file import decrypt, encrypt
from airgap.sealing.age_keys import parse_identity
from airgap.state import sealed_packs
from airgap.state.sealed_packs import SealedPack, SealedPacks
from tests.support.reader import Reader

__all__ = ["READERS", "make_index"]

_IDENTITY: Final = parse_identity(bech32.encode("age-secret-key-", bytes(range(32))).upper())
_ENVELOPE: Final = f"builder.{'0' * 64}.dsse"


def make_index(sizes: tuple[int, ...] = (2 * limits.MIB, 500)) -> Manifest:
    """Return the index of a sealed bundle with packs of these sizes."""
    lengths = [min(1024, size) for size in sizes]
    digests = [bytes([at]) * 32 for at in range(len(sizes))]
    packs = tuple(
        Pack(digest, size, [Block(0, length, 0, at, 1)])
        for at, (digest, size, length) in enumerate(zip(digests, sizes, lengths, strict=True))
    )
    return Manifest(
        items=(),
        chunks=ChunkTable(b"".join(digests), lengths),
        packs=packs,
        created_at=86_400,
        tool="airgap",
        channel=CHANNEL,
        sealed=SealedIndex(bytes(32), 2, b"age"),
    )


def _read_header(raw: bytes) -> bytes:
    header = age_header.parse(raw)
    again = age_header.seal_header(age_header.encode(header.stanzas), header.mac)
    return again + raw[header.length :]


def _read_file(raw: bytes) -> None:
    decrypt(raw, [_IDENTITY], limit=limits.MIB)


def _header_seeds() -> list[bytes]:
    stanza = Stanza("X25519", ("A" * 43,), bytes(32))
    stanzas = [(stanza,), (Stanza("grease", ("a", "b"), bytes(48)), stanza)]
    return [age_header.seal_header(age_header.encode(one), bytes(32)) for one in stanzas]


def _file_seeds() -> list[bytes]:
    return [bytes(encrypt([bytes(size)], [_IDENTITY.recipient])) for size in (0, 100)]


def _read_record(raw: bytes) -> bytes:
    sealed = sealed_packs._decode(sealed_packs._add_digest(raw))
    return sealed_packs._encode(sealed)[32:]


def _record_seed() -> bytes:
    packs = {bytes(32): SealedPack(bytes(32), 500, bytes(32))}
    return sealed_packs._encode(SealedPacks("AGE", ("age1",), packs))[32:]


READERS: Final[dict[str, Reader]] = {
    "header of age": Reader(
        _read_header,
        (AgeHeaderError,),
        _header_seeds,
        (b"age-encryption.org/v1\n", b"-> ", b"--- ", b"X25519", b"mlkem768x25519", b"scrypt"),
    ),
    "file of age": Reader(_read_file, (AirgapError,), _file_seeds),
    "index": Reader(
        lambda raw: manifests.encode(manifests.decode(raw)),
        (CorruptError, PolicyError),
        lambda: [manifests.encode(make_index())],
        (b"sealed", b"commitment", b"recipients", b"seal"),
    ),
    "seal": Reader(
        lambda raw: encode_seal(decode_seal(raw)),
        (CorruptError,),
        lambda: [encode_seal(Seal(bytes(32), "AGE", b"manifest", {_ENVELOPE: b"signed"}))],
        (b"epoch", b"files", b"manifest", b"salt", b"name", b"data"),
    ),
    "record of sealed packs": Reader(_read_record, (CorruptError,), lambda: [_record_seed()]),
}
