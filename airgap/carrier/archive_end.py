"""What a ``.airgap`` file that is still arriving lacks (format §9)."""

import os
from pathlib import Path

from airgap.carrier.archive_signatures import FRONT_MEMBERS
from airgap.disk.named_files import open_named
from airgap.disk.os_errors import translate_errors
from airgap.format import layout, limits, tar
from airgap.printable import count_text

__all__ = ["describe_absent", "describe_missing"]


def describe_absent(absent: int, packs: int) -> str:
    """Say how many of a bundle's packs have not arrived."""
    verb = "is" if absent == 1 else "are"
    return f"{absent:,} of {count_text(packs, 'pack')} {verb} still to come"


def describe_missing(path: Path, packs: int) -> str | None:
    """Say what a file lacks before its end, by its members' headers alone; None if it is complete.

    It only tells when a file is worth reading: one that seems complete may still hold anything.

    Args:
        path: a file whose manifest was admitted.
        packs: how many packs that manifest names. Zeros before all of them are not the end
            (format §9): a program that copies may give a file its size first.

    Raises:
        CorruptError: it is not an archive of the format.
        StorageError: it cannot be read.
    """
    position, left = 0, packs
    with translate_errors(path), open_named(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        for _ in range(packs + FRONT_MEMBERS + 66 * limits.TRAVELLING_ROOTS + 3):
            stream.seek(position)
            block = stream.read(tar.BLOCK)
            parsed = tar.parse_header(block) if len(block) == tar.BLOCK else None
            if parsed is None:
                break
            left -= parsed[0].startswith(f"{layout.PACKS}/")
            position += tar.BLOCK + tar.round_to_block(parsed[1])
    if left > 0:
        return describe_absent(left, packs)
    if size < position + len(tar.END):
        return f"{position + len(tar.END) - size:,} bytes are still to come"
    return None
