"""A single file that is elsewhere, as a stream."""

import io
import threading
from pathlib import Path
from typing import cast

import pytest

from airgap.carrier.remote_archive import open_stream, send_file
from airgap.errors import MissingError, TransportError
from airgap.transport.retry import RetryingTransport, RetryPolicy
from tests.servers.in_memory import MemoryFiles, MemoryTransport
from tests.support import stores

CONTENT = stores.noise(5_000_000)


@pytest.fixture
def shop() -> MemoryFiles:
    """A server with a file."""
    return MemoryFiles({"there": CONTENT})


@pytest.fixture
def transport(shop: MemoryFiles) -> RetryingTransport:
    """A connection that tries again at once."""
    return RetryingTransport(MemoryTransport(shop), RetryPolicy(tries=4, wait=lambda _: None))


@pytest.mark.parametrize("size", [1000, 65536, 1_000_000, 9_000_000])
def test_a_stream_gives_exactly_what_is_asked_for(size: int, transport: RetryingTransport) -> None:
    stream = open_stream(transport, "there")
    pieces = []
    while piece := stream.read(size):
        pieces.append(piece)
    stream.close()

    assert b"".join(pieces) == CONTENT
    assert {len(piece) for piece in pieces[:-1]} <= {size}
    assert stream.read(1) == b""


@pytest.mark.parametrize("size", [1000, 65536, 9_000_000])
def test_a_stream_fills_what_it_is_given(size: int, transport: RetryingTransport) -> None:
    stream = cast("io.BufferedReader", open_stream(transport, "there"))
    buffer, pieces = bytearray(size), []
    while count := stream.readinto(buffer):
        pieces.append(bytes(buffer[:count]))
    stream.close()

    assert b"".join(pieces) == CONTENT
    assert {len(piece) for piece in pieces[:-1]} <= {size}


def test_a_stream_goes_on_where_it_broke_off(
    transport: RetryingTransport, shop: MemoryFiles
) -> None:
    shop.breaks = [1_000_000, 1, 0, 500_000]

    stream = open_stream(transport, "there")

    assert stream.read(9_000_000) == CONTENT
    assert shop.sent == len(CONTENT)
    stream.close()


def test_what_ends_a_stream_is_told_by_reading(
    transport: RetryingTransport, shop: MemoryFiles
) -> None:
    with pytest.raises(MissingError):
        open_stream(transport, "gone").read(1)
    shop.breaks = [2_000_000, *[0] * 99]
    stream = open_stream(transport, "there")
    with pytest.raises(TransportError, match="in a row"):
        stream.read(9_000_000)
    stream.close()


def test_no_more_is_fetched_ahead_than_fits(
    transport: RetryingTransport, shop: MemoryFiles
) -> None:
    shop.files["there"] = CONTENT * 4

    stream = open_stream(transport, "there")
    stream.read(1)
    threading.Event().wait(0.2)  # long enough to fetch all of it
    stream.close()

    assert shop.sent < 3_000_000  # 32 pieces of 64 KiB, and one on its way


def test_a_stream_that_nobody_reads_can_be_closed(transport: RetryingTransport) -> None:
    stream = open_stream(transport, "there")
    stream.close()
    stream.close()


def test_a_file_is_sent_once(
    transport: RetryingTransport, shop: MemoryFiles, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(CONTENT)

    assert send_file(transport, "new", tmp_path / "file") is True
    assert send_file(transport, "new", tmp_path / "file") is False

    assert shop.files["new"] == CONTENT
    assert shop.taken == len(CONTENT)


@pytest.mark.parametrize("old", [b"short", bytes(len(CONTENT)), bytes(len(CONTENT) + 1)])
def test_another_file_of_the_name_is_replaced(
    old: bytes, transport: RetryingTransport, shop: MemoryFiles, tmp_path: Path
) -> None:
    shop.files["new"] = old
    (tmp_path / "file").write_bytes(CONTENT)

    assert send_file(transport, "new", tmp_path / "file") is True

    assert shop.files["new"] == CONTENT


def test_a_file_that_broke_off_is_gone_on_with_only_if_it_is_the_same(
    transport: RetryingTransport, shop: MemoryFiles, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    shop.breaks = [1_000_000, *[0] * 99]
    with pytest.raises(TransportError):
        send_file(transport, "new", tmp_path / "file")
    shop.breaks, shop.taken = [], 0

    send_file(transport, "new", tmp_path / "file")

    assert (shop.files["new"], shop.taken) == (CONTENT, len(CONTENT) - 1_000_000)
    (tmp_path / "file").write_bytes(CONTENT[::-1])
    send_file(transport, "new", tmp_path / "file")
    assert shop.files["new"] == CONTENT[::-1]
