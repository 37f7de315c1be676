"""How large an archive for stock BentoML will be, foreseen from samples."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from airgap.carrier.stock.compression import Compression, compress
from airgap.carrier.stock.form import Form
from airgap.disk.space import measure_block, round_up
from airgap.flow.disk_use import DiskUse
from airgap.flow.exporting.samples import Extent, list_extents, take_samples
from airgap.flow.exporting.select import Source
from airgap.format import limits, tar
from airgap.store.health import find_existing

__all__ = ["measure_stock"]

_COMPRESSIONS: Final[Mapping[Form, Compression]] = {
    "gz": "gz",
    "zip": "gz",  # members are deflated
    "xz": "xz",
    "bz2": "bz2",
}
_SAMPLES: Final = 8
_SAMPLE_BYTES: Final = 256 * limits.KIB
"""xz takes half a second for 2 MiB."""
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
    compression = _COMPRESSIONS.get(form)
    if compression is None:
        return DiskUse(step, folder, plain + beside)
    extents = list_extents(sources)
    data = sum(extent.end - extent.begin for extent in extents)
    share = _measure_share(extents, compression) if data else 0.0
    size = min(1.0, share) * data + _HOLE_SHARE * max(0, plain - data)
    return DiskUse(step, folder, min(plain, int(size)) + beside, plain + beside)


def _measure_share(extents: Sequence[Extent], compression: Compression) -> float:
    """Return what is left of samples when they are compressed as the archive will be."""
    pieces = (sample.piece.plain for sample in take_samples(extents, _SAMPLES, exact=False))
    samples = Counter(piece[:_SAMPLE_BYTES] for piece in pieces)  # of little data often the same
    packed = sum(count * len(compress(sample, compression)) for sample, count in samples.items())
    return packed / sum(count * len(sample) for sample, count in samples.items())
