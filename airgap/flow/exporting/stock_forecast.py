"""How large an archive for stock BentoML will be, foreseen from samples."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from airgap.carrier.stock.form import Form
from airgap.disk.space import measure_block, round_up
from airgap.flow.disk_use import DiskUse
from airgap.flow.exporting.samples import list_extents, take_samples
from airgap.flow.exporting.select import Source
from airgap.format import limits, tar
from airgap.store.health import find_existing

__all__ = ["measure_stock"]

_COMPRESS: Final[Mapping[Form, Callable[[bytes], bytes]]] = {
    "gz": zlib.compress,
    "zip": zlib.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
}
_SAMPLES: Final = 8
_SAMPLE_BYTES: Final = 256 * limits.KIB
"""xz takes a second for 2 MiB."""
_HOLE_SHARE: Final = 0.002
"""What zeros take when they are compressed."""
_BESIDE_BLOCKS: Final = 16
"""Envelopes, folders, and the end of an archive."""


def measure_stock(
    step: str, folder: Path, form: Form, sources: Sequence[Source], manifest: int
) -> DiskUse:
    """Return what an archive in a folder takes, with the manifest beside it.

    Holes of files are zeros in an archive. ``manifest`` is in bytes.

    Raises:
        StorageError: a file changed since it was scanned, or cannot be read.
        OSError: the folder cannot be looked at.
    """
    block = measure_block(find_existing(folder.absolute()))
    files = [file.size for source in sources for file in source.tree.files]
    unit = block if form == "folder" else tar.BLOCK
    plain = sum(round_up(size, unit) + unit for size in files)
    beside = manifest + _BESIDE_BLOCKS * block
    compress = _COMPRESS.get(form)
    if compress is None:
        return DiskUse(step, folder, plain + beside)
    extents = list_extents(sources)
    data = sum(extent.end - extent.begin for extent in extents)
    share = 0.0
    if data:
        pieces = (sample.piece.plain for sample in take_samples(extents, _SAMPLES, exact=False))
        samples = [piece[:_SAMPLE_BYTES] for piece in pieces]
        share = sum(map(len, map(compress, samples))) / sum(map(len, samples))
    size = min(1.0, share) * data + _HOLE_SHARE * max(0, plain - data)
    return DiskUse(step, folder, min(plain, int(size)) + beside, plain + beside)
