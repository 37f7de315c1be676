"""Files of every form that a scan assesses, made here, with the verdict that is right for each."""

import bz2
import gzip
import io
import json
import lzma
import pickle  # noqa: TID251 -- it writes what is only followed, and never loads
import struct
import tarfile
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import numpy as np
import yaml

from tests.support.sides import REPOSITORY

FILES: Final = REPOSITORY / "tests/vectors/scan/files"
Verdict = Literal["inert", "code", "refused"]


@dataclass(frozen=True)
class Case:
    """A file, the verdict that is right, and a part of the reason that must be given."""

    name: str
    data: bytes
    verdict: Verdict
    reason: str = ""


class Calls:
    """Is written as a call of a function that a pickle must not reach."""

    def __init__(self, called: object, *arguments: object) -> None:
        self.called, self.arguments = called, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.called, self.arguments


def ask(module: str, name: str) -> bytes:
    """Return the operations that push a global."""
    return f"c{module}\n{name}\n".encode()


def call(module: str, name: str, argument: str = "true") -> bytes:
    """Return a pickle of protocol 0 that calls a function with a text."""
    return ask(module, name) + f"(S'{argument}'\ntR.".encode()


def text(value: str) -> bytes:
    """Return the operation that pushes a text."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def zipped(
    members: dict[str, bytes], packing: int = zipfile.ZIP_STORED, level: int | None = None
) -> bytes:
    """Return a zip."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packing, compresslevel=level) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(members: dict[str, bytes], link: str = "") -> bytes:
    """Return a tar, with a link to somewhere if it is named."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        if link:
            member = tarfile.TarInfo("link")
            member.type, member.linkname = tarfile.SYMTYPE, link
            archive.addfile(member)
    return stream.getvalue()


def array(value: object, *, objects: bool = False) -> bytes:
    """Return an array as NumPy saves it."""
    stream = io.BytesIO()
    np.save(stream, np.asarray(value, dtype=object if objects else None), allow_pickle=objects)
    return stream.getvalue()


def safetensors(header: object, data: bytes = b"") -> bytes:
    """Return a safetensors file with a header."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def tensor(
    begin: int, end: int, kind: str = "F32", shape: list[int] | None = None
) -> dict[str, object]:
    """Return the description of a tensor in a safetensors file."""
    return {
        "dtype": kind,
        "shape": [(end - begin) // 4] if shape is None else shape,
        "data_offsets": [begin, end],
    }


def torch_archive(others: dict[str, bytes] | None = None, *, numbers: int = 16) -> bytes:
    """Return an archive of torch with one tensor of four floats, which has ``numbers`` bytes."""
    stored = b"((U\x07storage" + ask("torch", "FloatStorage") + b"U\x010U\x03cpuK\x04tQ"
    made = ask("torch._utils", "_rebuild_tensor_v2") + stored + b"K\x00K\x04\x85K\x01\x85\x89"
    made += ask("collections", "OrderedDict") + b")RtR"
    members = {"archive/data.pkl": b"\x80\x02}U\x01w" + made + b"s.", "archive/version": b"3\n"}
    members["archive/data/0"] = bytes(numbers)
    return zipped(members | {f"archive/{name}": data for name, data in (others or {}).items()})


def gguf(template: str = "", version: int = 3, tensors: int = 0) -> bytes:
    """Return a GGUF file with a name, a list of numbers, and a chat template."""

    def string(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    values = [
        string("general.name") + struct.pack("<I", 8) + string("tiny"),
        string("tokens") + struct.pack("<IIQ", 9, 8, 2) + string("a") + string("b"),
        string("counts") + struct.pack("<IIQ3i", 9, 5, 3, 1, 2, 3),
    ]
    if template:
        values.append(string("tokenizer.chat_template") + struct.pack("<I", 8) + string(template))
    described = string("w") + struct.pack("<IQIQ", 1, 4, 0, 0)
    start = b"GGUF" + struct.pack("<IQQ", version, tensors, len(values))
    return start + b"".join(values) + described * tensors + bytes(16)


def field(number: int, value: bytes | int) -> bytes:
    """Return a field of a protocol buffer."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    key = number << 3 | 2
    start = bytes([key]) if key < 128 else bytes([key & 0x7F | 0x80, key >> 7])
    size = len(value)
    return start + (bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])) + value


def onnx(*nodes: bytes, tensors: bytes = b"", more: bytes = b"") -> bytes:
    """Return an ONNX model of nodes."""
    graph = b"".join(field(1, node) for node in nodes) + field(2, b"g") + tensors
    return field(1, 8) + field(2, b"te\0\xff") + field(7, graph) + more


def node(operator: str, domain: str = "", attribute: bytes = b"") -> bytes:
    """Return a node of an ONNX graph."""
    raw = field(1, b"x") + field(2, b"y") + field(4, operator.encode())
    return raw + (field(7, domain.encode()) if domain else b"") + attribute


def external(location: str) -> bytes:
    """Return an initializer of an ONNX graph whose numbers lie in another file."""
    entry = field(1, b"location") + field(2, location.encode())
    return field(5, field(1, 2) + field(8, b"w") + field(13, entry) + field(14, 1))


def wrapped(numbers: bytes, shape: bytes = b"K\x02\x85", kind: bytes = b"U\x02f8") -> bytes:
    """Return a pickle of joblib with one array, whose numbers lie between two operations."""
    dtype = ask("numpy", "dtype") + b"(" + kind + b"\x89\x88tR"
    state = b"(U\x05shape" + shape + b"U\x05orderU\x01CU\x08subclass" + ask("numpy", "ndarray")
    state += b"U\x05dtype" + dtype + b"U\x0aallow_mmap\x88"
    state += b"U\x1bnumpy_array_alignment_bytesK\x10u"
    wrapper = ask("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81}" + state + b"b"
    return b"\x80\x03" + wrapper + b"\x04\xff\xff\xff\xff" + numbers + b"."


def keras_model(layer: dict[str, object]) -> bytes:
    """Return a model as Keras 3 saves it."""
    config = {"module": "keras", "class_name": "Sequential", "config": {"layers": [layer]}}
    weights = (FILES / "dense.weights.h5").read_bytes()
    return zipped(
        {
            "config.json": json.dumps(config).encode(),
            "metadata.json": b'{"keras_version": "3.12.0"}',
            "model.weights.h5": weights,
        }
    )


_DENSE: dict[str, object] = {
    "module": "keras.layers",
    "class_name": "Dense",
    "config": {"units": 2},
    "registered_name": None,
}
_UBJSON = (
    b"{L\0\0\0\0\0\0\0\x01a[$d#L\0\0\0\0\0\0\0\x02\x3f\x80\0\0\x3f\x80\0\0"
    b"i\x01bSL\0\0\0\0\0\0\0\x02hi}"
)
_CALM = "{% for message in messages %}{{ message['role'] + ': ' + message['content'] }}{% endfor %}"


def _pickles() -> Iterator[Case]:
    plain = {"a": [1, 2.5, "x"], "b": (None, True, False), "c": {1, 2}, "d": b"xy", "e": 2**70}
    for protocol in range(6):
        yield Case(f"plain-{protocol}.pkl", pickle.dumps(plain, protocol), "inert")
    yield Case("dates.pkl", pickle.dumps([date(2026, 1, 1), OrderedDict(a=1)]), "inert")
    yield Case("array.pkl", pickle.dumps({"w": np.arange(10.0)}), "inert")
    yield Case("scalar.pkl", pickle.dumps(np.float32(1)), "inert")
    for protocol in range(6):
        data = pickle.dumps(Calls(print, "x"), protocol)
        yield Case(f"calls-{protocol}.pkl", data, "refused", "print")
    yield Case("unlisted.pkl", call("importlib", "import_module", "os"), "refused", "importlib.")
    yield Case(
        "indirect.pkl",
        b"cpkgutil\nresolve_name\n(S'os:system'\ntR(S'true'\ntR.",
        "refused",
        "pkgutil",
    )
    yield Case(
        "partial.pkl",
        b"cfunctools\npartial\n(cos\nsystem\nS'true'\ntR.",
        "refused",
        "functools.partial",
    )
    yield Case("instance.pkl", b"(S'true'\nios\nsystem\n.", "refused", "os.system")
    yield Case("object.pkl", b"(cos\nsystem\nS'true'\no.", "refused", "os.system")
    yield Case("truncated.pkl", pickle.dumps(Calls(print, "x"))[:-1], "refused", "ends too early")
    yield Case("two.pkl", pickle.dumps(1) + pickle.dumps(2), "refused", "follow the end")


def _damaged_pickles() -> Iterator[Case]:
    yield Case("number.pkl", b"\x80\x02\x82\x01.", "refused", "registry")
    yield Case("identity.pkl", b"\x80\x02U\x01xQ.", "refused", "asks its reader")
    yield Case("identity-0.pkl", b"\x80\x02Px\n.", "refused", "asks its reader")
    yield Case("buffer.pkl", b"\x80\x05\x97.", "refused", "buffer outside")
    yield Case("underflow.pkl", b"\x80\x02R.", "refused", "empty stack")
    yield Case("unmarked.pkl", b"\x80\x02t.", "refused", "mark")
    yield Case("memo.pkl", b"\x80\x02h\x05.", "refused", "memo")
    confused = (
        b"\x80\x04"
        + text("os")
        + b"q\x00"
        + text("system")
        + b"q\x01"
        + text("torch._utils")
        + b"\x94"
    )
    confused += text("_rebuild_tensor_v2") + b"\x94h\x00h\x01\x93" + text("true") + b"\x85R."
    yield Case("confused.pkl", confused, "refused", "os.system")
    computed = b"\x80\x04" + b"\x8c\x02os" + b"\x8c\x06system" + b"N\x86\x93."
    yield Case("computed.pkl", computed, "refused", "name that it computes")
    dotted = b"\x80\x04" + text("sklearn.utils") + text("os.PathLike") + b"\x93)\x81."
    yield Case("dotted.pkl", dotted, "refused", "os.PathLike of sklearn.utils")
    yield Case(
        "changes.pkl",
        b"ccollections\nOrderedDict\n}U\x01aK\x01sb.",
        "refused",
        "changes collections",
    )
    base = b"ccopyreg\n_reconstructor\n(ccollections\nOrderedDict\ncdatetime\ndate\nNtR."
    yield Case("base.pkl", base, "refused", "type of Python")
    yield Case("type.pkl", b"cbuiltins\nobject\n)R.", "refused", "calls builtins.object")
    tree = b"\x80\x03csklearn.tree._classes\nDecisionTreeClassifier\n)\x81}U\x05depthK\x02sb."
    yield Case("estimator.pkl", tree, "inert")
    function = b"\x80\x03csklearn.utils\nestimator_html_repr\n)\x81."
    yield Case("function.pkl", function, "refused", "estimator_html_repr")
    called = b"\x80\x03csklearn.tree._classes\nDecisionTreeClassifier\n)R."
    yield Case("called.pkl", called, "refused", "calls sklearn")
    yield Case("prefix.safetensors", pickle.dumps(Calls(print, "x")), "refused", "print")
    yield Case("settings.json", call("os", "system"), "refused", "os.system")
    yield Case("cut.txt", call("os", "system")[:-1], "refused", "os.system")
    old = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
    yield Case("old.pt", old, "refused", "before 1.6")


def _arrays() -> Iterator[Case]:
    yield Case("wrapped.joblib", wrapped(bytes(16)), "inert")
    yield Case("short.joblib", wrapped(bytes(4)), "refused", "ends too early")
    yield Case("shapeless.joblib", wrapped(bytes(16), shape=b"K\x02"), "refused", "no shape")
    yield Case("typeless.joblib", wrapped(bytes(16), kind=b"U\x02z8"), "refused", "type z8")
    # To joblib these are 40 numbers; to a plain reader of pickles they are a call.
    acts = call("os", "system")
    hidden = wrapped(acts + bytes(40 - len(acts)), shape=b"K\x05\x85").replace(
        b"\x04\xff\xff\xff\xff", b""
    )
    hidden = hidden.replace(b"numpy_array_alignment_bytesK\x10", b"numpy_array_alignment_bytesN")
    yield Case("two-readers.joblib", hidden, "refused", "without joblib")
    yield Case("good.npy", array(np.arange(5.0)), "inert")
    yield Case("records.npy", array(np.zeros(3, dtype=[("a", "<f4"), ("b", "<i8", (2,))])), "inert")
    yield Case("objects.npy", array([Calls(print, "x")], objects=True), "refused", "print")
    yield Case("texts.npy", array(["a", 1], objects=True), "inert")
    yield Case("days.npy", array(np.array(["2026-11-30"], dtype="M8[D]")), "inert")
    second = b"\x93NUMPY\x02\0" + struct.pack("<I", 64)
    second += b"{'descr': '<U2', 'fortran_order': False, 'shape': (1,)}".ljust(64) + bytes(8)
    yield Case("second.npy", second, "inert")
    odd = (
        array([1.0]).replace(b"'<f8'", b"{1: 2}").replace(b"\x93NUMPY\x01\0v", b"\x93NUMPY\x01\0w")
    )
    yield Case("odd.npy", odd, "refused", "type that is not known")
    fields = array(np.zeros(1, dtype=[("a", "<f4")])).replace(b"('a', '<f4')", b"'a'         ")
    yield Case("fields.npy", fields, "refused", "records are of a type")
    shape = array([1.0]).replace(b"(1,)", b"[1] ")
    yield Case("unshaped.npy", shape, "refused", "no type and shape")
    yield Case(
        "long.npy", b"\x93NUMPY\x02\0" + struct.pack("<I", 2**31), "refused", "its header has"
    )
    yield Case("longer.npy", array(np.arange(5.0)) + b"x", "refused", "another size")
    yield Case("headless.npy", b"\x93NUMPY\x01\x00\x05\x00hello", "refused", "dictionary of Python")
    yield Case(
        "good.npz",
        zipped({"a.npy": array([1.0]), "b.npy": array([2])}, zipfile.ZIP_DEFLATED),
        "inert",
    )
    yield Case(
        "bad.npz", zipped({"a.npy": array([Calls(print)], objects=True)}), "refused", "a.npy: "
    )


def _tensors() -> Iterator[Case]:
    header = {"__metadata__": {"format": "pt"}, "b": tensor(8, 16), "a": tensor(0, 8)}
    yield Case("good.safetensors", safetensors(header, bytes(16)), "inert")
    yield Case("more.safetensors", safetensors(header, bytes(17)), "refused", "belong to no tensor")
    yield Case(
        "hole.safetensors", safetensors({"a": tensor(4, 8)}, bytes(8)), "refused", "does not begin"
    )
    twice = {"a": tensor(0, 8), "b": tensor(4, 12)}
    yield Case("twice.safetensors", safetensors(twice, bytes(12)), "refused", "does not begin")
    wrong = {"a": tensor(0, 8, shape=[3])}
    yield Case("shape.safetensors", safetensors(wrong, bytes(8)), "refused", "another size")
    yield Case(
        "kind.safetensors",
        safetensors({"a": tensor(0, 8, "X9")}, bytes(8)),
        "refused",
        "another way",
    )
    same = b'{"a": 1, "a": 2}'
    yield Case("same.safetensors", safetensors(same), "refused", "stands twice")
    yield Case("nameless.safetensors", safetensors(b"{]"), "refused", "not JSON")
    huge = struct.pack("<Q", 16_777_217) + b"{" + bytes(16_777_217)
    yield Case("huge.safetensors", huge, "refused", "header has 16,777,217")
    yield Case("model.gguf", gguf(_CALM, tensors=1), "code")
    yield Case("quiet.gguf", gguf(), "inert")
    yield Case("evil.gguf", gguf("{{ ''.__class__ }}"), "code", "tokenizer.chat_template: it names")
    yield Case("version.gguf", gguf(version=9), "refused", "version 9")
    several = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    key = struct.pack("<Q", 1) + b"k"
    lists = key + struct.pack("<IIQIQ", 9, 9, 1, 4, 2) + bytes(8)
    yield Case("lists.gguf", several + lists, "inert")
    yield Case("type.gguf", several + key + struct.pack("<I", 77), "refused", "type 77")
    yield Case("text.gguf", several + struct.pack("<Q", 2**40), "refused", "a text has")
    shaped = gguf(tensors=1).replace(b"w\x01\0\0\0", b"w\x63\0\0\0")
    yield Case("shape.gguf", shaped, "refused", "99 dimensions")
    far = gguf(tensors=1)[:-24] + struct.pack("<Q", 2**40) + bytes(16)
    yield Case("far.gguf", far, "refused", "behind the end")
    yield Case("cut.gguf", gguf(tensors=1)[:-30], "refused", "ends too early")


def _models() -> Iterator[Case]:
    yield Case("good.pt", torch_archive(), "inert")
    yield Case("size.pt", torch_archive(numbers=20), "refused", "has 20 bytes")
    yield Case(
        "hidden.pt", torch_archive({"data/9": pickle.dumps(Calls(print))}), "refused", "data/9: "
    )
    yield Case("odd.pt", torch_archive({"evil.dat": b"\xfe\xff\0"}), "refused", "evil.dat: ")
    yield Case("script.pt", torch_archive({"code/a.py": b"def f(): pass"}), "code", "TorchScript")
    missing = zipped(
        {
            "a/data.pkl": b"\x80\x02(U\x07storage"
            + ask("torch", "FloatStorage")
            + b"U\x010U\x03cpuK\x04tQ."
        }
    )
    yield Case("missing.pt", missing, "refused", "is missing")
    yield Case("good.keras", keras_model(_DENSE), "inert")
    yield Case(
        "lambda.keras", keras_model({"class_name": "Lambda", "config": {}}), "refused", "Lambda"
    )
    yield Case(
        "custom.keras", keras_model(_DENSE | {"module": "mine.layers"}), "refused", "mine.layers"
    )
    yield Case(
        "registered.keras",
        keras_model(_DENSE | {"registered_name": "Mine>Layer"}),
        "refused",
        "Mine>Layer",
    )
    yield Case("weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(64), "refused")
    yield Case(
        "model.h5", b"\x89HDF\r\n\x1a\n" + bytes(64) + b"model_config", "refused", "whole model"
    )
    yield Case("model.ubj", _UBJSON, "inert")
    number = b"i\x01"
    every = b"{i\x01aZi\x01bTi\x01cF" + number + b"dCxi\x01e[i\x05Sl\0\0\0\x02hi]"
    every += b"i\x01f{#i\x01i\x01gi\x07i\x01h[#i\x02ZNT}"
    yield Case("every.ubj", every, "inert")
    for name, data, reason in (
        ("value", b"{i\x01a\x00}", "begins no value"),
        ("deep", b"{i\x01a" + b"[" * 300 + b"\0", "nested too deeply"),
        ("typed", b"{i\x01a[$ii\x00]}", "a type and no count"),
        ("length", b"{i\x01aSZ\x00}", "begins no length"),
        ("negative", b"{i\x01aSi\xff}", "length is negative"),
    ):
        yield Case(f"{name}.ubj", data, "refused", reason)
    yield Case("longer.ubj", _UBJSON + b"\0", "refused", "follow its end")


def _onnx_models() -> Iterator[Case]:
    yield Case("good.onnx", onnx(node("Add"), node("Gelu", "com.microsoft")), "inert")
    yield Case(
        "custom.onnx",
        onnx(node("PyOp", "ai.onnx.contrib")),
        "refused",
        "PyOp is of ai.onnx.contrib",
    )
    inner = field(5, field(1, b"then_branch") + field(6, field(1, node("X", "evil"))))
    yield Case("nested.onnx", onnx(node("If", attribute=inner)), "refused", "X is of evil")
    own = field(25, field(1, b"F") + field(7, node("Add")) + field(10, b"mine"))
    yield Case("function.onnx", onnx(node("F", "mine"), more=own), "inert")
    tensor_field = external("/etc/passwd")[2:]
    for place, wrap in ((5, tensor_field), (22, field(1, tensor_field))):
        holder = field(5, field(1, b"value") + field(place, wrap))
        yield Case(
            f"attribute-{place}.onnx", onnx(node("C", attribute=holder)), "refused", "outside"
        )
    sparse = field(15, field(1, tensor_field))
    yield Case("sparse.onnx", onnx(tensors=sparse), "refused", "outside")
    training = field(20, field(1, field(1, node("X", "evil"))))[1:]
    yield Case("training.onnx", onnx(more=b"\xa2" + training), "refused", "X is of evil")
    nameless = field(25, field(7, node("X", "evil")))
    yield Case("nameless.onnx", onnx(more=nameless), "refused", "X is of evil")
    other = field(5, field(13, field(1, b"offset") + field(2, b"0")))
    yield Case("offset.onnx", onnx(tensors=other), "refused")
    yield Case("cut.onnx", onnx(node("Add"))[:-1], "refused", "no form")
    yield Case("domain.onnx", onnx(field(7, b"\xff\xfe")), "refused", "is not a text")
    yield Case("beside.onnx", onnx(node("Add"), tensors=external("weights.bin")), "refused")
    yield Case(
        "above.onnx", onnx(node("Add"), tensors=external("../../etc/passwd")), "refused", "outside"
    )
    yield Case(
        "root.onnx", onnx(node("Add"), tensors=external("/etc/passwd")), "refused", "outside"
    )


def _encrypted() -> bytes:
    data = zipped({"a": b"a"})
    return data.replace(b"PK\x01\x02\x14\x03\x14\0\0\0", b"PK\x01\x02\x14\x03\x14\0\x01\0")


def _packed_oddly() -> bytes:
    data = zipped({"a": b"a"})
    return data.replace(b"PK\x01\x02\x14\x03\x14\0\0\0\0\0", b"PK\x01\x02\x14\x03\x14\0\0\0\x63\0")


def _repeated() -> bytes:
    return zipped({"a": b"a", "b": b"b"}).replace(b"b", b"a")


def _archives() -> Iterator[Case]:
    evil = pickle.dumps(Calls(print, "x"))
    yield Case("text.tar", tarred({"a.txt": b"a", "b.json": b"{}"}), "inert")
    yield Case("evil.tar", tarred({"a/b.bin": evil}), "refused", "a/b.bin: ")
    yield Case("damaged.tar", tarred({"a": b"a"})[:300] + b"x" * 212, "refused", "damaged")
    yield Case("encrypted.zip", _encrypted(), "refused", "is encrypted")
    yield Case("packed.zip", _packed_oddly(), "refused", "not known")
    yield Case("repeated.zip", _repeated(), "refused", "stands twice")
    yield Case("link.tar", tarred({"a": b"a"}, link="/etc/passwd"), "refused", "neither a file nor")
    for suffix, pack in (
        ("gz", gzip.compress),
        ("bz2", bz2.compress),
        ("xz", lzma.compress),
        ("z", zlib.compress),
    ):
        yield Case(f"evil.pkl.{suffix}", pack(evil), "refused", "print")
        yield Case(f"text.txt.{suffix}", pack(b"hello"), "inert")
    yield Case("cut.gz", gzip.compress(evil)[:-4], "refused", "not packed by gzip")
    yield Case("more.z", zlib.compress(b"hello") + evil, "refused", "another place")
    yield Case("bomb.z", zlib.compress(bytes(65 * 1024 * 1024), 1), "refused", "unpacks to more")
    nested = evil
    for _ in range(8):
        nested = zipped({"a": nested})
    yield Case("nested.zip", nested, "refused", "nested too deeply")
    yield Case("sfx.zip", b"PK\x03\x04" + zipped({"a": b"a"}), "refused", "precedes")
    yield Case("damaged.zip", zipped({"a": b"a"})[:-10], "refused", "damaged")
    wheel = {"p/__init__.py": b"x = 1\n", "p-1.dist-info/RECORD": b""}
    yield Case("p-1-py3-none-any.whl", zipped(wheel), "code", "p/__init__.py: ")


def _escaped_texts() -> Iterator[Case]:
    folded = yaml.safe_dump({"description": "C:\\users — words of a README.\n\n" * 20})
    yield Case("apis/openapi.yaml", folded.encode(), "inert")
    yield Case("half.yaml", b'a: "\\u00"\n', "refused", "nothing to stand for")
    long_text = b'a: "\\n"\n' * 200_000
    yield Case("long.yaml", long_text, "refused", "1,800,000 bytes")


def _texts() -> Iterator[Case]:
    yield Case("README.md", "# Größe\n".encode(), "inert")
    badge = b"![License](https://shields.test/License-Apache%202.0.svg) ![A](b%20c!d%20.png)\n"
    yield Case("MODEL.md", badge, "inert")
    yield Case("vocab.txt", b"config\nversion\n[PAD]\n", "refused")
    yield Case("empty", b"", "inert")
    yield Case("config.json", b'{"model_type": "bert", "layers": [1, {"a": 2}]}', "inert")
    local = {"auto_map": {"AutoModel": "modeling.Mine"}}
    yield Case("local.json", json.dumps(local).encode(), "code", "auto_map")
    other = {"a": [{"auto_map": {"AutoModel": "evil/repo--modeling.Mine"}}]}
    yield Case("other.json", json.dumps(other).encode(), "refused", "another repository")
    yield Case("tokenizer_config.json", json.dumps({"chat_template": _CALM}).encode(), "code")
    named = {"chat_template": [{"name": "x", "template": "{{ cycler.__init__ }}"}]}
    yield Case("named.json", json.dumps(named).encode(), "code", "chat_template: ")
    yield Case("odd.json", b'{"chat_template": 5}', "refused", "neither a text nor")
    yield Case("chat_template.jinja", _CALM.encode(), "code")
    yield Case("include.jinja", b"{% include '/etc/passwd' %}", "code", "another file")
    yield Case("attr.jinja", b"{{ x|attr('a') }}", "code", "looks up names")
    yield Case(
        "pipelines.json",
        b'{"custom_pipelines": {"x": {"impl": "p.P"}}}',
        "code",
        "custom_pipelines",
    )
    long_template = "{{ x }}" * 200_000
    yield Case("long.jinja", long_template.encode(), "code", "characters")
    lists = json.dumps({"auto_map": {"A": ["m.A", None, "m.B"]}}).encode()
    yield Case("lists.json", lists, "code", "auto_map")
    yield Case("deep.json", b"[" * 100_000, "refused", "nested too deeply")
    yield Case("like.json", b"{ this is prose }", "refused")
    yield Case("object.yaml", b"a: !!python/object/apply:os.system [x]\n", "refused", "YAML")
    yield Case("plain.yaml", b"a: 1\nb: [x]\n", "inert")
    yield Case("service.py", b"import bentoml\n", "code", "Python source")
    yield Case("run.sh", b"echo\n", "code", "shell script")
    yield Case("run", b"#!/bin/sh\necho\n", "code", "first line")


def _chunk(kind: bytes, data: bytes = b"") -> bytes:
    """Return a part of PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _riff(kind: bytes, *chunks: bytes) -> bytes:
    data = kind + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(data)) + data


def _make_media() -> Iterator[tuple[str, bytes]]:
    size = _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    pixels = _chunk(b"IDAT", zlib.compress(b"\0\0"))
    yield "photo.png", b"\x89PNG\r\n\x1a\n" + size + pixels + _chunk(b"IEND")
    scan = b"\xff\xda\0\x08\1\1\0\0\x3f\0" + b"a\xff\0b\xff\xd0c" * 3
    photo = b"\xff\xd8\xff\xe0\0\x07JFIF\0\xff" + scan + b"\xff\xd9"
    yield "photo.jpg", photo
    yield "photos.jpg", photo + photo
    extension = b"\x21\xf9\4\0\0\0\0\0"
    image = b"\x2c" + bytes(4) + b"\1\0\1\0\0" + b"\2\2\x4c\1\0"
    yield "photo.gif", b"GIF89a\1\0\1\0\x80\0\0" + bytes(6) + extension + image + b"\x3b"
    yield "photo.webp", _riff(b"WEBP", b"VP8L\3\0\0\0abc\0")
    wave = b"fmt \x10\0\0\0" + bytes(16) + b"data\4\0\0\0abcd"
    yield "sound.wav", _riff(b"WAVE", wave)
    yield "photo.bmp", b"BM" + struct.pack("<I", 58) + bytes(52)
    entry = b"\1\1\0\0\1\0\x20\0" + struct.pack("<II", 5, 22)
    yield "photo.ico", b"\0\0\1\0\1\0" + entry + b"\x89PNG\r"
    page = b"OggS" + bytes(22) + b"\2\3\1" + b"abcd"
    yield "sound.ogg", page + page
    table = b"glyf" + bytes(4) + struct.pack(">II", 28, 6)
    yield "letters.ttf", b"\0\1\0\0\0\1" + bytes(6) + table + b"abcdef\0\0"


MEDIA: Final = dict(_make_media())
"""The smallest images, sounds and fonts that are whole."""


def _vocabularies() -> Iterator[Case]:
    score = b"\x15\0\0\x80\x3f"
    pieces = field(1, field(1, b"<unk>") + score + b"\x18\2") + field(
        1, field(1, "é".encode()) + score
    )
    long = field(1, field(1, b"a" * 200) + score)
    rules = field(2, field(1, b"/data/a.txt") + field(4, 8)) + field(3, field(2, bytes(300)))
    yield Case("tokenizer.model", pieces + long + rules, "inert")
    for name, more, reason in (
        ("piece", field(1, field(1, b"a") + score + field(9, b"x")), "not a text with"),
        ("field", field(9, b"x"), "the field 9"),
        ("number", field(2, 5), "is a number"),
        ("rules", field(2, b"\xff"), "does not end"),
    ):
        yield Case(f"{name}.model", pieces + more, "refused", reason)


def _lists_of_classes() -> Iterator[Case]:
    layers = b'{"activation_function": "gelu", "a": [{"activation_fn": "torch.nn.Identity"}],'
    layers += b' "sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity",'
    yield Case(
        "layers.json",
        layers + b'"megatron_core": "megatron.core", "config": {"custom_x": 1}}',
        "inert",
    )
    yield Case("m/modules.json", b'[{"type": "sentence_transformers.models.Dense"}]', "inert")
    yield Case("BZhang.txt", b"BZhang and x^2\n", "inert")


def _others() -> Iterator[Case]:
    yield Case("lib.so", b"\x7fELF" + bytes(60), "code", "native")
    yield Case("tool.exe", b"MZ" + bytes(60), "code", "native")
    yield Case("a.pyc", b"\xa7\r\r\n" + bytes(12), "code", "compiled Python")
    for name, data in MEDIA.items():
        yield Case(name, data, "inert")
    for name, data in (("flac", b"fLaC" + bytes(60)), ("mp3", b"ID3\4\0" + bytes(60))):
        yield Case(f"sound.{name}", data, "refused", "does not walk")
    png = MEDIA["photo.png"].ljust(512, b"\0")
    hidden = keras_model({"class_name": "Lambda", "config": {}})
    yield Case("two-forms.keras", png + hidden, "refused", "it is zip as well")
    yield Case("two-forms.h5", png + b"\x89HDF\r\n\x1a\n" + bytes(64), "refused", "HDF5 as well")
    both = safetensors({"a": tensor(0, len(hidden), "U8", [len(hidden)])}, hidden)
    yield Case("two-forms.safetensors", both, "refused", "it is zip as well")
    yield Case("PKI.md", b"PKI is short. PK\x05\x06 is a mark.\n", "refused")
    yield Case("MZ.md", b"MZ is a mark.\n", "inert")
    yield Case("riff.bin", b"RIFF\0\0\0\0EVIL" + bytes(20), "refused", "no form")
    yield Case("noise.bin", bytes(range(256)), "refused", "no form")


GROUPS: tuple[Callable[[], Iterator[Case]], ...] = (
    *(
        _pickles,
        _damaged_pickles,
        _arrays,
        _tensors,
        _models,
        _onnx_models,
        _archives,
        _texts,
        _escaped_texts,
        _lists_of_classes,
        _vocabularies,
        _others,
    ),
)
CASES = tuple(case for group in GROUPS for case in group())
