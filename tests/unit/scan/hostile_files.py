"""Files that an attacker made against an earlier gate, or that this one was attacked with."""

import json
import pickle  # noqa: TID251 -- it writes what is only followed, and never loads
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Final

from tests.unit.scan.files import (
    FILES,
    Case,
    array,
    ask,
    call,
    field,
    gguf,
    keras_model,
    node,
    onnx,
    safetensors,
    tensor,
    text,
    torch_archive,
    wrapped,
    zipped,
)

SYSTEM = call("os", "system")
_END = b"PK\x05\x06" + bytes(18)


def _disguised_pickles() -> Iterator[tuple[str, bytes]]:
    """Pickles without a mark, and pickles at the beginning of other forms."""
    yield "base-0.txt", b"I0x10\n0" + SYSTEM
    yield "base-0-long.txt", b"L0x10L\n0" + SYSTEM
    yield "underscores.txt", b"I1_0\n0" + SYSTEM
    yield "long-line.txt", b"I" + b"0" * 70_000 + b"1\n0" + SYSTEM
    yield "long-text.txt", b"S'" + b"a" * 2_000_000 + b"'\n0" + SYSTEM
    yield "float.txt", b"Fnan\n0" + SYSTEM
    yield "many-steps.txt", b"N0" * 50_000 + SYSTEM
    yield "instance.txt", b"(S'true'\nios\nsystem\n."
    yield "registry.bin", b"\x82\x01."
    yield "unmarked-names.txt", b"Vos\nVsystem\n\x93."
    yield "escapes.pkl", b"\x80\x04" + text("a\x1b[2J\n") + text("b") + b"\x93."
    yield "many-values.json", b"[" + b"[[[0]]]," * 120_000 + b"0]"
    yield "cut-line.txt", b"cos\nsystem"
    yield "carriage.txt", b"cos\r\nsystem\n."
    yield "frame.pkl", b"\x80\x04\x95" + struct.pack("<Q", 5) + SYSTEM
    yield "frame-in-frame.pkl", _frame(_frame(b"N.") + b"N")
    yield "frame-crossed.pkl", b"\x80\x04\x95" + struct.pack("<Q", 4) + b"\x8c\x04abcd."
    yield "memo-twice.pkl", b"\x80\x02K\x01q\x00Nq\x00."
    yield "settings.yaml", SYSTEM
    yield "dashed.txt", b"cmy-module\nrun\n(tR."
    yield "hidden-message.h5", _hdf5_with_a_hidden_message()
    yield "cached-group.h5", _hdf5_with_another_root()
    yield "evil.safetensors", _safetensors_with_a_pickle()
    yield "evil.png", SYSTEM
    yield "zip.pkl", b"\x80\x02N0" + SYSTEM + zipped({"a.txt": b"a"})
    yield "list-then-more.pkl", pickle.dumps([1]) + SYSTEM


_HDF5: Final = (FILES / "dense.weights.h5").read_bytes()


def _hdf5_with_a_hidden_message() -> bytes:
    """Return HDF5 whose root has a message more than it counts."""
    (root,) = struct.unpack_from("<Q", _HDF5, 64)
    data = bytearray(_HDF5)
    assert struct.unpack_from("<H", data, root + 2) == (1,)
    struct.pack_into("<H", data, root + 2, 0)
    return bytes(data)


def _hdf5_with_another_root() -> bytes:
    """Return HDF5 that says where the tree of its root is in two ways."""
    (tree,) = struct.unpack_from("<Q", _HDF5, 80)
    data = bytearray(_HDF5)
    struct.pack_into("<Q", data, 80, tree + 8)
    return bytes(data)


def _frame(data: bytes) -> bytes:
    return b"\x95" + struct.pack("<Q", len(data)) + data


