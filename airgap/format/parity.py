"""The parity index: which parity packs restore which packs (format §20). It is not trusted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from airgap.format import canonical, limits
from airgap.format.fields import DIGEST_BYTES, HASH, Fields, decode_u32, encode_u32

__all__ = ["CODE", "Group", "decode", "encode"]

CODE: Final = "cauchy-gf256-11d"
FORMAT: Final = 1
_WHAT: Final = "parity index"
_KEYS: Final = frozenset({"code", "format", "groups", "hash"})
_GROUP_KEYS: Final = frozenset({"packs", "parity"})


@dataclass(frozen=True, slots=True)
class Group:
    """Packs, as indexes into those of the manifest, and the SHA-256 of their parity packs."""

    packs: tuple[int, ...]
    parity: tuple[bytes, ...]


def encode(groups: Sequence[Group]) -> bytes:
    """Encode a parity index."""
    return canonical.encode(
        {
            "code": CODE,
            "format": FORMAT,
            "groups": [
                {"packs": encode_u32(group.packs), "parity": b"".join(group.parity)}
                for group in groups
            ],
            "hash": HASH,
        }
    )


def decode(raw: bytes, packs: int) -> tuple[Group, ...]:
    """Decode the parity index of a bundle with ``packs`` packs.

    Raises:
        CorruptError: it breaks a rule of format §20.
    """
    value = canonical.decode(raw, limit=limits.PARITY_INDEX_BYTES, what=_WHAT)
    fields = Fields(value, _KEYS, _WHAT)
    fields.expect("code", CODE)
    fields.expect("format", FORMAT)
    fields.expect("hash", HASH)
    groups = tuple(map(_decode_group, fields.array("groups", packs)))
    members = [pack for group in groups for pack in group.packs]
    digests = [digest for group in groups for digest in group.parity]
    if len(set(members)) < len(members) or any(pack >= packs for pack in members):
        raise fields.error("names a pack twice, or one that does not exist")
    if len(set(digests)) < len(digests) or len(digests) > limits.PARITY_PACKS:
        raise fields.error("names a parity pack twice, or too many of them")
    return groups


def _decode_group(value: Any) -> Group:  # noqa: ANN401  (anything may have been decoded)
    fields = Fields(value, _GROUP_KEYS, _WHAT)
    members = tuple(decode_u32(fields.column("packs", 4, limits.GROUP_PACKS)))
    column = fields.column("parity", DIGEST_BYTES, limits.GROUP_PACKS)
    starts = range(0, len(column), DIGEST_BYTES)
    if not members or not column or list(members) != sorted(set(members)):
        raise fields.error("has a group that is empty or not sorted")
    return Group(members, tuple(column[at : at + DIGEST_BYTES] for at in starts))
