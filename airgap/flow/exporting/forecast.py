"""How large a bundle will be, foreseen before anything is written.

Little data is packed in memory, as an export does it: the forecast is exact. Of more, samples are
encoded; holes of files are not read. A forecast from samples is the upper end of the range in which
the size lies with a probability of 97 %, if all data is as varied as the samples.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from itertools import pairwise, repeat
from math import sqrt
from pathlib import Path
from typing import Final

from airgap.chunking.sizes import PIECE
from airgap.flow.exporting.pack import PackOptions, encode_block, measure_packs
from airgap.flow.exporting.samples import (
    Extent,
    Sample,
    drop_copies,
    list_extents,
    measure_limit,
    take_samples,
)
from airgap.flow.exporting.select import Source
from airgap.flow.exporting.stored_packs import StoredPacks
from airgap.flow.exporting.turns import count_rows
from airgap.flow.exporting.unread import NOTHING_UNREAD
from airgap.flow.exporting.write_bundle import (
    NUMBERS_BYTES,
    BundleOptions,
    Draft,
    draft_manifest,
    foresee_packs,
    manifest_room,
    measure_manifest,
)
from airgap.flow.pipeline import limit_ahead, map_in_order, run_workers
from airgap.flow.publishing.sealed_writer import measure_pack, measure_room
from airgap.format import limits
from airgap.format.manifest import Pack

__all__ = ["Forecast", "forecast_bundle"]

_EXACT_BYTES: Final = 16 * limits.MIB
_EXACT_BESIDE_PACKS: Final = 64 * limits.MIB
"""A file that changed is read with its neighbours in the same pack."""
_BYTES_PER_SAMPLE: Final = 16 * limits.MIB
_FEWEST, _MOST = 32, 256
_ENCODED_BYTES: Final = 256 * limits.KIB
"""What is encoded of a sample; as much more as it has is compressed as well."""
_DEVIATIONS: Final = 2
_AVERAGE_PACK: Final = limits.PACK_TARGET_BYTES + limits.MIB // 2
"""A pack ends with the block that fills it."""
_BYTES_PER_CHUNK: Final = 64
"""In the manifest: digest, length, and block."""
_BYTES_PER_PIECE: Final = 5
"""In the manifest: which chunk comes next in a file."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a bundle will consist of. Sizes are in bytes."""

    packs: tuple[Pack, ...]
    """All packs: what is known of them is their sizes, and if it is exact their digests."""
    new: tuple[Pack, ...]
    """Those that are not in the depot yet."""
    most: int
    """What the new packs together cannot exceed."""
    manifest: int
    manifest_most: int
    """What the manifest cannot exceed: a single file leaves that much room for it."""
    is_exact: bool
    rows: int = 1
    """How many packs may end before they are full (format §12)."""

    @property
    def size(self) -> int:
        """The bytes of all packs."""
        return sum(pack.size for pack in self.packs)


def forecast_bundle(
    sources: Sequence[Source], settings: BundleOptions, target: Path | None = None
) -> Forecast:
    """Foresee what an export of these items writes.

    ``target`` is the depot that is written to, if it is a local folder: packs that it has are not
    written again.

    Raises:
        StorageError: a file changed since it was scanned, or cannot be read.
    """
    stored = StoredPacks(target, sources)
    options = foresee_packs(sources, settings, lambda _: True)  # its size is what matters here
    forecast: Forecast | None = None
    if options.unread.files and options.unread.measure_read(sources) <= _EXACT_BESIDE_PACKS:
        forecast = _measure(sources, settings, options, stored)
    if forecast is None:
        options = replace(options, unread=NOTHING_UNREAD)
        extents = list_extents(sources)
        if sum(extent.end - extent.begin for extent in extents) <= _EXACT_BYTES:
            forecast = _measure(sources, settings, options, stored)
        forecast = forecast or _estimate(extents, sources, settings, options, stored)
    return _seal(forecast) if settings.sealing else forecast


def _seal(forecast: Forecast) -> Forecast:
    """Return what the bundle takes sealed; packs that are there already are not known as such."""
    packs = tuple(
        replace(pack, digest=b"", size=measure_pack(pack.size)) for pack in forecast.packs
    )
    size = sum(pack.size for pack in packs)
    most = max(size, forecast.most + size - forecast.size)
    room = measure_room(forecast.manifest_most)
    manifest = min(room, measure_room(forecast.manifest))
    return replace(
        forecast, packs=packs, new=packs, most=most, manifest=manifest, manifest_most=room
    )


