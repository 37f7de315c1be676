"""The index of a sealed bundle: what a manifest says of packs that are encrypted (format §34.3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from airgap.format import limits
from airgap.format.fields import Fields

__all__ = ["CHANNEL", "CHUNK_BYTES", "SealedIndex", "check_packs", "decode_index", "may_be_sealed"]

CHANNEL: Final = "sealed"
"""The channel of every index: the real one is inside."""
CHUNK_BYTES: Final = 1024
"""The one chunk of a sealed pack is its beginning: the tables of a manifest want one."""
_KEY: Final = b"\xa6sealed"
"""The key of an index in canonical msgpack."""
_KEYS: Final = frozenset({"commitment", "recipients", "seal"})


@dataclass(frozen=True, slots=True)
class SealedIndex:
    """What the manifest of a sealed bundle says: see format §34.3."""

    commitment: bytes
    """SHA-256 of the salt and the id of the bundle inside."""
    recipients: int
    """How many can open it."""
    seal: bytes
    """The age file with the seal."""


class _Pack(Protocol):
    """A pack of a manifest, which this module must not import."""

    @property
    def size(self) -> int: ...
    @property
    def blocks(self) -> Sequence[Any]: ...


def may_be_sealed(raw: bytes) -> bool:
    """Tell whether a manifest's bytes may be those of an index: others have no such key."""
    return _KEY in raw


def decode_index(fields: Fields) -> SealedIndex:
    """Decode the field ``sealed`` of a manifest.

    Raises:
        CorruptError: it breaks a rule of format §34.3.
    """
    table = Fields(fields.table("sealed", len(_KEYS)), _KEYS, "manifest's field 'sealed'")
    recipients = table.integer("recipients", low=1, high=limits.ROOT_RULES)
    return SealedIndex(table.digest("commitment"), recipients, table.raw("seal"))


def check_packs(packs: Sequence[_Pack], lengths: Sequence[int], fields: Fields) -> None:
    """Refuse packs that a sealed bundle cannot have.

    Raises:
        CorruptError: one has other blocks than its beginning, raw.
    """
    if len(lengths) != len(packs):
        raise fields.error("is sealed and has chunks beyond one for each pack")
    for number, pack in enumerate(packs):
        size = min(CHUNK_BYTES, pack.size)
        (block, *others) = pack.blocks
        fits = block.codec == 0 and block.offset == 0 and block.first_chunk == number
        if others or not fits or block.chunk_count != 1 or lengths[number] != size:
            raise fields.error("is sealed and has other blocks than the beginnings of its packs")