def _safetensors_with_a_pickle() -> bytes:
    """Return a valid safetensors file whose bytes lead a pickle's reader to its tensor."""
    size = 0x58 + 5 * 256  # BINUNICODE with five bytes: the next operation is at byte 10
    tensors = {"": tensor(0, 0, "U8", [0]), "t": tensor(0, len(SYSTEM), "U8", [len(SYSTEM)])}
    tail = json.dumps(tensors, separators=(",", ":"))[2:].encode()
    header = bytearray(b'{"'.ljust(size - len(tail), b"~") + tail)
    where = 10
    for step in (*[128] * 9, 98, 116):  # each is a SHORT_BINSTRING of printable length
        header[where - 8 : where - 6] = bytes([0x55, step - 2])
        where += step
    return safetensors(bytes(header), SYSTEM)


def _listed_names_misused() -> Iterator[tuple[str, bytes]]:  # noqa: PLR0915  (a list)
    """Pickles of listed names, or of names that look like them."""
    family = b"\x80\x03csklearn.utils.fixes\nThreadpoolController\n)\x81."
    yield "imported-class.pkl", family
    yield "family.pkl", b"\x80\x03csklearn.base\nBaseEstimator\n)\x81."
    inner = ask("torch._utils", "_rebuild_tensor_v2")
    chain = ask("torch._tensor", "_rebuild_from_type_v2") + b"(" + inner
    yield "chain.pkl", b"\x80\x02" + chain + ask("torch", "Tensor") + b")NtR."
    tree = b"\x80\x03csklearn.tree._classes\nDecisionTreeClassifier\n)\x81"
    odict = ask("collections", "OrderedDict")
    yield "setstate.pkl", tree + b"}X\x0c\0\0\0__setstate__" + odict + b"sb}b."
    yield "append.pkl", tree + b"}X\x06\0\0\0append" + odict + b"sb."
    yield "append-used.pkl", tree + b"}X\x01\0\0\0aK\x01sbK\x01a."
    yield "built-twice.pkl", tree + b"}b}b."
    yield "dunder.pkl", tree + b"}X\x09\0\0\0__class__" + odict + b"sb."
    yield "slots.pkl", tree + b"N}X\x01\0\0\0aK\x01s\x86b."
    yield "called-estimator.pkl", b"\x80\x03csklearn.tree._classes\nDecisionTreeClassifier\n)R."
    yield "named-function.pkl", b"\x80\x03" + odict + b"." + b""
    yield "function-in-list.pkl", b"\x80\x03]" + inner + b"a."
    yield "function-as-key.pkl", b"\x80\x03}" + inner + b"K\x01s."
    yield "function-in-state.pkl", tree + b"}X\x04\0\0\0func" + inner + b"sb."
    yield "function-in-tuple.pkl", b"\x80\x03" + inner + b"\x85."
    generator = ask("numpy.random._pickle", "__generator_ctor")
    yield "generator-name.pkl", b"\x80\x03" + generator + text("os.system") + b"\x85R."
    two = text("MT19937") + ask("collections", "OrderedDict")
    yield "generator-maker.pkl", b"\x80\x03" + generator + two + b"\x86R."
    yield (
        "bits.pkl",
        b"\x80\x03"
        + ask("numpy.random._pickle", "__bit_generator_ctor")
        + (ask("collections", "OrderedDict") + b"\x85R."),
    )
    counted = ask("collections", "defaultdict")
    yield "factory.pkl", b"\x80\x03" + counted + ask("os", "getcwd") + b"\x85R."
    encode = ask("_codecs", "encode")
    yield "codec.pkl", b"\x80\x03" + encode + text("x") + text("zlib") + b"\x86R."
    dtype = ask("numpy", "dtype")
    yield "dtype-of-name.pkl", b"\x80\x03" + dtype + text("O") + b"\x85R."
    state = b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    yield "dtype-flags.pkl", b"\x80\x03" + dtype + b"(U\x02O8\x89\x88tR" + state + b"."
    yield (
        "scalar-object.pkl",
        b"\x80\x03"
        + ask("numpy._core.multiarray", "scalar")
        + (dtype + b"(U\x02O8\x89\x88tR" + ask("os", "system") + b"\x86R."),
    )
    yield (
        "scalar-size.pkl",
        b"\x80\x03"
        + ask("numpy._core.multiarray", "scalar")
        + (dtype + b"(U\x02f8\x89\x88tRC\x01a\x86R."),
    )
    yield "dotted-name.pkl", b"\x80\x04" + text("collections") + text("abc.sys") + b"\x93."
    yield "python-2.pkl", b"\x80\x02c__builtin__\neval\n(U\x011tR."
    yield "python-2-name.pkl", b"\x80\x02ccopy_reg\n__newobj__\n(tR."
    yield "object-with-names.pkl", b"\x80\x04" + odict + b")}\x92."
    yield "frozen-dict.pkl", _changed_after_use()
    yield "reduce-dict.pkl", b"\x80\x02" + odict + b"(]]a\x85tR."


