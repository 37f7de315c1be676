"""How long a manifest of a million chunks takes: encode, decode and check, index.

python bench/manifest.py [CHUNKS]
"""

import hashlib
import sys
import time

from airgap.flow.importing.targets import Targets
from airgap.format import manifest as manifests
from airgap.format.inventory import File, make_item
from airgap.format.manifest import Block, ChunkTable, Manifest, Pack

CHUNK = 1024 * 1024
PER_PACK = 64
PER_FILE = 4096


def build(count: int) -> Manifest:
    """Make a bundle of one model, of files of 4 GiB in chunks of 1 MiB."""
    digests = b"".join(hashlib.sha256(b"%d" % index).digest() for index in range(count))
    packs = tuple(
        Pack(
            hashlib.sha256(b"pack %d" % first).digest(),
            PER_PACK * CHUNK,
            tuple(
                Block((index - first) * CHUNK, CHUNK, 0, index, 1)
                for index in range(first, min(first + PER_PACK, count))
            ),
        )
        for first in range(0, count, PER_PACK)
    )
    files = [
        File(f"part-{first:08}.bin", False, CHUNK * len(chunks), bytes(32), tuple(chunks))  # noqa: FBT003
        for first in range(0, count, PER_FILE)
        if (chunks := range(first, min(first + PER_FILE, count)))
    ]
    item = make_item("model", "large", "v1", files)
    return Manifest((item,), ChunkTable(digests, [CHUNK] * count), packs, 0, "bench")


def main() -> None:
    """Print one line per step."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    manifest = build(count)
    start = time.perf_counter()
    raw = manifests.encode(manifest)
    encoded = time.perf_counter()
    again = manifests.decode(raw)
    decoded = time.perf_counter()
    Targets(again, again.items)
    indexed = time.perf_counter()
    print(f"chunks   {count:,}; manifest {len(raw) / 1e6:.1f} MB")
    print(f"encode   {encoded - start:.2f} s")
    print(f"decode   {decoded - encoded:.2f} s  (and every check of docs/format.md §2 to §4)")
    print(f"index    {indexed - decoded:.2f} s")


if __name__ == "__main__":
    main()
