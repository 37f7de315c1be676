"""Cuts that follow a file's own structure, and files that lie about theirs."""

import io
import json
import struct
import zipfile
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.chunking import gguf, npy, regions, safetensors
from airgap.chunking.cutters import cut, max_pieces
from airgap.chunking.pieces import Peekable, Piece, Region
from airgap.chunking.sizes import LARGEST, PIECE, SMALLEST
from tests.support import stores, zip_files


def cut_up(data: bytes) -> list[Piece]:
    with stores.open_file(data) as file:
        return list(cut(file))


def planned(plan: Callable[[Peekable], list[Region] | None], data: bytes) -> list[Region] | None:
    """Plan the cuts of a real file."""
    with stores.open_file(data) as file:
        return plan(file)


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
    "a": ("BF16", stores.noise(3_000_000, 1)),
    "b": ("F32", stores.noise(700_000, 2)),
    "c.norm": ("F32", stores.noise(100, 3)),
    "d": ("I8", stores.noise(500_000, 4)),
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


def test_a_piece_knows_its_tensor_and_where_in_it_it_lies() -> None:
    pieces = cut_up(safetensors_file(LAYERS))

    assert [(piece.part, piece.offset) for piece in pieces] == [
        ("header", 0),
        ("a", 0),
        ("a", PIECE),
        ("a", 2 * PIECE),
        ("b", 0),
        ("c.norm", 0),
        ("d", 0),
    ]


def zip_file(members: Mapping[str, bytes], *, wide: bool = False) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            with archive.open(name, "w", force_zip64=wide) as member:
                member.write(data)
    return out.getvalue()


@pytest.mark.parametrize("wide", [False, True])
def test_a_zip_archive_is_cut_at_its_stored_members(wide: bool) -> None:  # noqa: FBT001
    members = {
        "data/0": stores.noise(2_000_000, 1),
        "tiny": b"x",
        "data/1": stores.noise(900_000, 2),
    }

    pieces = cut_up(zip_file(members, wide=wide))

    assert b"".join(piece.plain for piece in pieces) == zip_file(members, wide=wide)
    first = [piece.plain for piece in pieces if piece.part == "data/0"]
    assert b"".join(first) == members["data/0"]
    assert members["data/1"] in [piece.plain for piece in pieces]


def test_arrays_in_an_npz_are_cut_after_their_headers() -> None:
    out = io.BytesIO()
    array = np.arange(200_000, dtype="<f8")
    np.savez(out, first=array, second=array[::-1])

    pieces = cut_up(out.getvalue())

    numbers = [piece for piece in pieces if piece.part == "first.npy"]
    assert b"".join(piece.plain for piece in numbers) == array.tobytes()
    assert {piece.width for piece in numbers} == {8}


def test_a_compressed_zip_archive_is_cut_by_content() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", stores.noise(900_000).hex())

    assert {piece.part for piece in cut_up(out.getvalue())} == {""}


def with_directory(change: Callable[[bytes], bytes]) -> bytes:
    """Return an archive whose directory was changed, in place."""
    data = zip_file({"a": stores.noise(600_000, 1), "b": stores.noise(600_000, 2)})
    at = data.index(b"PK\1\2")
    return data[:at] + change(data[at:])


@pytest.mark.parametrize(
    "change",
    [
        lambda tail: tail.replace(b"PK\1\2", b"PK\1\3"),  # no entry
        lambda tail: tail.replace(b"PK\5\6", b"PK\5\5"),  # no end
        lambda tail: tail[:42] + b"\xf0\xff\xff\x7f" + tail[46:],  # a member beyond the file
        lambda tail: tail[:20] + b"\xf0\xff\xff\x7f" + tail[24:],  # longer than the file
        lambda tail: tail[:42] + b"\xff\xff\xff\xff" + tail[46:],  # wide, without that field
        lambda tail: tail[:47] + tail[:42] + bytes(4) + tail[89:],  # two members in one place
        lambda tail: tail[:28] + b"\xff\xff" + tail[30:],  # a name that passes the end
    ],
)
def test_a_directory_that_lies_makes_an_archive_be_cut_somewhere_else(
    change: Callable[[bytes], bytes],
) -> None:
    data = with_directory(change)

    assert b"".join(piece.plain for piece in cut_up(data)) == data