def _changed_after_use() -> bytes:
    """Return a pickle that changes the fields of a type after it was given to NumPy."""
    field_type = ask("numpy", "dtype") + b"(U\x02f8\x89\x88tR"
    fields = b"}q\x01U\x01a" + field_type + b"K\x00\x86s"
    made = ask("numpy", "dtype") + b"(U\x02V8\x89\x88tR(K\x03U\x01|NU\x01a\x85"
    return b"\x80\x02" + made + fields + b"K\x08K\x01K\x00tb0h\x01U\x01bK\x01s."


def _joblib() -> Iterator[tuple[str, bytes]]:
    numbers = bytes(16)
    state = b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb"
    plain = wrapped(numbers)
    with_state = plain.replace(b"U\x02f8\x89\x88tR", b"U\x02f8\x89\x88tR" + state)
    yield "dtype-state.joblib", with_state
    key = ask("numpy._core.multiarray", "scalar") + ask("numpy", "dtype") + b"(U\x02U5\x89\x88tR"
    raw = "shape".encode("utf-32-le")
    twice = (
        b"numpy_array_alignment_bytesK\x10" + key + b"C" + bytes([len(raw)]) + raw + b"\x86RK\x00"
    )
    yield "array-key.joblib", plain.replace(b"numpy_array_alignment_bytesK\x10", twice)
    framed = plain[2:]
    frame = struct.pack("<Q", len(framed))
    yield "framed.joblib", b"\x80\x04\x95" + frame + framed
    yield (
        "unpadded.joblib",
        plain.replace(b"numpy_array_alignment_bytesK\x10", b"xN").replace(b"U\x1bx", b"U\x01x"),
    )
    yield "padding.joblib", plain.replace(b"\x04\xff\xff\xff\xff", b"c\x00\x00\x00\x00")
    yield "padding-content.joblib", plain.replace(b"\x04\xff\xff\xff\xff", b"\x04cos\n")
    yield "dimensions.joblib", wrapped(numbers, shape=b"(" + b"K\x01" * 65 + b"t")
    yield (
        "subclass.joblib",
        plain.replace(b"(U\x05shape", b"(U\x08subclass" + ask("os", "system") + b"U\x05shape"),
    )
    yield "old-zfile.joblib", b"ZF0x1d               " + zlib.compress(SYSTEM)
    yield "lz4.joblib", b"\x04\x22\x4d\x18" + SYSTEM
    yield "zstd.bin", b"\x28\xb5\x2f\xfd" + bytes(20)
    yield "zipped-twice.joblib", zlib.compress(zlib.compress(zlib.compress(zlib.compress(SYSTEM))))
    yield "long-name.joblib", _array_with_a_long_name()
    yield "memo-confused.joblib", plain[:-1] + b"q\x00h\x01\x93."


def _array_with_a_long_name() -> bytes:
    """Return an array of objects whose memo leads a plain reader to a function that it calls.

    Joblib takes the names from the memo of the objects' own pickle. A reader that takes both
    pickles for one has those of the outer one there, and follows the attributes of a name that is
    too long to be kept.
    """
    name = "Popen" + ".mro.__self__" * 6_000
    outer = text("subprocess") + b"\x940" + text(name) + b"\x940"
    array_of_objects = wrapped(b"", shape=b"K\1\x85", kind=b"U\2O8")[2:-1]
    array_of_objects = array_of_objects.replace(b"\x04\xff\xff\xff\xff", b"")
    own = b"\x80\4" + text("builtins") + b"\x940" + text("set") + b"\x940h\0h\1\x93"
    return b"\x80\4" + outer + array_of_objects + own + b"]" + text("true") + b"a\x85R.."


