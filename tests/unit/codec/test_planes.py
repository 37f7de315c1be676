"""Codec 2: byte planes (format §5.3)."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.codec import planes, table, zstd
from airgap.errors import CorruptError
from tests.support import stores


def weights(count: int, width: int) -> bytes:
    """Numbers as weights are: normal, small, of either sign."""
    drawn = np.random.Generator(np.random.PCG64(7)).standard_normal(count) * 0.02
    if width == 2:
        return (drawn.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()  # bf16
    return drawn.astype(f"<f{width}").tobytes()


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.binary(max_size=4000), st.sampled_from(planes.WIDTHS))
def test_what_is_stored_comes_back(plain: bytes, width: int) -> None:
    assert planes.decode(planes.encode(plain, width), len(plain)) == plain


@pytest.mark.parametrize(("width", "share"), [(2, 0.68), (4, 0.86), (8, 0.93)])
def test_weights_get_smaller_than_general_compression_makes_them(width: int, share: float) -> None:
    plain = weights(1_000_000 // width, width)

    codec, stored = table.encode(plain, width)

    assert codec == table.PLANES
    assert len(stored) < share * len(plain)
    assert len(stored) < len(zstd.encode(plain, 3))
    assert table.decode(codec, stored, len(plain)) == plain


def test_noise_is_stored_raw() -> None:
    plain = stores.noise(100_000)

    assert table.encode(plain, 2) == (table.RAW, plain)


def test_a_cut_off_block_is_refused_at_every_length() -> None:
    stored = planes.encode(weights(64, 4), 4)

    for length in range(len(stored)):
        with pytest.raises(CorruptError):
            planes.decode(stored[:length], 256)


@pytest.mark.parametrize(
    "stored",
    [
        b"\x03" + struct.pack(">BI", 0, 0) * 3,  # no such width
        b"\x02" + struct.pack(">BI", 7, 2) + b"ab" + struct.pack(">BI", 0, 2) + b"cd",  # kind
        b"\x02" + struct.pack(">BI", 0, 0xFFFF_FFFF),  # a plane of 4 GiB
        b"\x02" + struct.pack(">BI", 0, 3) + b"abc" + struct.pack(">BI", 0, 2) + b"cd",  # uneven
        planes.encode(weights(2, 2), 2) + b"x",  # something follows
    ],
)
def test_a_block_that_lies_is_refused(stored: bytes) -> None:
    with pytest.raises(CorruptError):
        planes.decode(stored, 4)
