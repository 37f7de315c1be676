"""Readers of names and texts that strangers chose, and of files whose content decides."""

import hashlib
import itertools
import os
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final
from unittest import mock
from urllib.parse import unquote

from airgap.carrier.archive import ArchiveReader
from airgap.carrier.stock.compression import Compression, Decompressed
from airgap.chunking import content, cutters, regions, sizes, zeros
from airgap.chunking.sizes import PIECE
from airgap.errors import AirgapError, CorruptError, TransportError, UsageError
from airgap.flow.exporting.secret_scan import find_secrets
from airgap.flow.location.location import ArchiveFile, parse_location
from airgap.format import layout, names
from airgap.printable import make_printable, wrap_text
from airgap.server.dropbox import upload_names
from airgap.store import source_tree
from airgap.store.source_tree import SourceFile, StableFile
from airgap.transport import url as urls
from tests.support.reader import Reader, scratch, write_scratch
from tests.support.sides import REPOSITORY

__all__ = ["READERS"]


def _decode(raw: bytes) -> str:
    """Make a text of any bytes, also one with lone surrogates."""
    return raw.decode("utf-8", "surrogateescape")


# ---- names in an item


def _read_names(raw: bytes) -> None:
    """Check a link and the paths beside it; folding costs what it must, and no more."""
    target, *paths = _decode(raw).split("\n")
    folded_characters = 0
    fold = names.fold

    def count(path: str) -> str:
        nonlocal folded_characters
        folded_characters += len(path)
        return fold(path)

    link = paths[0] if paths else "link"
    with mock.patch.object(names, "fold", count):
        names.target_problem(link, target, frozenset(map(fold, paths)))
    assert folded_characters <= 3 * (len(link) + len(target)), "parts are folded again and again"
    assert names.fold_parts(target.split("/")) == list(map(fold, target.split("/")))
    for path in paths:
        assert fold(fold(path)) == fold(path)
        if names.path_problem(path) is None:
            _check_path(path)
    _check_collisions([path for path in paths if names.path_problem(path) is None])


def _check_path(path: str) -> None:
    """Demand of a path that is allowed that it can be nothing else than itself."""
    parts = path.split("/")
    assert all(part not in ("", ".", "..") for part in parts)
    assert not any(unicodedata.category(character)[0] == "C" for character in path) or any(
        unicodedata.category(character) in ("Co", "Cn") for character in path
    )
    assert len(path.encode()) <= 1024


def _check_collisions(paths: Sequence[str]) -> None:
    """Compare with a plain search, which needs the square of the time."""
    folded = [names.fold(path) for path in paths]
    collide = any(
        first == second or second.startswith(f"{first}/")
        for at, first in enumerate(folded)
        for other, second in enumerate(folded)
        if at != other
    )
    try:
        names.refuse_collisions(paths, "It")
    except CorruptError:
        assert collide
    else:
        assert not collide


_NAME_WORDS: Final = (
    *(b"/", b"../", b"./", b"\n", "\uff0f".encode(), "\uff0e".encode(), "İ".encode(), "ß".encode()),
    *("ﬀ".encode(), b"K", b"con", b"a", b"A", "é".encode(), "é".encode(), b"."),
)


# ---- names and command lines of a drop box


def _read_upload_name(raw: bytes) -> None:
    """Parse the name of an upload, and the passing names that clients give it."""
    path = _decode(raw)
    name = upload_names.parse_upload_name(path)
    if name is None:
        return
    assert not name.path.startswith("/")
    assert not {"", ".", ".."}.intersection(name.path.split("/"))
    final = upload_names.parse_upload_name(name.final)
    assert final is not None, "the final name of an upload is refused"
    assert final.path == final.final == name.final
    folder, slash, last = name.final.rpartition("/")
    for passing in (
        f"{name.final}.part",
        f"{name.final}.filepart",
        f"{name.final}.1a2b3c4d.partial",
        f"{folder}{slash}.in.{last}",
    ):
        if names.path_problem(passing) is None:
            parsed = upload_names.parse_upload_name(passing)
            assert parsed is not None, f"the passing name {passing!r} is refused"
            assert parsed.final == name.final


_UPLOAD_WORDS: Final = (
    *(b".airgap", b".part", b".filepart", b".partial", b".in.", b"bundles/", b"packs/", b"roots/"),
    *(b"manifest.msgpack", b"README.txt", b"verify.py", b"ab" * 32, b"builder.", b".dsse", b"/"),
)


# ---- URLs, locations, terminals


def _read_url(raw: bytes) -> None:
    """Parse a URL; written again without its password, it is the same."""
    text = _decode(raw)
    urls.hide_passwords(text)
    url = urls.parse(text)
    again = urls.parse(str(url))
    parts = (url.scheme, url.host, url.path, url.port, url.user)
    assert (again.scheme, again.host, again.path, again.port, again.user) == parts
    assert repr(url) == repr(replace(url, password=None)), "a password is shown"
    if "#" in text:
        assert url.bundle, "an empty id names a bundle"
    if url.scheme == "file":
        written = unquote(text.partition("#")[0], errors="surrogateescape")
        assert written.endswith(url.path), "a part of a name is taken for something else"


