"""Digests of all files of a bundle: compared with their names and an index, or put into one."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from airgap.errors import AirgapError, ConflictError, CorruptError, MissingError
from airgap.flow.progress import Progress
from airgap.flow.timestamps.stampable import StampedBundle
from airgap.format import layout, limits
from airgap.format.stamp_files import (
    IndexLine,
    encode_index,
    index_file,
    is_index_file,
    is_index_stamp,
)

__all__ = ["add_index", "find_damage"]

_ABSENT: Final = MissingError("A pack is missing.", "Copy it from its source again.")


def add_index(stampable: StampedBundle, progress: Progress) -> str:
    """Attach an index of the SHA-512 of every file; return its name (format §33.5).

    Raises:
        CorruptError, MissingError: a pack is damaged or missing.
        ConflictError: the bundle has as many indexes as it may have, or too many files for one.
        AirgapError: the index cannot be written.
    """
    numbers = range(1, limits.STAMPS + 1)
    names = (index_file(number, stampable.bundle) for number in numbers)
    file = next((name for name in names if name not in stampable.attached), None)
    lines = [*_small_lines(stampable)]
    lines += [_make_line(name, data) for name, data in _read_packs(stampable, progress)]
    data = encode_index(iter(lines))
    if file is None or len(data) > limits.INDEX_BYTES:
        raise ConflictError(
            f"{stampable.location} cannot have another index of digests.",
            f"A bundle has at most {limits.STAMPS}, of {limits.INDEX_BYTES:,} bytes each.",
        )
    stampable.add(file, data)
    return file


def find_damage(
    stampable: StampedBundle, indexes: Mapping[str, Sequence[IndexLine]], progress: Progress
) -> list[str]:
    """Read every pack, and compare all digests; return what is wrong (format §33.6).

    Args:
        stampable: the bundle; its manifest was compared with its id when it was read.
        indexes: those with a stamp that counts, by name.
        progress: is advanced by the bytes of packs.
    """
    problems: list[str] = []
    present = {line.name: line for line in _small_lines(stampable)}
    for name, data in _read_packs(stampable, progress, problems.append):
        if indexes:  # SHA-512 is asked for by them alone
            present[name] = _make_line(name, data)
    for file, lines in indexes.items():
        for line in lines:
            if line.name not in present:
                problems.append(f"{line.name} is missing or damaged; {file} names it")
            elif present[line.name] != line:
                problems.append(f"{line.name} is not the file that {file} names")
    return problems


def _small_lines(stampable: StampedBundle) -> Iterator[IndexLine]:
    folder = f"{layout.BUNDLES}/{stampable.bundle}"
    yield _make_line(layout.manifest_name(stampable.bundle), stampable.candidate.raw)
    for file, data in {**stampable.signed, **stampable.attached}.items():
        if not is_index_file(file) and not is_index_stamp(file):
            yield _make_line(f"{folder}/{file}", data)


def _read_packs(
    stampable: StampedBundle, progress: Progress, report: Callable[[str], object] | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each whole pack, from the first volume that has it whole.

    What is wrong with one is reported, or raised: that it is damaged rather than missing.
    """
    packs = stampable.candidate.manifest.packs
    errors: dict[int, AirgapError] = dict.fromkeys(range(len(packs)), _ABSENT)
    progress.begin("checking", sum(pack.size for pack in packs))
    try:
        for source in (stampable.candidate.reader.packs, *stampable.volumes):
            for index, data in source.read_packs(packs, frozenset(errors)):
                name = layout.pack_name(packs[index].digest)
                if isinstance(data, AirgapError):
                    if not isinstance(errors[index], CorruptError):
                        errors[index] = data
                elif hashlib.sha256(data).digest() != packs[index].digest:
                    errors[index] = CorruptError(
                        f"{name} is damaged.", "Copy it from its source again."
                    )
                else:
                    del errors[index]
                    progress.advance(packs[index].size)
                    yield name, bytes(data)
        for error in errors.values():
            if report is None:
                raise error
            report(error.message)
    finally:
        progress.end()


def _make_line(name: str, data: bytes) -> IndexLine:
    return IndexLine(name, hashlib.sha512(data).digest(), hashlib.sha256(data).digest(), len(data))
