"""Finds out what a file is, by its content, and assesses it (docs/scan-gate.md)."""

from collections.abc import Callable
from typing import BinaryIO, Final

from airgap.scan.archives import MemberAssessor, assess_packed, assess_tar, assess_zip, unpack_start
from airgap.scan.contents import Budget, Content, Unreadable
from airgap.scan.gguf import GGUF_MARK, assess_gguf
from airgap.scan.hdf5 import HDF5_MARK, assess_hdf5
from airgap.scan.onnx import assess_onnx, looks_like_onnx
from airgap.scan.pickles import assess_pickle, looks_like_pickle
from airgap.scan.second_forms import find_second_form
from airgap.scan.tensors import (
    NPY_MARK,
    assess_npy,
    assess_safetensors,
    find_safetensors_header,
)
from airgap.scan.texts import assess_text, is_text
from airgap.scan.ubjson import assess_ubjson, looks_like_ubjson
from airgap.scan.verdicts import Assessment, inert, join, program, refused

__all__ = ["assess_file"]

_DEEPEST: Final = 5
_NATIVE: Final = (
    *(b"\x7fELF", b"\0asm", b"BC\xc0\xde", b"!<arch>\n", b"\xca\xfe\xba\xbe"),
    *(b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe"),
)
"""Marks of ELF, WebAssembly, LLVM, libraries of objects, Java, and of macOS."""
_WINDOWS: Final = b"MZ"
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_MEDIA: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"OggS", b"fLaC")
_Assessor = Callable[[str, Content, MemberAssessor], Assessment]


def assess_file(name: str, stream: BinaryIO, size: int, start: int = 0) -> Assessment:
    """Assess a file by its content; its name counts where a text says nothing of itself.

    ``size`` is the number of its bytes, and ``start`` where they begin in the stream.
    Never raises for what is in the file: what cannot be followed is refused, with the reason.

    Raises:
        OSError: the file cannot be read.
    """
    return _assess(name, Content(stream, start, size, Budget()), 0)


def _assess(name: str, content: Content, depth: int) -> Assessment:
    """Assess a file, or a member of an archive at some depth."""
    if depth > _DEEPEST:
        return refused("archive", "archives are nested too deeply")

    def assess_member(member: str, part: Content) -> Assessment:
        return _assess(member, part, depth + 1)

    form = "unknown"
    try:
        for form, matches, assess in _FORMS:
            if matches(content):
                return _refuse_second_form(content, form, assess(name, content, assess_member))
    except Unreadable as error:
        return refused(form, str(error))
    return refused("unknown", "it is of no form that a scan knows")


def _refuse_second_form(content: Content, form: str, assessment: Assessment) -> Assessment:
    second = find_second_form(content, form)
    if not second:
        return assessment
    return join(form, [assessment, refused(form, f"it is {second} as well, to other readers")])


def _begins_with(*marks: bytes) -> Callable[[Content], bool]:
    longest = max(map(len, marks))
    return lambda content: content.read(0, longest).startswith(marks)


def _is_compiled_python(content: Content) -> bool:
    """Tell whether a file is compiled Python: its mark changes with each version of Python."""
    start = content.read(0, 8)
    return start[2:4] == b"\r\n" and start[4:] in {b"\0\0\0\0", b"\1\0\0\0", b"\3\0\0\0"}


def _is_riff(content: Content) -> bool:
    start = content.read(0, 12)
    return start[:4] == b"RIFF" and start[8:] in {b"WAVE", b"WEBP"}


def _is_tar(content: Content) -> bool:
    return content.read(257, 5) == b"ustar"


def _assess_alone(assess: Callable[[Content], Assessment]) -> _Assessor:
    """Return an assessor that needs neither the name nor an assessor of members."""
    return lambda _, content, __: assess(content)


def _assess_members(assess: Callable[[Content, MemberAssessor], Assessment]) -> _Assessor:
    """Return an assessor that needs no name."""
    return lambda _, content, assess_member: assess(content, assess_member)


def _say(assessment: Assessment) -> _Assessor:
    return lambda *_: assessment


_FORMS: Final[tuple[tuple[str, Callable[[Content], bool], _Assessor], ...]] = (
    ("empty", lambda content: content.size == 0, _say(inert("empty"))),
    ("npy", _begins_with(NPY_MARK), _assess_alone(assess_npy)),
    ("GGUF", _begins_with(GGUF_MARK), _assess_alone(assess_gguf)),
    ("zip", _begins_with(*_ZIP), _assess_members(assess_zip)),
    ("HDF5", _begins_with(HDF5_MARK), _assess_alone(assess_hdf5)),
    ("native code", _begins_with(*_NATIVE), _say(program("native code", "it is native code"))),
    (
        "compiled Python",
        _is_compiled_python,
        _say(program("compiled Python", "it is compiled Python")),
    ),
    ("tar", _is_tar, _assess_members(assess_tar)),
    (
        "safetensors",
        lambda content: find_safetensors_header(content) > 0,
        _assess_alone(assess_safetensors),
    ),
    ("packed", lambda content: unpack_start(content) != "", assess_packed),
    ("pickle", looks_like_pickle, _assess_alone(assess_pickle)),
    ("image or sound", _begins_with(*_MEDIA), _say(inert("image or sound"))),
    ("image or sound", _is_riff, _say(inert("image or sound"))),
    ("ONNX", looks_like_onnx, _assess_alone(assess_onnx)),
    ("text", is_text, lambda name, content, _: assess_text(name, content)),
    ("native code", _begins_with(_WINDOWS), _say(program("native code", "it is native code"))),
    ("UBJSON", looks_like_ubjson, _assess_alone(assess_ubjson)),
)
"""Forms in the order in which they are looked for: a name, a test of a content, an assessor.

What has a mark comes first; a text is one only if nothing would load it as a pickle or a model.
"""
