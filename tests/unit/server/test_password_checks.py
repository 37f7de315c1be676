"""The end of a password check is counted, however it ends."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from airgap.server.dropbox.control import ControlConnection
from airgap.server.dropbox.throttle import Throttle

ADDRESS = "192.0.2.1"


class FullPool:
    def submit(self, *_: object) -> None:
        raise RuntimeError("can't start new thread")


@pytest.fixture
def connection() -> ControlConnection:
    connection = ControlConnection.__new__(ControlConnection)
    context: Any = SimpleNamespace(
        throttle=Throttle(2, 60), password_pool=FullPool(), passwords=SimpleNamespace(check=None)
    )
    for name, value in {"context": context, "remote_ip": ADDRESS, "username": "ann"}.items():
        setattr(connection, name, value)
    return connection


def test_a_check_that_ends_with_an_error_counts_as_failed(
    connection: ControlConnection,
) -> None:
    check: Future[bool] = Future()
    check.set_exception(MemoryError())
    throttle = connection.context.throttle
    assert throttle.begin_check(ADDRESS, 0) == "begun"

    with pytest.raises(MemoryError):
        connection._poll_password_check(check)

    assert not throttle._checking
    assert len(throttle._failures[ADDRESS]) == 1


def test_a_check_that_cannot_begin_is_not_counted_for_ever(connection: ControlConnection) -> None:
    for _ in range(5):
        with pytest.raises(RuntimeError, match="thread"):
            connection._begin_password_check("a guess")

    assert not connection.context.throttle._checking
    assert not connection.context.throttle._failures
