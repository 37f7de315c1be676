"""Finds out what a file is, by its content, and judges it (format §32.1)."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO, Final

from airgap.scan.archives import MemberJudge, judge_tar, judge_zip
from airgap.scan.contents import Budget, Content
from airgap.scan.file_names import is_media_name, name_program
from airgap.scan.gguf import GGUF_MARK, judge_gguf
from airgap.scan.hdf5 import HDF5_MARK, has_second_hdf5, judge_hdf5
from airgap.scan.media import looks_like_media, walk_media
from airgap.scan.onnx import judge_onnx, looks_like_onnx
from airgap.scan.packed import UNKNOWN_PACKERS, find_packer, is_packed_for_joblib, unpack
from airgap.scan.pickle_operations import find_name
from airgap.scan.pickle_values import demand
from airgap.scan.pickles import has_pickle_mark, judge_pickle
from airgap.scan.protobuf import read_fields
from airgap.scan.sentencepiece import judge_sentencepiece, looks_like_sentencepiece
from airgap.scan.tars import is_tar
from airgap.scan.tensors import (
    NPY_MARK,
    find_safetensors_header,
    judge_npy,
    judge_safetensors,
)
from airgap.scan.texts import is_text, judge_text
from airgap.scan.ubjson import judge_ubjson, looks_like_ubjson
from airgap.scan.verdicts import NUMBERS, Judgment, Unreadable, code, inert, join, refused
from airgap.scan.zips import LOCAL_MARK, find_zip_end

__all__ = ["judge_file"]

_DEEPEST: Final = 3
_LONGEST: Final = 300
_FILE_STEPS: Final = 20
_NATIVE: Final = (
    *(b"\x7fELF", b"\0asm", b"BC\xc0\xde", b"!<arch>\n", b"\xca\xfe\xba\xbe"),
    *(b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"MZ"),
)
"""Marks of ELF, WebAssembly, LLVM, libraries of objects, Java, macOS and Windows."""
_OTHER_MARKS: Final = (b"ftrt", b"ptrt", b"ggml", b"ggjt")
"""Marks of engines of TensorRT, and of old formats of llama.cpp."""
_FLATBUFFER: Final = re.compile(rb"(?s:.{4})[A-Z][A-Z0-9]{3}")
_CHECKPOINTS: Final = frozenset({"torch", "TorchScript", "pickle", "old torch", "zip"})
"""What a `.pth` may be beside lines that Python runs at its start."""
_Judge = Callable[[str, Content, MemberJudge], Judgment]


def judge_file(name: str, stream: BinaryIO, size: int) -> Judgment:
    """Judge a file by its name and its content, which is not loaded.

    ``size`` is the number of its bytes. Never raises for what is in the file: what the gate cannot
    follow is refused, with the reason, and so is what makes the gate fail.
    """
    try:
        judgment = _judge(name, Content(stream, 0, size, Budget.of_file(size)), 0)
        return replace(judgment, reasons=tuple(map(_make_printable, judgment.reasons)))
    except Unreadable as error:
        return refused("unknown", _make_printable(str(error)))
    except (Exception, RecursionError) as error:  # noqa: BLE001 -- a file must not pass by a fault
        return refused("unknown", f"the gate failed on it ({type(error).__name__})")


def _make_printable(reason: str) -> str:
    """Return one short line: a reason has names in it that the file has made up."""
    return "".join(char if char.isprintable() else "?" for char in reason)[:_LONGEST]


def _judge(name: str, content: Content, depth: int) -> Judgment:
    """Judge a file, or a member of an archive at some depth."""
    if depth > _DEEPEST:
        raise Unreadable("archives are nested too deeply")
    content.budget.spend(_FILE_STEPS)

    def judge_member(member: str, part: Content) -> Judgment:
        return _judge(member, part, depth + 1)

    program = name_program(name)
    if program and is_text(content) and not find_name(content):  # not data, whatever is in it
        return code(program.removeprefix("a "), f"its name says that it is {program}")
    judgment = _judge_content(name, content, judge_member)
    if program and not (name.lower().endswith(".pth") and judgment.form in _CHECKPOINTS):
        form = program.removeprefix("a ")
        by_name = code(form, f"its name says that it is {program}")
        return by_name if judgment.verdict != "refused" else join(form, [by_name, judgment])
    return judgment


def _judge_content(name: str, content: Content, judge_member: MemberJudge) -> Judgment:
    """Judge a content by the first form that it has, if it has no other one as well.

    Readers of pickles do not look at names or marks, so everything is also tried as one; but for a
    zip, whose first letter asks its reader for an object by a text: none has one.
    """
    if not content.size:
        return inert("empty")
    packed = is_packed_for_joblib(content) or find_packer(content)
    if not packed and content.read(0, 4) != LOCAL_MARK and find_name(content):
        judgment = judge_pickle(content)
        return judgment if judgment.verdict == "refused" else _refuse_second(content, judgment)
    known = next((known for known in _FORMS if known[1](content)), None)
    if known is None:
        form = "unknown" if _has_other_mark(content) else NUMBERS
        return refused(form, "it is of no form that the gate knows")
    form, _, judge = known
    try:
        judgment = judge(name, content, judge_member)
    except Unreadable as error:
        return refused(form, str(error))
    return judgment if judgment.verdict == "refused" else _refuse_second(content, judgment)


def _has_other_mark(content: Content) -> bool:
    """Tell whether a content is of a form that is not read here: it is more than numbers.

    Flatbuffers (TorchScript, TensorFlow Lite, ONNX Runtime) have a mark of four letters and digits
    behind four bytes; a message (a graph of TensorFlow) is fields up to its end.
    """
    start = content.read(0, 8)
    if start.startswith(_OTHER_MARKS) or _FLATBUFFER.match(start):
        return True
    try:
        for _ in read_fields(content):
            pass
    except Unreadable:
        return False
    return True


def _refuse_second(content: Content, judgment: Judgment) -> Judgment:
    """Refuse a file that other readers take for a file of another form."""
    form = judgment.form
    if form not in {"zip", "torch", "TorchScript"} and find_zip_end(content):
        return refused(form, "a reader of zips may find a zip in it")
    if form != "HDF5" and has_second_hdf5(content):
        return refused(form, "a reader of HDF5 finds HDF5 in it")
    if form != "tar" and is_tar(content):
        return refused(form, "a reader of tars finds a tar in it")
    return judgment


def _begins_with(*marks: bytes) -> Callable[[Content], bool]:
    longest = max(map(len, marks))
    return lambda content: content.read(0, longest).startswith(marks)


def _is_compiled_python(content: Content) -> bool:
    """Tell whether a file is compiled Python: its mark changes with each version of Python."""
    start = content.read(0, 8)
    return start[2:4] == b"\r\n" and start[4:] in {b"\0\0\0\0", b"\1\0\0\0", b"\3\0\0\0"}


def _judge_packed(name: str, content: Content, judge_member: MemberJudge) -> Judgment:
    packer = find_packer(content)
    if is_text(content):
        return refused("packed", f"it is a text, and a reader could unpack it by {packer}")
    judgment = judge_member(name.rpartition(".")[0] or name, unpack(content, packer))
    return Judgment(judgment.verdict, f"{packer}, {judgment.form}", judgment.reasons)


def _refuse_packed(_: str, content: Content, __: MemberJudge) -> Judgment:
    start = content.read(0, 4)
    packer = next(name for mark, name in UNKNOWN_PACKERS.items() if start.startswith(mark))
    return refused("packed", f"it is packed by {packer}")


def _judge_media(name: str, content: Content, _: MemberJudge) -> Judgment:
    demand(is_media_name(name), "its name says that it is something else")
    walk_media(content)
    return inert("image or sound")


def _judge_alone(work: Callable[[Content], Judgment]) -> _Judge:
    """Return a judge that needs neither the name nor a judge of members."""
    return lambda _, content, __: work(content)


def _judge_members(work: Callable[[Content, MemberJudge], Judgment]) -> _Judge:
    """Return a judge that needs no name."""
    return lambda _, content, judge_member: work(content, judge_member)


def _say_code(form: str) -> _Judge:
    return lambda *_: code(form, f"it is {form}")


_FORMS: Final[tuple[tuple[str, Callable[[Content], bool], _Judge], ...]] = (
    ("packed", is_packed_for_joblib, _refuse_packed),
    ("packed", lambda content: find_packer(content) != "", _judge_packed),
    ("pickle", has_pickle_mark, _judge_alone(judge_pickle)),
    ("npy", _begins_with(NPY_MARK), _judge_alone(judge_npy)),
    ("GGUF", _begins_with(GGUF_MARK), _judge_alone(judge_gguf)),
    ("zip", _begins_with(LOCAL_MARK, b"PK\x05\x06"), _judge_members(judge_zip)),
    ("HDF5", _begins_with(HDF5_MARK), _judge_alone(judge_hdf5)),
    ("text", is_text, lambda name, content, _: judge_text(name, content)),
    ("native code", _begins_with(*_NATIVE), _say_code("native code")),
    ("compiled Python", _is_compiled_python, _say_code("compiled Python")),
    ("tar", is_tar, _judge_members(judge_tar)),
    ("packed", _begins_with(*UNKNOWN_PACKERS), _refuse_packed),
    (
        "safetensors",
        lambda content: find_safetensors_header(content) > 0,
        _judge_alone(judge_safetensors),
    ),
    ("image or sound", looks_like_media, _judge_media),
    ("ONNX", looks_like_onnx, _judge_alone(judge_onnx)),
    ("SentencePiece", looks_like_sentencepiece, _judge_alone(judge_sentencepiece)),
    ("UBJSON", looks_like_ubjson, _judge_alone(judge_ubjson)),
)
"""Forms in the order in which they are looked for: a name, a test of a content, a judge.

What joblib unpacks is packed, whatever else it is: a block of zlib can be a text or a tar.
"""
