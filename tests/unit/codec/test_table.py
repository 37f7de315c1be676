"""The codecs (format §5.2). Bombs and broken frames: tests/attacks/test_compression.py."""

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.codec import guess, table, zstd
from airgap.errors import CorruptError, PolicyError
from airgap.format import limits
from tests.support import stores

QUICK = settings(max_examples=60, derandomize=True, database=None, deadline=None)
blocks = st.binary(min_size=1, max_size=3000) | st.builds(
    lambda part, times: part * times, st.binary(min_size=1, max_size=20), st.integers(1, 500)
)


@QUICK
@given(plain=blocks)
def test_what_was_stored_is_read_back_and_never_longer(plain: bytes) -> None:
    codec, stored = table.encode(plain)

    assert table.decode(codec, stored, len(plain)) == plain
    assert 1 <= len(stored) <= len(plain)


@QUICK
@given(plain=blocks, change=st.integers(-5, 5).filter(bool))
def test_a_block_of_another_length_is_corrupt(plain: bytes, change: int) -> None:
    codec, stored = table.encode(plain)

    with pytest.raises(CorruptError):
        table.decode(codec, stored, len(plain) + change)


@QUICK
@given(plain=blocks, at=st.floats(0, 1, exclude_max=True))
def test_a_frame_that_is_cut_off_is_corrupt(plain: bytes, at: float) -> None:
    stored = zstd.encode(plain, 3)

    with pytest.raises(CorruptError):
        zstd.decode(stored[: int(at * len(stored))], len(plain))


@QUICK
@given(stored=st.binary(max_size=200), length=st.integers(1, limits.CHUNK_BYTES))
def test_any_bytes_are_a_frame_of_that_length_or_corrupt(stored: bytes, length: int) -> None:
    try:
        plain = zstd.decode(stored, length)
    except CorruptError:
        return
    assert len(plain) == length


def test_a_larger_window_than_a_reader_needs_is_corrupt() -> None:
    header = b"\x28\xb5\x2f\xfd\xc0\x70" + limits.CHUNK_BYTES.to_bytes(8, "little")
    wide = header + b"\1\0\0"  # 16 MiB, and an empty last block

    with pytest.raises(CorruptError, match="larger window"):
        zstd.decode(wide, limits.CHUNK_BYTES)


def test_a_frame_to_be_skipped_holds_nothing() -> None:
    skipped = b"\x50\x2a\x4d\x18" + (7).to_bytes(4, "little") + b"7 bytes"

    with pytest.raises(CorruptError):
        zstd.decode(skipped, 7)


def test_text_is_compressed_and_noise_is_not() -> None:
    assert table.encode(b"the same words, again\n" * 100)[0] == table.ZSTD
    assert table.encode(stores.noise(5000)) == (table.RAW, stores.noise(5000))


@pytest.mark.parametrize("preset", ["fast", "default", "small"])
def test_every_preset_is_read_and_more_time_gives_no_more_bytes(preset: table.Preset) -> None:
    plain = b"".join(b"%d, " % (number * number % 977) for number in range(20_000))

    codec, stored = table.encode(plain, preset=preset)

    assert table.decode(codec, stored, len(plain)) == plain
    assert len(stored) <= len(table.encode(plain, preset="fast")[1])


def test_nothing_is_compressed_where_that_is_asked_for() -> None:
    assert table.encode(bytes(5000), preset="none") == (table.RAW, bytes(5000))


def test_small_integers_are_compressed_as_such() -> None:
    drawn = np.random.Generator(np.random.PCG64(7)).standard_normal(500_000) * 30
    plain = drawn.astype(np.int8).tobytes()

    codec, stored = table.encode(plain, 1)

    assert codec == table.ZSTD
    assert len(stored) < 0.9 * len(plain)
    assert table.decode(codec, stored, len(plain)) == plain


def test_numbers_that_repeat_are_compressed_as_what_they_are() -> None:
    plain = bytes(range(256)) * 2000

    assert len(table.encode(plain, 1)[1]) < len(plain) // 100


@pytest.mark.parametrize(("kind", "width"), [("<f8", 8), ("<f4", 4), ("<f2", 2)])
def test_numbers_are_found_where_nothing_says_they_are(kind: str, width: int) -> None:
    drawn = np.random.Generator(np.random.PCG64(7)).standard_normal(200_000) * 0.02

    codec, stored = table.encode(drawn.astype(kind).tobytes())

    assert (codec, stored[0]) == (table.PLANES, width)


@pytest.mark.parametrize(
    "plain", [stores.noise(300_000), b"import this; " * 30_000, bytes(300_000), stores.noise(9)]
)
def test_numbers_are_not_found_where_there_are_none(plain: bytes) -> None:
    assert guess.guess_width(plain) == 0


def test_the_longest_block_is_read() -> None:
    plain = bytes(limits.CHUNK_BYTES)

    assert table.decode(*table.encode(plain), len(plain)) == plain


def test_the_same_bytes_are_stored_alike() -> None:
    plain = b"".join(b"%d " % number for number in range(10_000))

    assert table.encode(plain) == table.encode(bytes(bytearray(plain)))


def test_a_frame_says_how_long_it_is_and_needs_a_small_window() -> None:
    parameters = zstandard.get_frame_parameters(zstd.encode(bytes(limits.CHUNK_BYTES), 3))

    assert parameters.content_size == limits.CHUNK_BYTES
    assert parameters.window_size <= limits.WINDOW_BYTES
    assert not parameters.has_checksum
    assert parameters.dict_id == 0


@pytest.mark.parametrize("codec", [100, 254, 255])
def test_an_unknown_codec_asks_for_a_newer_version(codec: int) -> None:
    with pytest.raises(PolicyError, match=f"codec {codec}") as caught:
        table.decode(codec, b"x", 1)
    assert "newer" in caught.value.hint
