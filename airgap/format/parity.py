"""The parity index: which parity packs restore which packs (format §20). It is never trusted."""

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
    """Packs (indexes into the manifest's) and the SHA-256 of the parity packs over them."""

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
    """Decode the parity index of a bundle with so many packs.

    Raises:
        CorruptError: it breaks a rule of format §20.
    """
    value = canonical.decode(raw, limit=limits.PARITY_INDEX_BYTES, what=_WHAT)
    fields = Fields(value, _KEYS, _WHAT)
    fields.expect("code", CODE)
    fields.expect("format", FORMAT)
    fields.expect("hash", HASH)
    groups = tuple(map(_group, fields.array("groups", packs)))
    members = [one for group in groups for one in group.packs]
    digests = [one for group in groups for one in group.parity]
    if len(set(members)) < len(members) or any(one >= packs for one in members):
        raise fields.error("names a pack twice, or one that is not there")
    if len(set(digests)) < len(digests) or len(digests) > limits.PARITY_PACKS:
        raise fields.error("names a parity pack twice, or too many of them")
    return groups


def _group(value: Any) -> Group:  # noqa: ANN401  (anything may have been decoded)
    fields = Fields(value, _GROUP_KEYS, _WHAT)
    members = tuple(decode_u32(fields.column("packs", 4, limits.GROUP_PACKS)))
    column = fields.column("parity", DIGEST_BYTES, limits.GROUP_PACKS)
    starts = range(0, len(column), DIGEST_BYTES)
    if not members or not column or list(members) != sorted(set(members)):
        raise fields.error("has an empty group, or one that is not in order")
    return Group(members, tuple(column[at : at + DIGEST_BYTES] for at in starts))
