"""The one tar header (format §9)."""

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.errors import CorruptError
from airgap.format import tar
from tests.support import forge

LONG = "bundles/" + "0a" * 32 + "/builder." + "0b" * 32 + ".dsse"


@pytest.mark.parametrize(("size", "padded"), [(0, 0), (1, 512), (512, 512), (513, 1024)])
def test_members_fill_whole_blocks(size: int, padded: int) -> None:
    assert tar.round_to_block(size) == padded


@pytest.mark.parametrize("name", ["padding", "x" * 100, LONG, "a/" * 50 + "b"])
def test_a_header_is_read_as_it_was_made(name: str) -> None:
    block = tar.make_header(name, 8**11 - 1)

    assert tar.parse_header(block) == (name, 8**11 - 1)
    assert block == forge.header(name, 8**11 - 1)


def test_other_programs_read_the_header() -> None:
    raw = tar.make_header(LONG, 3) + b"abc".ljust(512, b"\0") + tar.END
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        (member,) = archive.getmembers()
        content = archive.extractfile(member)
        assert content is not None
        assert (member.name, content.read(), member.mode) == (LONG, b"abc", 0o644)


def test_a_block_of_zeros_is_the_end() -> None:
    assert tar.parse_header(bytes(512)) is None


@settings(max_examples=200, derandomize=True, database=None)
@given(at=st.integers(0, 511), bit=st.integers(0, 7))
def test_a_header_with_any_other_bit_is_corrupt_or_anothers(at: int, bit: int) -> None:
    changed = bytearray(tar.make_header(LONG, 5))
    changed[at] ^= 1 << bit
    with pytest.raises(CorruptError):
        tar.parse_header(bytes(changed))


@pytest.mark.parametrize("block", [b"", bytes(511), bytes(513), tar.make_header("x", 1)[:-1]])
def test_a_block_of_another_length_is_corrupt(block: bytes) -> None:
    with pytest.raises(CorruptError):
        tar.parse_header(block)


@pytest.mark.parametrize("name", ["", "\u00fc", "a b", "x" * 101, "a" * 50 + "/" + "b" * 40])
def test_a_name_that_has_another_header_is_corrupt(name: str) -> None:
    block = bytearray(tar.make_header("x" * 9, 5))
    raw = name.encode()
    if len(raw) > 100:
        return
    block[:100] = raw.ljust(100, b"\0")
    if name == "a" * 50 + "/" + "b" * 40:  # short enough to be in one piece
        block[:100] = (b"b" * 40).ljust(100, b"\0")
        block[345:500] = (b"a" * 50).ljust(155, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(CorruptError):
        tar.parse_header(bytes(block))
