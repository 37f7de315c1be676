"""Attacks on the gate that judges files (format §32): files that another reader would run."""

import base64
import functools
import hashlib
import io
import lzma
import signal
import struct
import zipfile
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Final, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airgap.errors import ConfigurationError, PolicyError
from airgap.flow.progress import Silent
from airgap.flow.scanning import confined, scan_staged
from airgap.flow.scanning.policy import Scanner, ScanPolicy
from airgap.format.inventory import File, Item
from airgap.scan.contents import Budget, Content
from airgap.scan.filled_classes import FILLED_CLASSES
from airgap.scan.item import join_files
from airgap.scan.judge_file import judge_file
from airgap.scan.pickle_calls import find_named
from airgap.scan.pickles import judge_pickle
from airgap.scan.verdicts import Judgment, Unreadable, Weights
from tests.support.pickle_loader import OutsideError, load
from tests.unit.scan.files import CASES, MEDIA, Case, ask, call, tarred, text, torch_archive, zipped
from tests.unit.scan.hostile_files import HOSTILE_CASES, REFUSED

PIECES: Final = (
    *(ask("os", "system"), ask("collections", "OrderedDict"), ask("builtins", "object")),
    *(ask("copyreg", "_reconstructor"), ask("datetime", "date"), b"(ios\nsystem\n"),
    *(ask("sklearn.tree._classes", "DecisionTreeClassifier"), ask("numpy", "dtype")),
    *(text("os"), text("system"), text("collections"), text("OrderedDict"), text("x")),
    *(b"N", b"K\x01", b"K\x00", b"\x88", b"]", b"}", b")", b"\x8f", b"(", b"1", b"0", b"2"),
    *(b"t", b"l", b"d", b"\x85", b"\x86", b"\x87", b"a", b"e", b"s", b"u", b"\x90", b"\x91"),
    *(b"q\x00", b"q\x01", b"h\x00", b"h\x01", b"\x94", b"r\x02\0\0\0", b"j\x02\0\0\0"),
    *(b"R", b"o", b"b", b"\x81", b"\x92", b"\x93", b"\x82\x01", b"Px\n", b"Q", b"."),
)


def judge(data: bytes) -> str:
    return judge_pickle(Content.of_bytes(data, Budget())).verdict


@functools.cache
def judge_case(case: Case) -> str:
    judgment = judge_file(case.name, io.BytesIO(case.data), len(case.data))
    return join_files({case.name: judgment}, {case.name: len(case.data)})[case.name].verdict


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_an_attack_on_an_earlier_gate_is_refused(case: Case) -> None:
    assert judge_case(case) == "refused"


def test_a_name_that_is_too_long_to_be_kept_is_asked_for_all_the_same() -> None:
    (case,) = (case for case in REFUSED if case.name == "long-name.joblib")
    with pytest.raises(OutsideError, match=r"subprocess\.Popen"):
        load(case.data)
    assert judge_case(case) == "refused"


def test_reasons_have_nothing_that_a_terminal_obeys() -> None:
    (case,) = (case for case in REFUSED if case.name == "escapes.pkl")
    judgment = judge_file(case.name, io.BytesIO(case.data), len(case.data))
    assert judgment.reasons == ("it asks for a?[2J?.b",)


def test_a_program_in_disguise_is_code() -> None:
    disguised = [case for case in HOSTILE_CASES if case.verdict == "code"]
    assert [case.name for case in disguised if judge_case(case) != "code"] == []
    assert disguised


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])  # a busy machine
@example([text("os"), b"q\x00", text("system"), b"q\x01", b"h\x00", b"h\x01", b"\x93"])
@given(st.lists(st.sampled_from(PIECES), max_size=24))
def test_what_passes_asks_the_real_reader_for_listed_names_only(pieces: list[bytes]) -> None:
    data = b"\x80\x04" + b"".join(pieces) + b"."
    if judge(data) != "refused":
        load(data)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])  # a busy machine
@given(st.sampled_from([case.data for case in CASES if case.name.endswith(".pkl")]), st.data())
def test_a_changed_byte_lets_nothing_through(data: bytes, draw: st.DataObject) -> None:
    place = draw.draw(st.integers(0, len(data) - 1))
    changed = data[:place] + bytes([draw.draw(st.integers(0, 255))]) + data[place + 1 :]
    if judge_file("a.pkl", io.BytesIO(changed), len(changed)).verdict != "refused":
        load(changed)