def _measure(
    sources: Sequence[Source], settings: BundleOptions, options: PackOptions, stored: StoredPacks
) -> Forecast | None:
    packed = measure_packs(sources, options)
    if packed is None:
        return None
    new = tuple(pack for pack in packed.packs if not stored.has_pack(pack))
    manifest = measure_manifest(packed.items, packed.chunks, packed.packs, settings)
    return Forecast(
        packed.packs,
        new,
        sum(pack.size for pack in new),
        manifest,
        manifest_room(sources, settings),
        is_exact=True,
    )


@dataclass(frozen=True, slots=True)
class _Share:
    """What of a sample is stored, in bytes for each of its bytes."""

    stored: float
    written: float
    """Without what is in the depot already."""


def _estimate(
    extents: Sequence[Extent],
    sources: Sequence[Source],
    settings: BundleOptions,
    options: PackOptions,
    stored: StoredPacks,
) -> Forecast:
    different = drop_copies(extents)
    data = sum(extent.end - extent.begin for extent in different)
    shares = _take_shares(different, data, options, stored)
    most = measure_limit(extents)
    size = min(most, int(_bound([share.stored for share in shares]) * data))
    new = min(most, int(_bound([share.written for share in shares]) * data))
    rows = count_rows(sources)
    draft = draft_manifest(sources, settings)
    room = manifest_room(sources, settings, draft)
    return Forecast(
        tuple(_split(size, rows)),
        tuple(_split(max(0, new - stored.orphans), rows)),
        most,
        min(room, _estimate_manifest(sources, data, draft)),
        room,
        is_exact=False,
        rows=rows,
    )


def _estimate_manifest(sources: Sequence[Source], data: int, draft: Draft) -> int:
    """Return about how many bytes the manifest will have."""
    files = [file for source in sources for file in source.tree.files]
    pieces = sum(file.size // PIECE + 2 for file in files)
    chunks = min(pieces, data * 4 // (3 * PIECE) + 2 * len(files))
    numbers = 2 * NUMBERS_BYTES  # the time, and the number in the channel
    return draft.size + numbers + _BYTES_PER_CHUNK * chunks + _BYTES_PER_PIECE * pieces


def _take_shares(
    extents: Sequence[Extent], data: int, options: PackOptions, stored: StoredPacks
) -> list[_Share]:
    count = min(_MOST, max(_FEWEST, data // _BYTES_PER_SAMPLE))
    exact = bool(options.bases.bundles) or not stored.is_empty
    samples = take_samples(extents, count, exact=exact)
    share = partial(_measure_share, options, stored.chunks)
    with run_workers(options.jobs) as pool:
        return list(map_in_order(pool, share, samples, limit_ahead(options.jobs)))


def _measure_share(options: PackOptions, carried: Collection[bytes], sample: Sample) -> _Share:
    piece = sample.piece
    is_asked = bool(carried or options.bases.have)
    digest = sha256(piece.plain).digest() if is_asked else b""
    if digest in options.bases.have:
        return _Share(0, 0)
    parts = options.bases.find_similar(sample.source, sample.file.path)
    base = parts.get((piece.part, piece.offset, len(piece.plain)))
    plain = piece.plain if base else piece.plain[:_ENCODED_BYTES]
    share = len(encode_block(options, plain, piece.width, base).data) / len(plain)
    return _Share(share, 0 if digest in carried else share)


def _bound(shares: Sequence[float]) -> float:
    """Return the upper end of the range in which the average probably lies.

    Neighbours are much alike: the differences between them say how far samples at even distances
    may be off (the estimator of successive differences).
    """
    steps = [(after - before) ** 2 for before, after in pairwise(shares)]
    error = sqrt(sum(steps) / (2 * len(steps) * len(shares)))
    return min(1.0, sum(shares) / len(shares) + _DEVIATIONS * error)


def _split(size: int, rows: int) -> Iterator[Pack]:
    """Yield packs of the usual size, and one for the end of each row, with so many bytes together.

    The last pack of a row is half full on average.
    """
    full = max(0, size // _AVERAGE_PACK - rows // 2)
    rest = size - full * _AVERAGE_PACK
    ends = [rest * (row + 1) // rows - rest * row // rows for row in range(rows)]
    for length in filter(None, [*repeat(_AVERAGE_PACK, full), *ends]):
        yield Pack(b"", length, ())
