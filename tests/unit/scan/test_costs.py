"""No file keeps the gate busy for longer than its size warrants, or fills the memory."""

import bz2
import io
import struct
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airgap.scan.judge_file import judge_file
from tests.support.scan_costs import Cost, measure_costs
from tests.unit.scan.files import array, ask, field, onnx, safetensors, text, wrapped, zipped

_MARGIN: Final = 2
"""Machines of tests are slow and busy."""
_MEMORY: Final = 128 * 1024 * 1024
_TREE: Final = ask("sklearn.tree._classes", "DecisionTreeClassifier")


def _many_states() -> bytes:
    keys = b"".join(text(f"a{number}") + b"N" for number in range(10_000))
    states = b"}(" + keys + b"uq\0" + _TREE + b"q\1" + b"h\1)\x81h\0b0" * 40_000 + b"."
    return b"\x80\x02" + states


def _dictionaries() -> bytes:
    pairs = b"](" + b"K\1K\2\x86" * 20_000 + b"eq\0"
    made = ask("collections", "OrderedDict") + b"q\1" + b"h\1h\0\x85R0" * 40_000 + b"."
    return b"\x80\x02" + pairs + made


def _encoded() -> bytes:
    encode = text("a" * 60_000) + b"q\0" + text("latin1") + b"q\1" + ask("_codecs", "encode")
    return b"\x80\2" + encode + b"q\2(" + b"h\2h\0h\1\x86R" * 30_000 + b"l."


def _arguments() -> bytes:
    row = b"(" + b"N" * 20_000 + b"tq\0" + ask("builtins", "complex") + b"q\1"
    return b"\x80\2" + row + b"h\1h\0R0" * 40_000 + b"."


def _arrays_of_objects() -> bytes:
    one = wrapped(b"", shape=b"K\1\x85", kind=b"U\2O8")[2:-1]
    one = one.replace(b"\x04\xff\xff\xff\xff", b"") + b"\x80\3](NeN0."
    return b"\x80\3(" + one * 2_500 + b"l."


def _emoji() -> bytes:
    emoji = "😀".encode() + b"a" * 60_000
    return b"\x80\4(" + (b"X" + struct.pack("<I", len(emoji)) + emoji) * 300 + b"l."


def _headers() -> bytes:
    fields = b"{'descr': [" + b"('a','<f4')," * 5_000 + b"], 'fortran_order': False, 'shape': (1,)}"
    header = b"\x93NUMPY\x02\0" + struct.pack("<I", len(fields)) + fields + bytes(20_000)
    return zipped({f"{number}.npy": header for number in range(100)})


def _texts_of_gguf() -> bytes:
    texts = struct.pack("<IIQ", 9, 8, 400_000) + bytes(8) * 400_000
    return b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"a" + texts


def _hdf5_that_leads_to_and_fro() -> bytes:
    """Return HDF5 with a group whose names lie far apart from what they lead to."""
    far, names = 8_000_000, 60_000
    data = bytearray(far + 200)
    data[:96] = struct.pack(
        "<8s8B2HI4Q2Q2I16s", b"\x89HDF\r\n\x1a\n", *(0, 0, 0, 0, 0, 8, 8, 0), 4, 16, 0,
        *(0, 2**64 - 1, len(data), 2**64 - 1), 0, 96, 0, 0, bytes(16),
    )  # fmt: skip
    data[96:136] = struct.pack("<BBHIII", 1, 0, 1, 1, 24, 0) + struct.pack(
        "<HHB3xQQ", 17, 16, 0, 136, 0
    )
    data[136:144] = b"TREE" + struct.pack("<BBH", 0, 0, 1)
    struct.pack_into("<Q", data, 136 + 24 + 8, 192)
    data[192:200] = b"SNOD" + struct.pack("<BBH", 1, 0, names)
    data[far : far + 16] = struct.pack("<BBHIII", 1, 0, 0, 1, 0, 0)
    for index in range(names):
        struct.pack_into("<QQII", data, 200 + 40 * index, 0, far, 0, 0)
    return bytes(data)