_URL_WORDS: Final = (
    *(b"sftp://", b"ftp://", b"s3://", b"file:///", b"ftps://", b":s3cr3t@", b"user@", b"?a=b"),
    *(b"#0123456789abcdef", b"#", b"%2F", b"%00", b"%23", b"/~/", b"//", b"[::1]", b":21", b".."),
)


def _read_terminal_text(raw: bytes) -> None:
    text = _decode(raw)
    printable = make_printable(text)
    assert printable.isprintable()
    assert _INVISIBLE.isdisjoint(map(ord, printable)), "a character that shows nothing is printed"
    for row in wrap_text(printable, 40, indent="  … ", breaks_words=True):
        assert row.isprintable()
        assert sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in row) <= 40


_INVISIBLE: Final = frozenset(
    itertools.chain(
        # Default_Ignorable_Code_Point in Unicode's DerivedCoreProperties.txt
        *(
            range(first, last + 1)
            for first, last in (
                (0xAD, 0xAD),
                (0x34F, 0x34F),
                (0x61C, 0x61C),
                (0x115F, 0x1160),
                (0x17B4, 0x17B5),
                (0x180B, 0x180F),
                (0x200B, 0x200F),
                (0x202A, 0x202E),
                (0x2060, 0x206F),
                (0x3164, 0x3164),
                (0xFE00, 0xFE0F),
                (0xFEFF, 0xFEFF),
                (0xFFA0, 0xFFA0),
                (0xFFF0, 0xFFF8),
                (0x1BCA0, 0x1BCA3),
                (0x1D173, 0x1D17A),
                (0xE0000, 0xE0FFF),
            )
        ),
        # what has an empty glyph
        (0x2800, 0x13441, 0x13442, 0x16FE4, 0x1D159),
    )
)
_TERMINAL_WORDS: Final = (
    *(b"\x1b[2J", b"\x9b", b"\r", b"\n", b" ", b"  ", b"\xff", b"\xed\xb2\x80", b"a" * 41),
    *(char.encode() for char in "\u202e\u3164\u2800\ufe0f\U000e0100\u00a0\u3000漢é\u0301\u2028"),
)


# ---- what a file is, by its content


def _read_start(raw: bytes) -> None:
    """Locate a file of any name, a manifest beside it: a ``.airgap`` file is nothing else."""
    flags, data = raw[:1], raw[1:]
    name = ("shop.airgap", "SHOP.AIRGAP", "shop.zip", "shop")[(flags or b"\0")[0] % 4]
    path = write_scratch(data, name)
    beside = write_scratch(b"of a stranger", f"{name}.airgap-manifest")
    try:
        with path.open("rb") as file:
            ArchiveReader(file, name).read_manifest()
        is_own = True
    except AirgapError:
        is_own = layout.is_archive_name(name)
    try:
        location = parse_location(str(path))
    finally:
        beside.unlink()
        path.unlink()
    assert not is_own or isinstance(location, ArchiveFile), "a manifest beside a file stands for it"


@cache
def _archive() -> bytes:
    return min((REPOSITORY / "tests" / "vectors").glob("*.airgap")).read_bytes()


def _start_seeds() -> list[bytes]:
    return [b"\0" + _archive()[:4096], b"\3" + b"PK\3\4"]


def _read_compressed(raw: bytes) -> None:
    """Decompress to the end; the first byte says what the archive's name promises."""
    forms: tuple[Compression, ...] = ("gz", "xz", "bz2", "tar")
    path = write_scratch(raw[1:], "compressed")
    with path.open("rb", buffering=0) as file:
        stream = Decompressed(file, forms[(raw or b"\0")[0] % 4], "archive")
        total = 0
        while piece := stream.read(PIECE):
            assert len(piece) <= PIECE
            total += len(piece)
            if total > 16 * PIECE:
                break


def _compressed_seeds() -> list[bytes]:
    import bz2
    import gzip
    import lzma

    plain = b"name: a" * 40
    return [
        b"\0" + gzip.compress(plain, mtime=0),
        b"\1" + lzma.compress(plain),
        b"\2" + bz2.compress(plain),
        b"\3" + plain,
    ]


# ---- secrets


_SECRETS: Final = (
    b"https://joe:s3cret@pypi.example/simple",
    b"https://aws:" + b"eyJ" * 500 + b"@pypi.example/simple",  # as CodeArtifact has them
    b"hf_" + b"aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3h",
    b"AKIA" + b"IOSFODNN7EXAMPLE",
    b"-----BEGIN PRIVATE KEY-----",
)
_TIMES: Final = 120
"""More often than secrets of one file are reported."""
_MOST_SECONDS: Final = 1.0


