"""Memory for packs is used again only once it was given back, also after an error."""

import io

import pytest

from airgap.disk.buffers import BufferPool


def test_what_is_read_in_pieces_is_whole() -> None:
    source = io.BytesIO(b"0123456789")

    data = BufferPool(16).fill(10, lambda view: source.readinto(view[:3]))

    assert bytes(data) == b"0123456789"


def test_what_ends_early_is_short() -> None:
    assert bytes(BufferPool(16).fill(10, io.BytesIO(b"0123").readinto)) == b"0123"


def test_two_that_are_taken_are_two() -> None:
    memory = BufferPool(4)

    first = memory.fill(4, io.BytesIO(b"aaaa").readinto)
    second = memory.fill(4, io.BytesIO(b"bbbb").readinto)

    assert (bytes(first), bytes(second)) == (b"aaaa", b"bbbb")


def test_what_was_given_back_is_used_again() -> None:
    memory = BufferPool(4)
    first = memory.fill(4, io.BytesIO(b"aaaa").readinto)
    memory.give_back(first)

    second = memory.fill(4, io.BytesIO(b"bbbb").readinto)

    assert second.obj is first.obj


def test_a_few_bytes_do_not_take_the_memory_of_a_whole_pack() -> None:
    memory = BufferPool(64 * 2**20)
    few = memory.fill(4, io.BytesIO(b"aaaa").readinto)
    assert memoryview(few.obj).nbytes == 4
    memory.give_back(few)

    assert bytes(memory.fill(6, io.BytesIO(b"bbbbbb").readinto)) == b"bbbbbb"


def test_an_error_gives_it_back() -> None:
    memory = BufferPool(4)
    seen: list[object] = []

    def fail(view: memoryview) -> int:
        seen.append(view.obj)
        raise OSError("no more")

    for _ in range(2):
        with pytest.raises(OSError, match="no more"):
            memory.fill(4, fail)

    assert seen[0] is seen[1]


def test_other_bytes_are_not_taken_for_its_own() -> None:
    memory = BufferPool(4)
    memory.give_back(b"aaaa")
    memory.give_back(memoryview(b"bbbb"))

    data = memory.fill(4, io.BytesIO(b"cccc").readinto)

    assert isinstance(data.obj, bytearray)
