"""Which packs go on which volume: whole packs in the manifest's order, parity spread evenly."""

import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

from airgap.disk.os_errors import translate_errors
from airgap.errors import MissingError, StorageError, UsageError
from airgap.flow.media.parity import Draft, measure_longest
from airgap.format import limits
from airgap.format.manifest import Pack
from airgap.printable import size_text

__all__ = [
    "CLUSTER",
    "Part",
    "cost",
    "measure_free_space",
    "parse_size",
    "plan",
    "survives",
    "usable",
]

CLUSTER: Final = 32 * limits.KIB
"""The unit in which space is counted: FAT's largest cluster on small media. A folder takes one."""
_RESERVE: Final = 256 * limits.KIB
_UNKNOWN: Final = limits.INTEGER  # some file systems do not tell how large they are
_RESERVE_SHARE: Final = 200  # a half percent: allocation tables, and their like
_NAMED: Final = {
    "cd": 700_000_000,
    "dvd": 4_700_000_000,
    "dvd-dl": 8_540_000_000,
    "bd25": 25_025_314_816,
    "bd50": 50_050_629_632,
    "bd100": 100_103_356_416,
    "fat32": 2**32 - 1,  # the longest file there: for images of volumes
}
_SIZE: Final = re.compile(r"([0-9]{1,15})(?:([kmgt])(i?b?)|b)?")
_MEGA: Final = 1_000_000
_TRIES: Final = 60
_POWERS: Final = {"k": 1, "m": 2, "g": 3, "t": 4}


@dataclass(frozen=True, slots=True)
class Part:
    """What one volume holds: packs by index, and parity packs by group and row."""

    packs: range
    parity: tuple[tuple[int, int], ...]


def parse_size(text: str) -> int:
    """Return the bytes of ``4G`` (decimal, as media are sold), ``4GiB``, ``DVD``, ``fat32``, ….

    Raises:
        UsageError: it is not a size.
    """
    plain = text.strip().lower()
    if plain in _NAMED:
        return _NAMED[plain]
    match = _SIZE.fullmatch(plain)
    if not match:
        raise UsageError(
            f"{text!r} is not a size.",
            f"Give a number with k, M, G or T, or one of {', '.join(_NAMED)}.",
        )
    base = 1024 if (match[3] or "").startswith("i") else 1000
    power = _POWERS.get(match[2] or "", 0)
    return int(int(match[1]) * base**power)


def usable(size: int) -> int:
    """Return how many bytes of a medium its file system leaves for files."""
    return size - size // _RESERVE_SHARE - _RESERVE


