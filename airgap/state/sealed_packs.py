"""Which packs were sealed for a depot, and under which key (format §34.6)."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from airgap.disk import durable, sharing
from airgap.disk.reading import read_if_exists
from airgap.errors import CorruptError
from airgap.format import canonical, limits
from airgap.format.fields import DIGEST_BYTES, HASH, Fields, encode_u32
from airgap.state.state_folder import state_folder

__all__ = ["SealedPack", "SealedPacks", "load", "save"]

_FORMAT: Final = 1
_OWNER_ONLY: Final = 0o600
_MOST_BYTES: Final = 128 * limits.MIB
_KEYS: Final = frozenset(
    {"beginnings", "epoch", "format", "hash", "plain", "recipients", "sealed", "sizes"}
)


@dataclass(frozen=True, slots=True)
class SealedPack:
    """An encrypted pack: its SHA-256, its size in bytes, and the SHA-256 of its beginning."""

    digest: bytes
    size: int
    beginning: bytes


@dataclass(frozen=True, slots=True)
class SealedPacks:
    """The identity of an epoch, to whom it was given, and what was sealed, by plain digest."""

    epoch: str
    recipients: tuple[str, ...]
    packs: Mapping[bytes, SealedPack] = field(default_factory=dict)


def load(depot: str, audience: tuple[str, ...]) -> SealedPacks | None:
    """Return what was sealed for an audience in a depot; None if nothing is known.

    A file that is damaged, or another operator's, counts as none: packs are sealed once more.

    Raises:
        OSError: it cannot be read.
    """
    with suppress(CorruptError, PermissionError):
        raw = read_if_exists(_find(depot, audience), _MOST_BYTES)
        return None if raw is None else _decode(raw)
    return None


def save(depot: str, audience: tuple[str, ...], sealed: SealedPacks) -> None:
    """Remember what was sealed, in a file that only its owner can read: it holds a secret.

    Raises:
        OSError: the disk refused.
    """
    path = _find(depot, audience)
    sharing.make_own_folder(path.parent)
    durable.replace_file(path, _encode(sealed), mode=_OWNER_ONLY)


def _find(depot: str, audience: tuple[str, ...]) -> Path:
    name = hashlib.sha256("\0".join((depot, *audience)).encode("utf-8", "surrogateescape"))
    return state_folder() / "sealed" / name.hexdigest()


def _encode(sealed: SealedPacks) -> bytes:
    packs = sealed.packs.values()
    raw = canonical.encode(
        {
            "beginnings": b"".join(pack.beginning for pack in packs),
            "epoch": sealed.epoch,
            "format": _FORMAT,
            "hash": HASH,
            "plain": b"".join(sealed.packs),
            "recipients": list(sealed.recipients),
            "sealed": b"".join(pack.digest for pack in packs),
            "sizes": encode_u32([pack.size for pack in packs]),
        }
    )
    return _add_digest(raw)


def _add_digest(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest() + raw


def _decode(raw: bytes) -> SealedPacks:
    digest, body = raw[:DIGEST_BYTES], raw[DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise CorruptError("The record of sealed packs is damaged.", "Remove it.")
    value = canonical.decode(body, limit=_MOST_BYTES, what="record of sealed packs")
    fields = Fields(value, _KEYS, "record of sealed packs")
    fields.expect("format", _FORMAT)
    fields.expect("hash", HASH)
    columns = [
        _slice(fields.column(key, DIGEST_BYTES, limits.PACKS))
        for key in ("plain", "sealed", "beginnings")
    ]
    sizes = fields.u32("sizes", limits.PACKS)
    if len({len(sizes), *map(len, columns)}) != 1:
        raise fields.error("has columns of different lengths")
    return SealedPacks(
        fields.text("epoch", limits.RECIPIENT_CHARACTERS),
        fields.sorted_texts("recipients", limits.ROOT_RULES),
        {
            plain: SealedPack(sealed, size, beginning)
            for plain, sealed, beginning, size in zip(*columns, sizes, strict=True)
        },
    )


def _slice(column: bytes) -> list[bytes]:
    return [column[at : at + DIGEST_BYTES] for at in range(0, len(column), DIGEST_BYTES)]
