"""Reads the packs of a check, several at a time, each once, and says which are not whole."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from airgap.carrier.depot import Depot
from airgap.errors import AirgapError, CorruptError, MissingError, StorageError
from airgap.flow.archive.side_by_side import read_side_by_side
from airgap.format import layout
from airgap.transport.port import Transport

__all__ = ["read_packs"]

_TRIES: Final = 3
"""How often a pack is read whose bytes are wrong: the connection may have changed them."""


def read_packs(
    depot: Depot, packs: Sequence[bytes], sizes: Mapping[bytes, int]
) -> Iterator[tuple[bytes, AirgapError | None]]:
    """Yield each pack with what is wrong with it; None for a good one. Nothing of it is kept.

    Raises:
        TransportError: the archive cannot be reached.
    """
    tasks = (_make_task(pack, sizes[pack]) for pack in packs)
    yield from zip(packs, read_side_by_side(depot, tasks), strict=True)


def _make_task(pack: bytes, size: int) -> Callable[[Transport], AirgapError | None]:
    def read(transport: Transport) -> AirgapError | None:
        name = layout.pack_name(pack)
        problem: AirgapError | None = None
        for _ in range(_TRIES):
            try:
                problem = _compare(transport, name, pack, size)
            except MissingError:
                return MissingError(f"{name} is not there.")
            except (CorruptError, StorageError) as error:
                return CorruptError(error.message)
            if problem is None:
                return None
        return problem

    return read


def _compare(transport: Transport, name: str, pack: bytes, size: int) -> AirgapError | None:
    state, seen = hashlib.sha256(), 0

    def update(piece: memoryview) -> None:
        nonlocal seen
        state.update(piece)
        seen += len(piece)

    transport.get(name, update, 0, size + 1)
    if seen != size:
        more = "more than " if seen > size else ""
        return CorruptError(f"{name} has {more}{min(seen, size):,} bytes, and not {size:,}.")
    if state.digest() != pack:
        return CorruptError(f"{name} is damaged: its SHA-256 is {state.hexdigest()}.")
    return None