def _zips() -> Iterator[tuple[str, bytes]]:
    good = zipped({"a.txt": b"a" * 50, "b.txt": b"b"})
    yield "comment.zip", good[:-2] + b"\x02\x00hi"
    yield "second-end.zip", good[:-2] + struct.pack("<H", 22) + _END
    yield "appended.zip", good + b"x"
    yield "prepended.zip", b"x" + good
    yield "end-in-text.txt", b"hello " + _END
    yield (
        "end-in-tensors.safetensors",
        safetensors({"a": tensor(0, 40, "U8", [40])}, bytes(9) + _END + bytes(9)),
    )
    yield "above.zip", zipped({"../../evil.txt": b"a"})
    yield "root.zip", zipped({"/etc/evil.txt": b"a"})
    yield "windows.zip", zipped({"a\\b.txt": b"a"})
    yield "link.zip", _zip_with_a_link()
    yield "other-name.zip", good.replace(b"a.txt", b"c.txt", 1)
    yield "other-size.zip", good.replace(struct.pack("<I", 50), struct.pack("<I", 49), 1)
    yield "checksum.zip", good.replace(b"a" * 50, b"a" * 49 + b"b", 1)
    yield "gap.zip", _zip_with_a_gap(good)
    yield "zip64.zip", _zip_with_zip64(good)
    yield "descriptor.zip", _set_flag(good, 0x8)
    yield "bomb.zip", zipped({"a.txt": bytes(270_000_000)}, zipfile.ZIP_DEFLATED, 1)
    yield "twice.zip", zipped({"A.txt": b"a", "a.txt": b"b"})
    yield "with-code.pt", torch_archive({"evil.pkl": SYSTEM})
    yield "two-pickles.pt", zipped({"a/data.pkl": b"\x80\x02}.", "b/data.pkl": SYSTEM})
    yield "other-extra-name.zip", _zip_with_a_second_name()
    yield "folder-with-data.zip", zipped({"a/": b"cos\nsystem\n."})


def _zip_with_a_link() -> bytes:
    member = zipfile.ZipInfo("link")
    member.external_attr = 0o120777 << 16
    member.create_system = 3
    from io import BytesIO

    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(member, b"/etc/passwd")
    return stream.getvalue()


def _zip_with_a_second_name() -> bytes:
    """Return a zip whose member has another name in an extra field, which new readers believe."""
    member = zipfile.ZipInfo("a.txt")
    name = b"\x01" + struct.pack("<I", zlib.crc32(b"a.txt")) + b"data.pkl"
    member.extra = b"up" + struct.pack("<H", len(name)) + name
    from io import BytesIO

    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(member, b"a")
    return stream.getvalue()


def _zip_with_a_gap(good: bytes) -> bytes:
    end = good.rindex(b"PK\x05\x06")
    (directory,) = struct.unpack_from("<I", good, end + 16)
    moved = struct.pack("<I", directory + 7)
    return good[:directory] + b"garbage" + good[directory : end + 16] + moved + good[end + 20 :]


def _zip_with_zip64(good: bytes) -> bytes:
    end = good.rindex(b"PK\x05\x06")
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, 0, 1)
    return good[:end] + locator + good[end:]


def _set_flag(good: bytes, flag: int) -> bytes:
    data = bytearray(good)
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + place] |= flag
            at = data.find(mark, at + 4)
    return bytes(data)


