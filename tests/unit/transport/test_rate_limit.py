"""A rate is kept by all connections together."""

from pathlib import Path

import pytest

from airgap.transport.rate_limit import LimitedTransport, TokenBucket
from tests.servers.in_memory import MemoryFiles, MemoryTransport


class Clock:
    """Time that passes only while a transport waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    """A clock that begins at 1,000 seconds."""
    return Clock()


@pytest.fixture
def transport(clock: Clock) -> LimitedTransport:
    """A transport that passes 100,000 bytes per second."""
    return LimitedTransport(
        MemoryTransport(MemoryFiles({"there": bytes(1_000_000)})),
        TokenBucket(100_000, clock, clock.wait),
    )


def test_a_download_takes_its_time(transport: LimitedTransport, clock: Clock) -> None:
    transport.get("there", len)

    assert clock.now == pytest.approx(1000 + 10, abs=0.3)


def test_an_upload_is_limited_and_paced(
    transport: LimitedTransport, clock: Clock, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(bytes(500_000))
    counts: list[int] = []

    transport.put("new", tmp_path / "source", 500_000, None, counts.append)

    assert clock.now == pytest.approx(1000 + 5, abs=0.3)
    assert sum(counts) == 500_000


def test_clones_share_the_rate(transport: LimitedTransport, clock: Clock) -> None:
    other = transport.clone()

    transport.get("there", len, 0, 200_000)
    other.get("there", len, 0, 200_000)

    assert clock.now == pytest.approx(1000 + 4, abs=0.3)


def test_what_was_not_used_is_not_saved_up(clock: Clock) -> None:
    rate = TokenBucket(1000, clock, clock.wait)
    rate.take(1)
    clock.now += 1_000_000
    before = clock.now

    rate.take(10_000)

    assert clock.now - before == pytest.approx(10, abs=0.3)


def test_small_files_count_too(transport: LimitedTransport, clock: Clock) -> None:
    transport.publish("new", bytes(300_000))

    assert clock.now == pytest.approx(1000 + 3, abs=0.3)
