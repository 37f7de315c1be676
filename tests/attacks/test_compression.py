"""Threat model, compression: signed bundles whose zstd frames are bombs, lie, or have company."""

import struct
import tracemalloc
import zlib

import pytest
import zstandard

from airgap.errors import AirgapError, CorruptError, PolicyError, StorageError
from airgap.format.root import Root
from airgap.signing.trust import Verified
from tests.support import forge, refusals
from tests.support.forge import Forge
from tests.support.sides import Side

MIB = 1024 * 1024
GIB = 1024 * MIB
PLAIN = b"a" * 300_000
SKIPPABLE = struct.pack("<II", 0x184D2A50, 4) + b"skip"


def frame(  # one argument for each way to lie
    size: int,
    *,
    claimed: int | None,
    window: int = 17,
    checksum: bytes | None = None,
    dictionary: bool = False,
) -> bytes:
    """Make a zstd frame (RFC 8878) of ``size`` letters, 128 KiB in four bytes.

    ``claimed`` is the content size in its header, ``window`` the logarithm of its window.
    """
    flags = (0 if claimed is None else 0xC0) | (0x04 if checksum else 0) | dictionary
    blocks: list[bytes] = []
    left = size
    while left or not blocks:
        part = min(left, 128 * 1024)
        left -= part
        blocks.append((part << 3 | 1 << 1 | (not left)).to_bytes(3, "little") + b"a")
    return b"".join(
        (
            b"\x28\xb5\x2f\xfd",
            bytes([flags, (window - 10) << 3]),
            b"\x07" if dictionary else b"",
            b"" if claimed is None else struct.pack("<Q", claimed),
            *blocks,
            checksum or b"",
        )
    )


GOOD = frame(300_000, claimed=300_000)

BOMBS = {
    "1 GiB in 32 KB": frame(GIB, claimed=GIB),
    "1 GiB in 32 KB that claims 4 MiB": frame(GIB, claimed=4 * MIB),
    "1 GiB in 32 KB that claims nothing": frame(GIB, claimed=None),
    "1 TiB by its header": frame(300_000, claimed=2**40),
    "16 EiB by its header": frame(300_000, claimed=2**64 - 1),
    "an error code for a size": frame(300_000, claimed=2**64 - 2),
    "a window of 2 GiB": frame(4 * MIB, claimed=4 * MIB, window=31),
    "a window of 16 MiB": frame(4 * MIB, claimed=4 * MIB, window=24),
    "a window of 2 TiB": frame(4 * MIB, claimed=4 * MIB, window=41),
}

FRAMES = {
    "one byte fewer than claimed": frame(299_999, claimed=300_000),
    "one byte more than claimed": frame(300_001, claimed=300_000),
    "one byte fewer, and says so": frame(299_999, claimed=299_999),
    "one byte more, and says so": frame(300_001, claimed=300_001),
    "no content size": frame(300_000, claimed=None),
    "a content size of none": frame(300_000, claimed=0),
    "nothing in it": frame(0, claimed=0),
    "a second frame": GOOD + GOOD,
    "a second frame of nothing": GOOD + frame(0, claimed=0),
    "a skippable frame behind it": GOOD + SKIPPABLE,
    "a skippable frame before it": SKIPPABLE + GOOD,
    "a skippable frame of the right size alone": struct.pack("<II", 0x184D2A50, 300_000)
    + bytes(200_000),
    "a byte behind it": GOOD + b"\0",
    "text behind it": GOOD + b"and more",
    "a dictionary": frame(300_000, claimed=300_000, dictionary=True),
    "a wrong checksum": frame(300_000, claimed=300_000, checksum=b"\1\2\3\4"),
    "only its magic number": GOOD[:4],
    "only its header": GOOD[:14],
    "an old magic number": b"\x27" + GOOD[1:],
    "a reserved block": GOOD[:14] + b"\xff" + GOOD[15:],
    "zlib's form": zlib.compress(PLAIN),
    "no compression": b"a",
    "other content": frame(300_000, claimed=300_000).replace(b"a", b"b"),
}


def test_a_frame_made_by_hand_is_read(forged: Forge, isolated: Side) -> None:
    sum_ = zstandard.ZstdCompressor(write_checksum=True).compress(PLAIN)
    for stored in (GOOD, frame(300_000, claimed=300_000, window=23), sum_):
        depot = forged.depot(forge.stored_block(stored, PLAIN))
        assert isolated.run("verify", depot).code == 0


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_and_takes_no_memory(
    name: str, forged: Forge, isolated: Side, root: Verified[Root]
) -> None:
    depot = forged.depot(forge.stored_block(BOMBS[name], b"a" * 4 * MIB))

    refusals.expect_refusal(isolated, "import", depot, error=CorruptError, staging=True)

    tracemalloc.start()
    try:
        with pytest.raises(CorruptError):
            forge.verify_in_process(depot, root)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_is_refused_for(name: str, forged: Forge, isolated: Side) -> None:
    depot = forged.depot(forge.stored_block(FRAMES[name], PLAIN))

    refusals.expect_refusal(isolated, "verify", depot, error=CorruptError)
    refusals.expect_refusal(isolated, "import", depot, error=CorruptError, staging=True)


def test_a_frame_that_is_cut_off_anywhere_is_refused(forged: Forge, root: Verified[Root]) -> None:
    for size in range(1, len(GOOD)):
        depot = forged.depot(forge.stored_block(GOOD[:size], PLAIN))
        with pytest.raises(CorruptError):
            forge.verify_in_process(depot, root)


@pytest.mark.parametrize(
    ("codec", "stored", "error"),
    [
        pytest.param(0, PLAIN[:-1], CorruptError, id="raw that is too short"),
        pytest.param(0, b"b" * 300_000, CorruptError, id="raw with other content"),
        pytest.param(128, GOOD, PolicyError, id="a codec of a later version"),
        pytest.param(2, GOOD, CorruptError, id="planes that are none"),
        pytest.param(255, GOOD, PolicyError, id="a codec that there is not"),
    ],
)
def test_a_block_is_refused_for(
    codec: int, stored: bytes, error: type[AirgapError], forged: Forge, isolated: Side
) -> None:
    depot = forged.depot(forge.stored_block(stored, PLAIN, codec=codec))

    refusals.expect_refusal(isolated, "verify", depot, error=error)
    refusals.expect_refusal(isolated, "import", depot, error=error, staging=True)


def test_a_block_that_is_longer_than_its_plain_bytes_is_refused(
    forged: Forge, isolated: Side
) -> None:
    depot = forged.depot(forge.stored_block(b"aa", b"a", codec=0))

    refusals.expect_refusal(isolated, "import", depot, error=CorruptError)


def test_a_file_that_repeats_a_chunk_beyond_the_disk_is_refused_before_it_is_written(
    forged: Forge, isolated: Side
) -> None:
    # 4 MiB that a file names a million times over: four TiB in a manifest of four MB.
    made = forge.stored_block(frame(4 * MIB, claimed=4 * MIB), b"a" * 4 * MIB)
    times = 1_000_000
    made.entry("weights.bin").update(chunks=forge.u32(1) * times, size=4 * MIB * times)

    depot = forged.depot(made.digest_items())

    refusals.expect_refusal(isolated, "import", depot, error=StorageError)
