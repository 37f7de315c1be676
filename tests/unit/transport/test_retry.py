"""An interrupted transfer is tried again, resumes, and is given up without progress."""

import gc
import itertools
from collections.abc import Callable
from pathlib import Path
from weakref import WeakSet

import pytest

from airgap.errors import MissingError, TransportError
from airgap.transport.port import ProtocolError, TransientError, Transport
from airgap.transport.retry import RetryingTransport, RetryPolicy
from tests.servers.in_memory import MemoryFiles, MemoryTransport
from tests.support import stores

CONTENT = stores.noise(1_000_000)


@pytest.fixture
def server() -> MemoryFiles:
    """A server with one file."""
    return MemoryFiles({"there": CONTENT})


@pytest.fixture
def pauses() -> list[float]:
    """How long was waited, each time."""
    return []


@pytest.fixture
def transport(server: MemoryFiles, pauses: list[float]) -> RetryingTransport:
    """A transport that has connected once, and tries four times."""
    policy = RetryPolicy(tries=4, wait=pauses.append, jitter=lambda: 1.0, clock=lambda: 0.0)
    transport = RetryingTransport(MemoryTransport(server), policy)
    transport.size("there")
    return transport


def test_a_download_resumes_where_it_broke(
    transport: RetryingTransport, server: MemoryFiles, pauses: list[float]
) -> None:
    server.breaks = [300_000, 1, 0, 200_000]
    found = bytearray()

    assert transport.get("there", found.extend) == len(CONTENT)

    assert found == CONTENT
    assert server.sent == len(CONTENT)
    assert len(pauses) == 4