def _texts() -> Iterator[tuple[str, bytes]]:
    evil = b"!!python/object/apply:os.system [x]\n"
    yield "tag.yaml", b"a: " + evil
    yield "brace.yaml", b"{a: " + evil.strip() + b"}\n"
    yield (
        "handle.yaml",
        b"%TAG !e! tag:yaml.org,2002:python/\n---\na: !e!object/apply:os.system [x]\n",
    )
    yield "escaped.yaml", b"a: !<tag:yaml.org,2002:%70ython/object/apply:os.system> [x]\n"
    yield "escaped-short.yaml", b"a: !!%70ython/object/apply:os.system [x]\n"
    yield "late.yaml", b"# comment\n" * 250_000 + b"a: " + evil
    yield "no-suffix", b"a: " + evil
    yield "tag.txt", b"a: !!%70ython/object/apply:os.system [x]\n"
    yield "half.txt", b"a: !!pyth%6Fn%2fobject/apply:os.system [x]\n"
    yield "local-tag.yaml", b"a: !apply [os.system]\n"
    yield "utf-16.yaml", ("a: " + evil.decode()).encode("utf-16")
    yield "separator.yaml", "a:\u2028!!python/object/apply:os.system [x]\n".encode()
    yield "numbered.yaml", b'"\\x5ftarget_": os.system\n'
    yield "numbered-4.yaml", b'"\\u005ftarget_": os.system\n'
    yield "numbered-8.yaml", b'"\\U0000005ftarget_": os.system\n'
    yield "broken.yaml", b'"_tar\\\n   get_": os.system\n'
    yield "broken-twice.yaml", b'"_tar\\\r\n \\\n\tget_": os.system\n'
    yield "broken-by-nel.yaml", b'"_tar\\\xc2\x85 get_": os.system\n'
    yield "broken-and-numbered.yaml", b'"_tar\\\n  \\x67et_": os.system\n'
    yield "after-a-backslash.yaml", b"a: 'b\\'\n\"\\x5ftarget_\": os.system\n"
    yield (
        "layer-twice.json",
        (b'{"class_name": "Lambda", "module": "keras.layers", "class_name": "Dense"}'),
    )
    yield "picture.sh", b"\x89PNG\r\n\x1a\n" + bytes(30)
    yield "control.txt", b"hello\x00"
    yield "escape.txt", b"hello\x1b[2J\n"


def _hidden_code() -> Iterator[tuple[str, bytes]]:
    """Files that name programs behind what a shallow look sees; they are code, not refused."""
    named = json.dumps({"auto_map": {"AutoModel": "modeling.Mine"}}).encode()
    yield "bom.json", b"\xef\xbb\xbf" + named
    yield "spaces.json", b" " * 5000 + named
    yield "lines.jsonl", b"{}\n" + named + b"\n"
    yield "repeated.json", b'{"auto_map": {"A": "m.A"}, "auto_map": {}}'
    yield "picture.py", b"GIF89a = 1\n"
    yield "tags.py", b"TAG = '!!python/object:a'\n"
    yield "script.js", b"if (a !== '!x%20y') { }\n"
    yield "unknown.suffix", b"hello\n"
    yield "hydra.yaml", b"a:\n  _target_: os.system\n"
    yield "model.yaml", b"name: a\nmodule: evil.loader\n"
    yield "m/model_index.json", b'{"unet": ["evil", "Loader"]}'
    yield "m/modules.json", b'[{"idx": 0, "type": "evil.Loader"}]'
    yield "cross-encoder.json", b'{"sentence_transformers": {"activation_fn": "torch.hub.list"}}'
    yield "dense.json", b'{"activation_function": "os.abort"}'
    yield "kernel.json", b'{"_attn_implementation": "evil/kernel"}'
    yield "megatron.json", b'{"megatron_core": "evil"}'
    yield "genai_config.json", b'{"model": {"decoder": {"custom_ops_library": "/tmp/evil"}}}'
    yield "n/modules.json", b'[{"type": "sentence_transformers.base.modules.dense.torch"}]'
    yield "Modules.json", b'[{"type": "evil.Loader"}]'
    yield "modular_model_index.json", b'{"u": [null, null, {"type_hint": ["evil", "U"]}]}'
    yield "entry_points.txt", b"[console_scripts]\na = b:c\n"
    yield "CMakeLists.txt", b"execute_process(COMMAND true)\n"
    yield "adapter_config.json", b'{"auto_mapping": {"parent_library": "evil"}}'
    yield "tensor.so", safetensors({"a": tensor(0, 8)}, bytes(8))
    yield "Dockerfile", b"RUN true\n"
    yield "startup.pth", b"import os\n"


