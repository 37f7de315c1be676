"""Cuts that follow a file's own structure, and files that lie about theirs."""

import json
import struct
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.chunking import gguf, npy, regions, safetensors
from airgap.chunking.cutters import cut, most_pieces
from airgap.chunking.pieces import Piece, Region
from airgap.chunking.sizes import LARGEST, PIECE, SMALLEST
from tests import kit


def blocks(data: bytes, size: int = 1_000_003) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def cut_up(data: bytes, size: int = 1_000_003) -> list[Piece]:
    return list(cut(blocks(data, size), len(data)))


def safetensors_file(
    tensors: Mapping[str, tuple[str, bytes]], note: str = "", gap: int = 0
) -> bytes:
    header: dict[str, object] = {"__metadata__": {"note": note}}
    body = b""
    for name, (dtype, data) in tensors.items():
        body += bytes(gap)
        header[name] = {
            "dtype": dtype,
            "shape": [len(data)],
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


LAYERS = {
    "a": ("BF16", kit.noise(3_000_000, 1)),
    "b": ("F32", kit.noise(700_000, 2)),
    "c.norm": ("F32", kit.noise(100, 3)),
    "d": ("I8", kit.noise(500_000, 4)),
}


def gguf_text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def gguf_file(tensors: Mapping[str, tuple[int, bytes]], version: int = 3) -> bytes:
    table, body = b"", b""
    for name, (kind, data) in tensors.items():
        table += gguf_text(name) + struct.pack("<IQIQ", 1, len(data), kind, len(body))
        body += data + bytes(-len(data) % 64)
    keys = [
        gguf_text("general.alignment") + struct.pack("<II", 4, 64),
        gguf_text("tokens") + struct.pack("<IIQ", 9, 8, 2) + gguf_text("x") + gguf_text("yy"),
        gguf_text("scores") + struct.pack("<IIQ", 9, 6, 3) + bytes(12),
        gguf_text("name") + struct.pack("<I", 8) + gguf_text("tiny"),
        gguf_text("on") + struct.pack("<IB", 7, 1),
    ]
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys)) + b"".join(keys) + table
    return head + bytes(-len(head) % 64) + body


def test_tensors_are_cut_from_their_own_beginning() -> None:
    data = safetensors_file(LAYERS)

    pieces = cut_up(data)

    assert b"".join(piece.plain for piece in pieces) == data
    assert LAYERS["a"][1][:PIECE] in [piece.plain for piece in pieces]
    assert {piece.width for piece in pieces if piece.plain in LAYERS["a"][1]} == {2}


def test_a_longer_header_changes_the_header_s_chunk_alone() -> None:
    old, new = (cut_up(safetensors_file(LAYERS, note)) for note in ("", "replaced" * 50))

    assert len(set(new) - set(old)) == 1


def test_cuts_do_not_depend_on_how_the_file_is_read() -> None:
    data = safetensors_file(LAYERS) + kit.noise(900_000, 9)

    assert cut_up(data, 65_537) == cut_up(data, 20_000_000)


@pytest.mark.parametrize("version", [2, 3])
def test_a_gguf_file_is_cut_at_its_tensors(version: int) -> None:
    tensors = {"w": (1, kit.noise(2_000_000, 1)), "q": (12, kit.noise(600_000, 2))}
    data = gguf_file(tensors, version)

    pieces = cut_up(data)

    assert b"".join(piece.plain for piece in pieces) == data
    assert Piece(tensors["w"][1][:PIECE], 2) in pieces
    assert any(
        piece.plain.startswith(tensors["q"][1][:1000]) and piece.width == 0 for piece in pieces
    )


@pytest.mark.parametrize(("descr", "width"), [("<f4", 4), ("<f8", 8), ("<i8", 0)])
def test_an_npy_file_is_cut_after_its_header(descr: str, width: int) -> None:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,), }}\n".encode()
    data = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + kit.noise(800_000)

    regions_found = npy.plan(data, len(data))

    assert regions_found == [Region(10 + len(header)), Region(800_000, width)]


def test_the_second_npy_version_has_a_longer_length() -> None:
    data = b"\x93NUMPY\2\0" + struct.pack("<I", 4) + b"{ }\n" + bytes(100)

    assert npy.plan(data, len(data)) == [Region(16), Region(100)]


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{",
        b"{" * 100_000,
        b'{"a": 1}',
        b'{"a": {"dtype": "F32", "data_offsets": [0, 1e3]}}',
        b'{"a": {"dtype": "F32", "data_offsets": [5, 2]}}',
        b'{"a": {"dtype": "F32", "data_offsets": [0, 99999999999]}}',
        b'{"a": {"dtype": [], "data_offsets": [0, 4]}}',
        (
            b'{"a": {"dtype": "F32", "data_offsets": [0, 9]},'
            b' "b": {"dtype": "F32", "data_offsets": [8, 20]}}'
        ),
    ],
)
def test_a_header_that_lies_makes_a_file_be_cut_by_content(header: bytes) -> None:
    data = struct.pack("<Q", len(header)) + header + kit.noise(600_000)

    assert safetensors.plan(data, len(data)) is None
    assert b"".join(piece.plain for piece in cut_up(data)) == data


@pytest.mark.parametrize("keep", range(0, 210, 7))
def test_a_gguf_header_that_is_cut_off_is_no_gguf_header(keep: int) -> None:
    data = gguf_file({"w": (1, b"ab" * 100)})[:keep]

    assert gguf.plan(data, 1_000_000) is None


@pytest.mark.parametrize(
    "start",
    [
        b"GGUF" + struct.pack("<IQQ", 1, 1, 1),
        b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + gguf_text("k") + struct.pack("<I", 99),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + gguf_text("k") + struct.pack("<IIQ", 9, 9, 1),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + gguf_text("k") + struct.pack("<IIQ", 9, 8, 2**50),
    ],
)
def test_a_gguf_header_that_lies_is_no_gguf_header(start: bytes) -> None:
    assert gguf.plan(start + bytes(400), 1_000_000) is None


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3 * PIECE), st.sampled_from([0, 2, 4])), max_size=12))
def test_regions_of_any_kind_tile_the_file(drawn: list[tuple[int, int]]) -> None:
    wanted = [Region(length, width) for length, width in drawn]
    size = sum(region.length for region in wanted) + 1000
    data = kit.noise(4 * PIECE) * 12

    pieces = list(regions.cut(blocks(data[:size]), wanted))

    assert b"".join(piece.plain for piece in pieces) == data[:size]
    assert all(1 <= len(piece.plain) <= LARGEST for piece in pieces)
    assert len(pieces) <= most_pieces(size)


def test_small_neighbours_share_a_chunk_and_keep_their_width_if_it_is_the_same() -> None:
    small = SMALLEST // 3

    joined = list(regions.join_small([Region(small, 4), Region(small, 4), Region(9, 4), Region(0)]))
    mixed = list(regions.join_small([Region(small, 4), Region(small, 2), Region(SMALLEST, 2)]))

    assert joined == [Region(2 * small + 9, 4)]
    assert mixed == [Region(2 * small, 0), Region(SMALLEST, 2)]


def test_a_file_that_ends_within_its_regions_is_cut_to_its_end() -> None:
    assert list(regions.cut(iter([b"abc"]), [Region(SMALLEST)])) == [Piece(b"abc")]