def cost(size: int) -> int:
    """Return the space that a file takes at most, with its share of the folder."""
    return -(-size // CLUSTER) * CLUSTER + CLUSTER


def measure_free_space(folders: Sequence[Path]) -> list[int]:
    """Return the free bytes for each folder; folders of one file system share its space.

    Raises:
        MissingError: one is not there.
    """
    devices = []
    for folder in folders:
        if not folder.is_dir():
            raise MissingError(f"{folder} is not a folder.", "Mount the medium there first.")
        devices.append(folder.stat().st_dev)
    rooms = []
    for folder, device in zip(folders, devices, strict=True):
        with translate_errors(folder):
            status = os.statvfs(folder)
        free = status.f_bavail * status.f_frsize if status.f_blocks else _UNKNOWN
        rooms.append(max(free // devices.count(device) - _RESERVE, 0))
    return rooms


def plan(
    packs: Sequence[Pack],
    groups: Sequence[Draft],
    rooms: Callable[[int], Sequence[int] | None],
    resize: Callable[[int], Callable[[int], Sequence[int] | None]] | None = None,
) -> list[Part]:
    """Return what each volume holds, with the least number of volumes.

    Args:
        packs: the bundle's.
        groups: of the parity packs; empty without parity.
        rooms: gives the bytes for packs on each of so many volumes, None if there are not so many.
        resize: gives the same for media of another size, in bytes; None if they are mounted.

    Raises:
        StorageError: the media are too small.
    """
    made = _find_parts(packs, groups, rooms)
    if made is not None:
        return made
    largest = _measure_largest(packs)
    needed = sum(cost(pack.size) for pack in packs) + sum(
        rows * cost(measure_longest(packs, members)) for members, rows in groups
    )
    first = max(rooms(1) or [0])
    least = _find_least_size(packs, groups, resize) if resize else 0
    raise StorageError(
        f"The media are too small or too few: packs take {size_text(needed, math.ceil)}, the"
        f" largest of them {size_text(largest, math.ceil)}, and the first medium has room for"
        f" {size_text(first, math.floor)}.",
        f"The least size that works is --volume-size {least // _MEGA}M."
        if least
        else "Give larger media, or more of them.",
    )


def _find_parts(
    packs: Sequence[Pack],
    groups: Sequence[Draft],
    rooms: Callable[[int], Sequence[int] | None],
) -> list[Part] | None:
    """Lay everything out on as few volumes as possible; None if it fits on no number of them."""
    for count in range(1, min(limits.VOLUMES, 2 * len(packs) + 2) + 1):
        room = rooms(count)
        made = None if room is None else _try_plan(packs, groups, room)
        if room is None or made is not None:
            return made
    return None


def _find_least_size(
    packs: Sequence[Pack],
    groups: Sequence[Draft],
    resize: Callable[[int], Callable[[int], Sequence[int] | None]],
) -> int:
    """Return the least size of media that works, to a megabyte or 2 %; 0 if none was found."""
    size = _measure_largest(packs)
    for _ in range(_TRIES):
        size = -(-size // _MEGA) * _MEGA
        if _find_parts(packs, groups, resize(size)) is not None:
            return size
        size = max(size + _MEGA, size * 51 // 50)
    return 0


def _measure_largest(packs: Sequence[Pack]) -> int:
    """Return the room that the largest pack takes."""
    return max((cost(pack.size) for pack in packs), default=0)


def survives(parts: Sequence[Part], groups: Sequence[Draft]) -> bool:
    """Tell whether parity can restore everything if any one volume is lost."""
    for part in parts:
        for number, (members, rows) in enumerate(groups):
            here = sum(member in part.packs for member in members)
            here += sum(group == number for group, _ in part.parity)
            if here > rows:
                return False
    return bool(groups) and len(parts) > 1


def _try_plan(
    packs: Sequence[Pack], groups: Sequence[Draft], room: Sequence[int]
) -> list[Part] | None:
    """Lay everything out on volumes of the given sizes, or return None if it does not fit."""
    costs = [cost(pack.size) for pack in packs]
    parity = sum(rows * cost(measure_longest(packs, members)) for members, rows in groups)
    if sum(costs) + parity > sum(room):
        return None
    ranges = _spread_packs(costs, room) if groups else _fill(costs, room)
    left = [
        free - sum(costs[held.start : held.stop]) for free, held in zip(room, ranges, strict=True)
    ]
    if min(left) < 0 or sum(map(len, ranges)) < len(packs):
        return None
    spread = _spread_parity(packs, groups, ranges, left)
    if spread is None:
        return None
    return [Part(held, tuple(rows)) for held, rows in zip(ranges, spread, strict=True)]


def _fill(costs: Sequence[int], room: Sequence[int]) -> list[range]:
    """Fill one volume after the other."""
    made, first = [], 0
    for free in room:
        last, left = first, free
        while last < len(costs) and costs[last] <= left:
            left -= costs[last]
            last += 1
        made.append(range(first, last))
        first = last
    return made


def _spread_packs(costs: Sequence[int], room: Sequence[int]) -> list[range]:
    """Fill all volumes to the same share, so that the loss of one needs the least parity."""
    total, done, made, first = sum(costs), 0, [], 0
    for limit in accumulate(room):
        target, last = total * limit // sum(room), first
        while last < len(costs) and (done + costs[last] // 2 <= target or limit == sum(room)):
            done += costs[last]
            last += 1
        made.append(range(first, last))
        first = last
    return made


def _spread_parity(
    packs: Sequence[Pack], groups: Sequence[Draft], ranges: Sequence[range], left: list[int]
) -> list[list[tuple[int, int]]] | None:
    """Put each parity pack on the volume that has room and the fewest packs of its group."""
    made: list[list[tuple[int, int]]] = [[] for _ in ranges]
    for number, (members, rows) in enumerate(groups):
        size = cost(measure_longest(packs, members))
        here = [sum(index in held for index in members) for held in ranges]
        for row in range(rows):
            fitting = [at for at, room in enumerate(left) if room >= size]
            if not fitting:
                return None
            at = min(fitting, key=lambda index: (here[index], -left[index]))
            made[at].append((number, row))
            here[at] += 1
            left[at] -= size
    return made