def test_names_that_another_python_maps_are_not_listed() -> None:
    """Readers map names of Python 2: a listed name must not become another one."""
    import _compat_pickle as mapped

    names = {pair for pair in mapped.NAME_MAPPING if _is_listed(pair)}
    assert {mapped.NAME_MAPPING[pair] for pair in names} <= {("builtins", "str")}
    assert not {module for module, _ in FILLED_CLASSES} & mapped.IMPORT_MAPPING.keys()


def _is_listed(pair: tuple[str, str]) -> bool:
    try:
        find_named(pair)
    except Unreadable:
        return False
    return True


def judge_named(name: str, data: bytes) -> str:
    return judge_file(name, io.BytesIO(data), len(data)).verdict


def test_a_zip_of_no_known_framework_is_not_inert() -> None:
    assert judge_named("a.zip", zipped({"a.txt": b"hello"})) == "code"
    assert judge_named("a.zip", zipped({"config.json": b"{}"})) == "code"
    archive = torch_archive()
    assert judge_named("a.pt", archive) == "inert"
    assert judge_named("a.pt", _add_member(archive, "archive/notes.txt", b"a")) == "code"


@pytest.mark.parametrize(
    "name", ["serialized_exported_program.json", "archive_format", "models/model.json"]
)
def test_a_program_of_torch_export_is_refused(name: str) -> None:
    archive = torch_archive()
    assert judge_named("a.pt2", zipped({f"a/{name}": b"{}", "a/version": b"1"})) == "refused"
    assert judge_named("a.pt", _add_member(archive, f"archive/{name}", b"{}")) == "refused"
    assert judge_named("a.json", b'{"hint": {"expr_str": "__import__(0)"}}') == "code"


def _add_member(archive: bytes, name: str, data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as members:
        return zipped({**{each: members.read(each) for each in members.namelist()}, name: data})


def _bytes_with_a_header(checksum: bytes) -> bytes:
    """Return an array of bytes whose first block is the header of a tar, with its own checksum."""
    header = b"{'descr':'|u1','fortran_order':False,'shape':(944,)}".ljust(69) + b"\n"
    block = bytearray((b"\x93NUMPY\x01\0F\0" + header).ljust(1024, b"\0"))
    block[100:157] = b"0000644\0" + b"0000000\0" * 2 + b"00000000000\0" * 2 + b" " * 8 + b"0"
    total = sum(block)
    fields = {
        b"octal": b"%06o\0X" % total,
        b"tabs": b"\t%06o\x0b" % total,
        b"letters": b"%06oxy" % total,
        b"256": b"\x80" + total.to_bytes(7, "big"),
        b"64": b"+" + base64.b64encode(total.to_bytes(3, "big")) + b"\0\0\0",
    }
    block[148:156] = fields[checksum]
    return bytes(block)


@pytest.mark.parametrize("checksum", [b"octal", b"tabs", b"letters", b"256", b"64"])
def test_what_any_reader_takes_for_a_tar_is_not_an_array(checksum: bytes) -> None:
    assert judge_named("weights.npy", _bytes_with_a_header(checksum)) == "refused"


def test_a_pickle_that_readers_take_for_a_tar_is_refused() -> None:
    header = bytearray(tarred({"a" * 99: b""})[:512])
    header[:3] = b"\x80\x04B"
    header[3:7] = (600).to_bytes(4, "little")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    pickle = bytes(header).ljust(607, b"\0") + b"0" + ask("collections", "OrderedDict") + b")R."
    assert judge_named("a.pkl", pickle.replace(b"ustar", b"\0\0\0\0\0")) == "inert"
    assert judge_named("a.pkl", pickle) == "refused"


@pytest.mark.parametrize(
    ("start", "value"),
    [
        (148, b"000001\0 "),  # GNU tar skips it, and unpacks what lies in the member
        (124, b"\x00000000001\0"),  # Python stops at the first NUL: no bytes
        (157, b"cos\nsystem\n"),
        (297, b"cos\nsystem\n"),
        (505, b"cos"),
        (600, b"cos"),
    ],
)
def test_a_tar_has_right_checksums_and_nothing_where_nobody_looks(start: int, value: bytes) -> None:
    tar = bytearray(tarred({"a.txt": b"a"}))
    assert judge_named("a.tar", bytes(tar)) == "inert"
    tar[start : start + len(value)] = value
    if start != 148:
        tar[148:156] = b" " * 8
        tar[148:156] = b"%06o\0 " % sum(tar[:512])
    assert judge_named("a.tar", bytes(tar)) == "refused"


def _text_that_unpacks() -> bytes:
    """Return a text that is a stored block of zlib with a pickle in it."""
    return b"x^Ha\xc3\x9e<" + (b"cos\nsystem\n." + b"a" * 0xC361)[:0xC361] + b"Ia\xc3\x9e<" + b"a"


def test_what_joblib_unpacks_is_not_judged_as_anything_else() -> None:
    assert zlib.decompressobj().decompress(_text_that_unpacks()).startswith(b"cos\nsystem")
    assert judge_named("labels.txt", _text_that_unpacks()) == "refused"
    assert judge_named("labels.txt", b"ZF0x1d               x^Ha") == "refused"
    assert judge_named("labels.txt", b"x and y, ZF and BZ\n") == "inert"
    small = lzma.compress(b"cos\nsystem\n.", lzma.FORMAT_ALONE)
    for dictionary in (small[1:5], b"\0\1\0\0", b"\0\0\0\xff"):
        data = small[:1] + dictionary + small[5:]
        assert judge_named("a.joblib", data) == "refused"


FLATBUFFER: Final = b"\x10\0\0\0PTMF\xff\xff\xff\xff"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("w.bin", FLATBUFFER + b"\xff" * 4),
        ("w.bin", b"\x0a\x0e" + b"\xff" * 14),  # a message with one field
        ("w.bin", b"ftrt" + b"\xff" * 12),
        ("w.engine", b"\xff" * 16),
    ],
)
def test_a_model_of_onnx_makes_nothing_inert_but_numbers(name: str, data: bytes) -> None:
    assert join_weights("w.bin", b"\xff" * 16) == "inert"
    assert join_weights(name, data) == "refused"