def test_an_upload_resumes_where_it_broke(
    transport: RetryingTransport, server: MemoryFiles, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(CONTENT)
    server.breaks = [300_000, 1, 0, 200_000]

    assert transport.put("new", tmp_path / "source", len(CONTENT)) == "resumed"

    assert server.files["new"] == CONTENT
    assert server.taken == len(CONTENT)


def test_pauses_grow_up_to_the_longest(
    transport: RetryingTransport, server: MemoryFiles, pauses: list[float]
) -> None:
    server.breaks = [0, 0, 0]
    transport.get("there", len)

    assert pauses == [0.5, 1.0, 2.0]
    assert RetryPolicy(jitter=lambda: 1.0).choose_pause(100) == 60.0


def test_chance_spreads_a_pause_over_its_second_half() -> None:
    assert RetryPolicy(jitter=lambda: 0.0).choose_pause(3) == 1.0
    assert RetryPolicy(jitter=lambda: 1.0).choose_pause(3) == 2.0


def test_progress_resets_the_count(
    transport: RetryingTransport, server: MemoryFiles, pauses: list[float]
) -> None:
    server.breaks = [0, 0, 1000, 0, 0, 1000, 0, 0]
    found = bytearray()

    transport.get("there", found.extend)

    assert found == CONTENT
    assert pauses == [0.5, 1.0, 0.5, 1.0, 2.0, 0.5, 1.0, 2.0]


@pytest.mark.parametrize(("step", "tries"), [(1, 4), (1_000, 4), (20_000, 99)])
def test_progress_slower_than_the_least_speed_is_none(
    step: int, tries: int, server: MemoryFiles
) -> None:
    """A server that sends some bytes and hangs up would otherwise keep a command for ever."""
    clock = itertools.count(0.0, 10.0)
    policy = RetryPolicy(tries=4, wait=lambda _: None, clock=lambda: next(clock))
    transport = RetryingTransport(MemoryTransport(server), policy)
    transport.size("there")
    server.breaks = [step] * 30

    if tries > 30:
        assert transport.get("there", len) == len(CONTENT)
        return
    with pytest.raises(TransportError, match=f"after {tries} tries in a row without progress"):
        transport.get("there", len)
    assert len(server.breaks) == 30 - tries


class StrayTransport(MemoryTransport):
    """One whose server breaks the protocol where others break the connection."""

    def clone(self) -> Transport:
        return type(self)(self.server)

    def _break(self) -> None:
        self.broken = True
        raise ProtocolError("memory://server sent a reply to no request.", "Reconnect.")


class HalfStrayTransport(StrayTransport):
    """One whose server breaks the protocol, and the connection in the next try."""

    def _break(self) -> None:
        self.broken = True
        if self.server.connections % 2:
            raise ProtocolError("memory://server sent a reply to no request.", "Reconnect.")
        raise TransientError("memory://server broke.", "Reconnect.")


@pytest.mark.parametrize("kind", [StrayTransport, HalfStrayTransport])
def test_bytes_before_a_protocol_error_are_no_progress(
    kind: type[StrayTransport], server: MemoryFiles
) -> None:
    """A server that sends data without end, and not as requested, kept a command for hours."""
    policy = RetryPolicy(tries=4, wait=lambda _: None, clock=lambda: 0.0)
    transport = RetryingTransport(kind(server), policy)
    transport.size("there")
    server.breaks = [30_000, 0] * 10

    with pytest.raises(TransportError, match="after 4 tries in a row without progress"):
        transport.get("there", len)
    assert len(server.breaks) == 16


def test_a_transfer_goes_on_after_a_protocol_error(server: MemoryFiles) -> None:
    transport = RetryingTransport(StrayTransport(server), RetryPolicy(wait=lambda _: None))
    server.breaks = [300_000, 1, 0, 200_000]
    found = bytearray()

    assert transport.get("there", found.extend) == len(CONTENT)

    assert found == CONTENT
    assert server.sent == len(CONTENT)


def make_slow(server: MemoryFiles, step: int) -> RetryingTransport:
    """Make a transport whose tries take a hundred seconds and bring so many bytes each."""
    clock = itertools.count(0.0, 100.0)
    policy = RetryPolicy(tries=4, wait=lambda _: None, clock=lambda: next(clock), total=50)
    transport = RetryingTransport(MemoryTransport(server), policy)
    transport.size("there")
    server.breaks = [step] * (len(CONTENT) // step)
    return transport


def test_all_tries_of_a_download_have_a_limit_in_time(server: MemoryFiles) -> None:
    """Each of them is faster than the least speed."""
    with pytest.raises(TransportError, match="Gave up after 5 minutes of interrupted tries"):
        make_slow(server, 150_000).get("there", len)
    assert server.sent == 150_000 * 3

    assert make_slow(server, 300_000).get("there", len) == len(CONTENT)


def test_all_tries_of_an_upload_have_a_limit_in_time(server: MemoryFiles, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(CONTENT)
    transport = make_slow(server, 150_000)

    with pytest.raises(TransportError, match="Gave up after 10 minutes of interrupted tries"):
        transport.put("slow", tmp_path / "source", len(CONTENT))

    transport = make_slow(server, 200_000)
    assert transport.put("new", tmp_path / "source", len(CONTENT)) == "resumed"


class CyclicTransport(MemoryTransport):
    """One whose objects refer to each other, as those of a connection do."""

    def __init__(self, files: MemoryFiles) -> None:
        super().__init__(files)
        self.itself = self
        CONNECTIONS.add(self)

    def clone(self) -> "CyclicTransport":
        return CyclicTransport(self.server)


CONNECTIONS: "WeakSet[CyclicTransport]" = WeakSet()


def test_a_connection_that_broke_leaves_the_memory(server: MemoryFiles) -> None:
    counts: list[int] = []
    policy = RetryPolicy(tries=4, wait=lambda _: counts.append(len(CONNECTIONS)))
    server.breaks = [30_000] * 20

    gc.disable()
    try:
        RetryingTransport(CyclicTransport(server), policy).get("there", len)
    finally:
        gc.enable()

    assert len(counts) == 20
    assert max(counts) <= 2


def test_a_connection_without_progress_is_given_up(
    transport: RetryingTransport, server: MemoryFiles, pauses: list[float]
) -> None:
    server.breaks = [0] * 9

    with pytest.raises(TransportError, match="after 4 tries in a row") as caught:
        transport.get("there", len)

    assert len(pauses) == 3
    assert caught.value.hint


def test_the_same_bytes_again_are_no_progress(
    transport: RetryingTransport,
    server: MemoryFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "source").write_bytes(CONTENT)
    monkeypatch.setattr(MemoryTransport, "size", lambda _self, _name: None)  # keeps no parts
    server.breaks = [1000] * 9

    with pytest.raises(TransportError, match="after 4 tries in a row"):
        transport.put("new", tmp_path / "source", len(CONTENT))


def test_a_host_that_never_answered_is_given_up_sooner(
    server: MemoryFiles, pauses: list[float]
) -> None:
    server.breaks = [0] * 9
    transport = RetryingTransport(
        MemoryTransport(server), RetryPolicy(tries=10, wait=pauses.append)
    )

    with pytest.raises(TransportError, match="after 3 tries in a row"):
        transport.get("there", len)


def test_a_host_that_answered_in_the_first_call_is_met(
    server: MemoryFiles, pauses: list[float], tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(CONTENT)
    for upload in (True, False):
        server.breaks = [1000, 1000, 1000, 1000, 0, 0, 0]
        transport = RetryingTransport(
            MemoryTransport(server), RetryPolicy(tries=5, wait=pauses.append)
        )
        if upload:
            assert transport.put("new", tmp_path / "source", len(CONTENT)) == "resumed"
        else:
            assert transport.get("there", len) == len(CONTENT)


def test_clones_know_that_the_server_has_answered(server: MemoryFiles, pauses: list[float]) -> None:
    transport = RetryingTransport(MemoryTransport(server), RetryPolicy(tries=5, wait=pauses.append))
    other = transport.clone()
    transport.size("there")
    server.breaks = [0] * 9

    with pytest.raises(TransportError, match="after 5 tries in a row"):
        other.get("there", len)


def test_other_errors_are_not_tried_again(
    transport: RetryingTransport, server: MemoryFiles
) -> None:
    server.calls.clear()

    with pytest.raises(MissingError):
        transport.get("gone", len)

    assert server.calls == ["get gone"]


def test_an_early_end_is_not_the_end(
    transport: RetryingTransport, server: MemoryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = MemoryTransport.get

    def lie(
        self: MemoryTransport,
        name: str,
        sink: Callable[[memoryview], object],
        offset: int = 0,
        length: int | None = None,
    ) -> int:
        return get(self, name, sink, offset, min(length or 0, 400_000))

    monkeypatch.setattr(MemoryTransport, "get", lie)
    found = bytearray()

    assert transport.get("there", found.extend, 0, len(CONTENT)) == len(CONTENT)

    assert found == CONTENT
    assert server.sent == len(CONTENT)


def test_a_file_that_is_shorter_than_wanted_ends(transport: RetryingTransport) -> None:
    assert transport.get("there", len, 999_999, 50) == 1


def test_a_manifest_whose_answer_was_lost_is_our_own(
    transport: RetryingTransport, server: MemoryFiles
) -> None:
    server.breaks = [5]

    assert transport.publish("new", b"12345") is True

    assert server.files["new"] == b"12345"


def test_what_another_client_published_is_not_our_own(
    transport: RetryingTransport, server: MemoryFiles
) -> None:
    server.breaks = [0]

    assert transport.publish("there", b"12345") is False

    assert server.files["there"] == CONTENT


def test_each_try_has_a_connection_of_its_own(
    transport: RetryingTransport, server: MemoryFiles
) -> None:
    before = server.connections
    server.breaks = [0, 0]

    transport.get("there", len)

    assert server.connections == before + 2


def test_each_retry_is_announced(server: MemoryFiles) -> None:
    notes: list[str] = []
    transport = RetryingTransport(
        MemoryTransport(server), RetryPolicy(wait=lambda _: None, note=notes.append)
    )
    server.breaks = [1000]

    transport.get("there", len)

    assert notes == ["memory://server broke. Trying again now."]