def _read_secrets(raw: bytes) -> None:
    """Search a text many times over, and a secret in a line of its own behind it."""
    text = raw * _TIMES + b"\n"
    begun = time.process_time()
    before = list(find_secrets(text))
    assert len(before) <= 100
    for secret in _SECRETS:
        lines = [found.line for found in find_secrets(text + secret + b"\n")]
        assert lines == sorted(lines)
        assert len(before) == 100 or text.count(b"\n") + 1 in lines, "a secret is hidden"
    assert time.process_time() - begun < _MOST_SECONDS, "a search takes more than linear time"


_SECRET_WORDS: Final = (
    *(secret for secret in _SECRETS if len(secret) < 100),
    *(b"x", b"://", b":", b"@", b"user", b"x" * 64, b"sk-ant-", b"xoxb-", b"pypi-AgEIcHlwaS5vcmc"),
    *(b"glpat-", b"ghp_", b"github_pat_", b"-----BEGIN ", b"RSA ", b"PRIVATE KEY-----", b"\n"),
)


# ---- sparse files


_SCALE: Final = 16
"""All sizes of chunks are divided by this: an execution takes milliseconds."""
_PIECE: Final = sizes.PIECE // _SCALE


@contextmanager
def _small_chunks() -> Iterator[None]:
    with ExitStack() as stack:
        for module in (content, cutters, regions, zeros, source_tree):
            for name in ("SMALLEST", "PIECE", "LARGEST", "READ_BYTES"):
                if hasattr(module, name):
                    small = getattr(module, name) // _SCALE
                    stack.enter_context(mock.patch.object(module, name, small))
        shared = {size: bytes(size) for size in (_PIECE, sizes.LARGEST // _SCALE)}
        stack.enter_context(mock.patch.object(zeros, "_SHARED", shared))
        yield


def _read_sparse(raw: bytes) -> None:
    """Cut a file of holes and data: it is cut as if they were zeros, and holes are not read."""
    pieces = [
        bytes((byte % 4) * _PIECE // 2) if byte < 128 else bytes([byte]) * byte for byte in raw[:8]
    ]
    plain = b"".join(pieces)
    path = _write_sparse(pieces)
    read, pread = 0, os.pread

    def count(descriptor: int, size: int, offset: int) -> bytes:
        nonlocal read
        data = pread(descriptor, size, offset)
        read += len(data)
        return data

    status = path.stat()
    times = status.st_mtime_ns, status.st_ctime_ns
    source = SourceFile("file", str(path), len(plain), executable=False, times=times)
    with _small_chunks():
        with mock.patch("airgap.store.source_tree.os.pread", count), StableFile(source) as file:
            chunks = [piece.plain for piece in cutters.cut(file)]
        assert b"".join(chunks) == plain
        for chunk in chunks:
            assert zeros.digest_chunk(chunk) == hashlib.sha256(chunk).digest()
        blocks = (plain[at : at + _PIECE] for at in range(0, len(plain), _PIECE))
        if len(plain) > _PIECE:
            assert chunks == list(content.cut(iter(blocks))), "holes move the cuts"
    if len(plain) - status.st_blocks * 512 >= _PIECE:
        data = sum(bool(piece.strip(b"\0")) for piece in pieces)
        most = status.st_blocks * 512 + 2 * (1 + data) * _PIECE  # beside data, and at both ends
        assert read <= most, "holes are read"


def _write_sparse(pieces: Sequence[bytes]) -> Path:
    path = scratch() / "sparse"
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        for piece in pieces:
            if piece.strip(b"\0"):
                file.write(piece)
            else:
                file.seek(len(piece), os.SEEK_CUR)
        file.truncate()
    return path


READERS: Final[dict[str, Reader]] = {
    "names in an item": Reader(
        _read_names, (), lambda: ["../é/./a\nf/link\nf/é\na\nb/c".encode()], _NAME_WORDS
    ),
    "name of an upload": Reader(
        _read_upload_name,
        (),
        lambda: [
            b"shop.airgap",
            b"d/bundles/" + b"ab" * 32 + b"/manifest.msgpack.part",
            b"README.txt",
        ],
        _UPLOAD_WORDS,
    ),
    "URL": Reader(
        _read_url,
        (TransportError, UsageError),
        lambda: [b"sftp://me:pw@host:22/~/a?agent=no#01234567", b"file:///a%23b", b"s3://b-1/c/d"],
        _URL_WORDS,
    ),
    "text for a terminal": Reader(
        _read_terminal_text,
        (),
        lambda: ["all good \x1b[2J\u202e漢字\n".encode()],
        _TERMINAL_WORDS,
    ),
    "start of a file": Reader(_read_start, (UsageError,), _start_seeds),
    "compressed archive": Reader(_read_compressed, (CorruptError,), _compressed_seeds),
    "text with secrets": Reader(
        _read_secrets, (), lambda: [b"pip install\n", b"xhf_aB3dE5gH7"], _SECRET_WORDS
    ),
    "file with holes": Reader(_read_sparse, (), lambda: [b"\xff\2\x80", b"\3\3\3\3\xff"]),
}