def _layers() -> Iterator[tuple[str, bytes]]:
    layers: dict[str, dict[str, object]] = {
        "torch": {"module": "keras.layers", "class_name": "TorchModuleWrapper"},
        "saved": {"module": "keras.layers", "class_name": "TFSMLayer"},
        "lambda": {"module": "keras.layers", "class_name": "Lambda"},
        "builtins": {"module": "builtins", "class_name": "eval"},
        "function": {"module": "keras.ops", "class_name": "function", "config": "load"},
        "utils": {"module": "keras.utils", "class_name": "get_file"},
        "no-module": {"class_name": "Mine", "config": {}},
        "hashed": {"module": "keras.layers", "class_name": "StringLookup"},
        "operator": {"module": "operator", "class_name": "Dense"},
    }
    for name, layer in layers.items():
        yield f"{name}-layer.keras", keras_model({"registered_name": None, "config": {}, **layer})
    hidden: dict[str, object] = {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {
            "activation": {"module": "builtins", "class_name": "function", "config": "exec"}
        },
        "registered_name": None,
    }
    yield "activation.keras", keras_model(hidden)


def _graphs() -> Iterator[tuple[str, bytes]]:
    yield "context.onnx", onnx(node("EPContext", "com.microsoft"))
    yield "custom-domain.onnx", onnx(node("Add", "com.evil"))
    for name, location in {
        "above": "../x.bin",
        "root": "/etc/passwd",
        "nul": "a\0b",
        "windows": "..\\x",
        "link": "a/../../x",
    }.items():
        yield f"{name}-data.onnx", onnx(node("Add"), tensors=_external(location, 16))
    yield "no-size.onnx", onnx(node("Add"), tensors=_external("w.bin", None))
    yield "missing-data.onnx", onnx(node("Add"), tensors=_external("w.bin", 16))
    yield "unknown-field.onnx", onnx(node("Add")) + field(30, b"x")


def _external(location: str, size: int | None) -> bytes:
    """Return an initializer of two doubles whose numbers lie in another file."""
    entries = {"location": location} | ({} if size is None else {"length": str(size)})
    rows = b"".join(
        field(13, field(1, key.encode()) + field(2, value.encode()))
        for key, value in entries.items()
    )
    return field(5, field(1, 2) + field(2, 11) + field(8, b"w") + rows + field(14, 1))


def _limits() -> Iterator[tuple[str, bytes]]:
    wide = repr((1,) * 65).encode()
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': " + wide + b", }"
    yield "wide.npy", b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + bytes(8)
    deep = repr([("a", [("b", "<f8")])]).encode()
    header = b"{'descr': " + deep + b", 'fortran_order': False, 'shape': (1,), }"
    yield "nested-type.npy", b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + bytes(8)
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    yield "object.npy", b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + SYSTEM
    yield "many.gguf", gguf(tensors=1).replace(struct.pack("<Q", 1), struct.pack("<Q", 2**60), 1)
    shape = [1] * 100
    yield "wide.safetensors", safetensors({"a": tensor(0, 4, "F32", shape)}, bytes(4))
    yield "deep.pkl", b"\x80\x02" + b"(" * 2_000 + b"t" * 2_000 + b"."
    yield "old-array.npy", array([1.0]).replace(b"\x93NUMPY\x01", b"\x93NUMPY\x09")


REFUSED = tuple(
    Case(name, data, "refused")
    for group in (
        *(_disguised_pickles, _listed_names_misused, _joblib, _zips),
        *(_texts, _layers, _graphs, _limits),
    )
    for name, data in group()
)
HOSTILE_CASES = (*REFUSED, *(Case(name, data, "code") for name, data in _hidden_code()))