def test_a_fault_of_the_gate_stays_refused_beside_a_model() -> None:
    assert join_weights("w.bin", b"\xff") == "refused"  # it ends too early


def join_weights(name: str, data: bytes) -> str:
    """Return the verdict of a file of 16 bytes that a model says are its weights."""
    judgments = {
        "a.onnx": Judgment("inert", "ONNX", weights=(Weights(name, 16),)),
        name: judge_file(name, io.BytesIO(data), 16),
    }
    return join_files(judgments, {"a.onnx": 1, name: 16})[name].verdict


@pytest.mark.parametrize(
    "text",
    [
        b'? "_tar\\\n  get_"\n: os.system\n? "_args_"\n: [id]\n',
        b'"_tar\\\r  get_": os.system\n',
        b'"_tar\\\xc2\x85  get_": os.system\n',
        b'"_tar\\\xe2\x80\xa8  get_": os.system\n',
        b"a: 1\n? _target\n: os.system\n",
        b"- - ? a\n",
        b"{? a : b}\n",
    ],
)
def test_a_key_of_yaml_does_not_go_on_over_lines(text: bytes) -> None:
    assert judge_named("conf.yaml", text) == "refused"
    assert judge_named("conf.yaml", b'a: "why?"\nb: c:\\d and what? yes\n') == "inert"


@pytest.mark.parametrize(
    "text",
    [
        b"module:\n  antigravity\n",
        b"module:\n\n  antigravity\n",
        b"module: # so\n  antigravity\n",
        b"module: ''\n  evil\n",
        b"module:\xc2\x85  evil\n",
        b"labels:\n  a: &a module\n*a : evil\n",
        b"x: &x {module:\nevil}\n<<: *x\n",
    ],
)
def test_a_module_on_the_next_line_is_code(text: bytes) -> None:
    assert judge_named("m/model.yaml", b"name: m\n" + text + b"labels: {}\n") == "code"
    assert judge_named("m/model.yaml", b"{name: m, module:\nevil}\n") == "code"
    for module in (b"", b" ''", b" bentoml.sklearn"):
        assert judge_named("m/model.yaml", b"name: m\nmodule:" + module + b"\nx: 1\n") == "inert"