# Each is made when it is measured: all processes that run tests import this module.
_FILES: Final[dict[str, Callable[[], bytes]]] = {
    "lists.pkl": lambda: b"\x80\x02(" + b"]" * 400_000 + b"l.",
    "states.pkl": _many_states,
    "dictionaries.pkl": _dictionaries,
    "encoded.pkl": _encoded,
    "arguments.pkl": _arguments,
    "objects.joblib": _arrays_of_objects,
    "emoji.pkl": _emoji,
    "lines.jsonl": lambda: b'{"a":{"b":[1,[2]]},"c":"xx"}\n' * 100_000,
    "arrays.json": lambda: b"[" + b"[[[]]]," * 300_000 + b"[]]",
    "texts.json": lambda: b"[" + b'"ab",' * 2_000_000 + b"1]",
    "emoji.json": lambda: b'["' + b"a" * 12_000_000 + "😀".encode() + b'"]',
    "auto-maps.json": lambda: b"{" + b'"auto_map":[[1]],' * 60_000 + b'"a":1}',
    "tags.txt": lambda: b"!" * 4_000_000,
    "dashes.yaml": lambda: b"\n" + b"- " * 2_000_000,
    "zeros.npz": lambda: zipped({"a.npy": bytes(250_000_000)}, zipfile.ZIP_DEFLATED),
    "packed.npz": lambda: zipped({"a.npy": bytes(28_000_000)}, zipfile.ZIP_DEFLATED),
    "many.npz": lambda: zipped(dict.fromkeys(map("{}.npy".format, range(15_000)), array([1.0]))),
    "bomb.bz2": lambda: bz2.compress(b"a" * 60_000_000, 9),
    "keys.safetensors": lambda: safetensors(b"{" + b'"a":{},' * 590_000 + b'"b":{}}'),
    "headers.npz": _headers,
    "nodes.onnx": lambda: onnx(more=field(7, field(1, b"")) * 200_000),
    "texts.gguf": _texts_of_gguf,
    "count.ubj": lambda: b"{i\x01a[$Z#l\x7f\xff\xff\xff",
    "scans.jpg": lambda: b"\xff\xd8" + b"\xff\xda\0\2" * 500_000 + b"\xff\xd9",
    "back-and-forth.h5": _hdf5_that_leads_to_and_fro,
}


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[int, Cost]]]:
    with tempfile.TemporaryDirectory(dir=tmp_path_factory.getbasetemp()) as folder:
        sizes = {name: (Path(folder) / name).write_bytes(make()) for name, make in _FILES.items()}
        measured = measure_costs([Path(folder) / name for name in _FILES])
        yield {name: (size, measured[name]) for name, size in sizes.items()}


@pytest.mark.parametrize("name", _FILES)
def test_a_file_costs_no_more_than_its_size_warrants(
    name: str, costs: dict[str, tuple[int, Cost]]
) -> None:
    size, cost = costs[name]
    assert cost.seconds < _MARGIN * (1 + 2 * size / 10_000_000), cost
    assert cost.memory < _MEMORY, cost


_PIECES: Final = (
    *(b"N", b"]", b"}", b")", b"(", b"0", b"t", b"l", b"\x85", b"a", b"K\x01", b"h\0", b"\x94"),
    *(_TREE, ask("collections", "OrderedDict"), b"R", b"b", b"\x81", text("a")),
    *(b"[", b"{", b'"a":', b'"a"', b"1", b",", b"}", b"]", b"\n", b" ", b"!", b"- ", b"? ", b"\\"),
    *(b"\x0a\x02", b"\x3a\x02", b"\x08\x01", b"\x93NUMPY\x01\0", b"\0" * 8, b"PK\3\4", b"{i\1a["),
)


def _count_calls(data: bytes, name: str) -> int:
    """Return how many functions are called to judge a file, also those of C."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        judge_file(name, io.BytesIO(data), len(data))
    finally:
        sys.setprofile(before)
    return calls


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(_PIECES), max_size=4),
    st.lists(st.sampled_from(_PIECES), min_size=1, max_size=6),
    st.sampled_from(["a.pkl", "a.json", "a.jsonl", "a.yaml", "a.npz"]),
)
def test_twice_the_bytes_are_at_most_twice_the_work(
    start: list[bytes], block: list[bytes], name: str
) -> None:
    begin, repeated = b"".join(start), b"".join(block)
    short = _count_calls(begin + repeated * 100, name)
    assert _count_calls(begin + repeated * 200, name) < 2.2 * short + 2_000