@pytest.mark.parametrize(
    "odd",
    [
        {"values": 1},  # the member's zip64 field has fewer values than are needed
        {"values": 0},
        {"member": 2**63 - 1},
        {"member": 2**63},
        {"directory": 2**63 - 1},
        {"directory": 2**64 - 1},
        {"end": 2**63 - 1},
        {"end": 2**63},
    ],
)
def test_a_zip64_archive_that_lies_is_cut_by_content(odd: dict[str, int]) -> None:
    body = stores.noise(600_000)
    data = zip_files.zip_member(body) + zip_files.zip_directory(len(body), wide=True, **odd)

    pieces = cut_up(data)

    assert b"".join(piece.plain for piece in pieces) == data
    assert {piece.part for piece in pieces} == {""}


def test_a_zip64_archive_is_cut_at_its_members() -> None:
    body = stores.noise(600_000)

    pieces = cut_up(zip_files.zip_member(body) + zip_files.zip_directory(len(body), wide=True))

    assert b"".join(piece.plain for piece in pieces if piece.part == "a") == body


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.integers(0, 200), st.integers(0, 255))
def test_a_directory_with_any_byte_changed_is_harmless(at: int, byte: int) -> None:
    data = with_directory(lambda tail: tail[:at] + bytes([byte]) + tail[at + 1 :])

    assert b"".join(piece.plain for piece in cut_up(data)) == data


@pytest.mark.parametrize("version", [2, 3])
def test_a_gguf_file_is_cut_at_its_tensors(version: int) -> None:
    tensors = {"w": (1, stores.noise(2_000_000, 1)), "q": (12, stores.noise(600_000, 2))}
    data = gguf_file(tensors, version)

    pieces = cut_up(data)

    assert b"".join(piece.plain for piece in pieces) == data
    assert Piece(tensors["w"][1][:PIECE], 2, "w") in pieces
    assert any(
        piece.plain.startswith(tensors["q"][1][:1000]) and piece.width == 1 for piece in pieces
    )


@pytest.mark.parametrize(("descr", "width"), [("<f4", 4), ("<f8", 8), ("<i8", 0)])
def test_an_npy_file_is_cut_after_its_header(descr: str, width: int) -> None:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,), }}\n".encode()
    data = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + stores.noise(800_000)

    regions_found = planned(npy.plan, data)

    header_region = Region(10 + len(header), name="header")
    assert regions_found == [header_region, Region(800_000, width, "array")]


def test_the_second_npy_version_has_a_longer_length() -> None:
    data = b"\x93NUMPY\2\0" + struct.pack("<I", 4) + b"{ }\n" + bytes(100)

    assert planned(npy.plan, data) == [Region(16, name="header"), Region(100, name="array")]


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
    data = struct.pack("<Q", len(header)) + header + stores.noise(600_000)

    assert planned(safetensors.plan, data) is None
    assert b"".join(piece.plain for piece in cut_up(data)) == data


@pytest.mark.parametrize("keep", range(0, 210, 7))
def test_a_gguf_header_that_is_cut_off_is_no_gguf_header(keep: int) -> None:
    data = gguf_file({"w": (1, b"ab" * 100)})[:keep]

    assert planned(gguf.plan, data) is None


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
    assert planned(gguf.plan, start + bytes(400)) is None


NOISE = stores.noise(4 * PIECE) * 12


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3 * PIECE), st.sampled_from([0, 2, 4])), max_size=12))
def test_regions_of_any_kind_tile_the_file(drawn: list[tuple[int, int]]) -> None:
    wanted = [Region(length, width) for length, width in drawn]
    size = sum(region.length for region in wanted) + 1000

    pieces = list(regions.cut(io.BytesIO(NOISE[:size]).read, wanted))

    assert b"".join(piece.plain for piece in pieces) == NOISE[: size - 1000]
    assert all(1 <= len(piece.plain) <= LARGEST for piece in pieces)
    assert len(pieces) <= max_pieces(size)


def test_small_neighbours_share_a_chunk_and_keep_their_width_if_it_is_the_same() -> None:
    small = SMALLEST // 3

    joined = list(regions.join_small([Region(small, 4), Region(small, 4), Region(9, 4), Region(0)]))
    mixed = list(regions.join_small([Region(small, 4), Region(small, 2), Region(SMALLEST, 2)]))

    assert joined == [Region(2 * small + 9, 4)]
    assert mixed == [Region(2 * small, 0), Region(SMALLEST, 2)]


def test_a_file_that_ends_within_its_regions_is_cut_to_its_end() -> None:
    assert list(regions.cut(io.BytesIO(b"abc").read, [Region(SMALLEST)])) == [Piece(b"abc")]
