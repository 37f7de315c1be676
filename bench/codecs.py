"""What byte planes do for weights: size, and speed of one thread, against zstd level 3.

python bench/codecs.py FILE.safetensors WIDTH [MIB]
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from airgap.codec import planes, zstd

MIB = 1024 * 1024


def measure(
    name: str,
    blocks: list[bytes],
    encode: Callable[[bytes], bytes],
    decode: Callable[[bytes, int], bytes],
) -> None:
    """Print one line: share of the plain size, MB/s in and out."""
    plain = sum(map(len, blocks))
    start = time.perf_counter()
    stored = [encode(block) for block in blocks]
    middle = time.perf_counter()
    assert [decode(one, MIB) for one in stored] == blocks  # noqa: S101
    end = time.perf_counter()
    share = sum(map(len, stored)) / plain
    rates = (plain / seconds / 1e6 for seconds in (middle - start, end - middle))
    print(name, f"{share:6.1%}", *(f"{rate:7.0f} MB/s" for rate in rates))


def main() -> None:
    """Measure both codecs on the same blocks."""
    path, width, count = (*sys.argv[1:], "64")[:3]
    with Path(path).open("rb") as file:
        file.seek(MIB)
        blocks = [block for _ in range(int(count)) if len(block := file.read(MIB)) == MIB]
    measure("zstd -3", blocks, lambda plain: zstd.encode(plain, 3), zstd.decode)
    measure("planes ", blocks, lambda plain: planes.encode(plain, int(width)), planes.decode)


if __name__ == "__main__":
    main()