WRITES: Final = """
for folder; do :; done
mount -o remount,bind,rw "$folder" || umount "$folder"
echo overwritten > "$folder/f"
unshare --user --map-root-user --mount sh -c 'mount -o remount,bind,rw "$1" || umount "$1"
echo overwritten > "$1/f"' sh "$folder"
exit 0
"""


@pytest.mark.parametrize("prefix", confined._PREFIXES)
def test_a_scanner_cannot_mount_the_folder_once_more(
    prefix: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confined, "_PREFIXES", (prefix,))
    (tmp_path / "f").write_text("as it was")
    scanner = Scanner("s", ("sh", "-c", WRITES, "sh"), "exit", seconds=20)
    try:
        assert confined.run_confined(scanner, (str(tmp_path),), tmp_path).code == 0
    except ConfigurationError:
        pytest.skip("this host gives no such namespaces")
    assert (tmp_path / "f").read_text() == "as it was"


def test_a_scanner_that_ends_itself_is_not_clean(tmp_path: Path) -> None:
    scanner = Scanner("s", ("sh", "-c", "kill -TERM $$; exit 0"), "exit", seconds=20)
    try:
        assert confined.run_confined(scanner, (), tmp_path).code == 128 + signal.SIGTERM
    except ConfigurationError:
        pytest.skip("this host gives no namespaces")


def test_a_file_that_changes_while_scanners_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"before")
    digest = hashlib.sha256(b"before").digest()
    file = File("f", executable=False, size=6, digest=digest, chunks=())
    item = cast("Item", SimpleNamespace(files=[file]))
    staged = scan_staged.ItemFolder(item, tmp_path, tmp_path)
    scan_staged._refuse_changed([staged])
    (tmp_path / "f").write_bytes(b"behind")
    with pytest.raises(PolicyError, match="has changed while"):
        scan_staged._refuse_changed([staged])


def test_a_bundle_without_items_needs_no_scanner() -> None:
    policy = ScanPolicy((), (Scanner("s", ("false",), "exit"),))
    assert scan_staged.scan_staged([], "bundle", policy, Silent()).items == ()


@pytest.mark.parametrize("name", MEDIA)
def test_nothing_lies_before_behind_or_beside_an_image(name: str) -> None:
    image, evil = MEDIA[name], call("os", "system")
    assert judge_named(name, image) == "inert"
    assert judge_named(f"{name}.bin", image) == "refused"
    for data in (evil + image, image + evil, image + zipped({"a.txt": b"a"}), image[:-5]):
        assert judge_named(name, data) == "refused"
    for place in range(len(image)):
        data = image[:place] + evil + image[place:]
        if judge_named(name, data) != "refused":
            load(data)  # within a part: no reader of pickles finds it


def test_nothing_but_images_follows_an_image() -> None:
    """Previews may; a film, a padding, half an image, and the mark of one alone may not."""
    photo = MEDIA["photo.jpg"]
    film = struct.pack(">I", 16) + b"ftypmp42" + bytes(4)
    assert judge_named("a.jpg", photo * 3) == "inert"
    for behind in (film, b"\0" + photo, photo[:-2], b"\xff\xd8\xff", photo + film, b"PK\5\6"):
        assert judge_named("a.jpg", photo + behind) == "refused", behind
    assert judge_named("a.jpg", photo + MEDIA["photo.png"]) == "refused"


@pytest.mark.parametrize("text", [b"x^2 + y^2\n", b"x^a", b"x^\n" * 30_000, b"x^" + b"1" * 9_000])
def test_a_text_that_begins_as_zlib_does_is_a_text(text: bytes) -> None:
    with pytest.raises(zlib.error):
        zlib.decompress(text)
    assert judge_named("notes.txt", text) == "inert"


def test_a_text_that_is_damaged_after_a_pickle_was_unpacked_is_refused() -> None:
    whole = _text_that_unpacks()
    damaged = whole[:40_000] + b"a" * 40_000
    assert zlib.decompressobj().decompress(damaged[:40_000]).startswith(b"cos\nsystem")
    assert judge_named("labels.txt", damaged) == "refused"
