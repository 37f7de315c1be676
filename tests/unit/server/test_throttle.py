"""The throttle of failed logins: per address, and for each guess."""

from airgap.server.dropbox.throttle import MAX_ADDRESSES, Throttle

ADDRESS = "192.0.2.1"


def _fail(throttle: Throttle, address: str, now: float) -> None:
    assert throttle.begin_check(address, now) == "begun"
    throttle.end_check(address, now, failed=True)


def test_an_address_is_blocked_until_its_first_failure_leaves_the_window() -> None:
    throttle = Throttle(3, 60)
    for now in (0, 10, 20):
        assert not throttle.is_blocked("10.0.0.1", now)
        _fail(throttle, "10.0.0.1", now)

    assert throttle.is_blocked("10.0.0.1", 59)
    assert throttle.is_blocked("::ffff:10.0.0.1", 59)
    assert not throttle.is_blocked("10.0.0.2", 59)
    assert not throttle.is_blocked("10.0.0.1", 60)


def test_all_addresses_of_an_ipv6_network_count_together() -> None:
    throttle = Throttle(2, 60)
    _fail(throttle, "2001:db8::1", 0)
    _fail(throttle, "2001:db8::ffff", 0)

    assert throttle.is_blocked("2001:db8::2", 1)
    assert not throttle.is_blocked("2001:db8:0:1::2", 1)


def test_the_throttle_has_a_size_limit() -> None:
    throttle = Throttle(1, 1e9)
    for number in range(MAX_ADDRESSES + 5):
        _fail(throttle, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0)

    assert len(throttle._failures) == MAX_ADDRESSES


def test_guesses_that_are_being_checked_count() -> None:
    throttle = Throttle(3, 60)
    _fail(throttle, ADDRESS, 0)
    assert [throttle.begin_check(ADDRESS, 1) for _ in range(3)] == ["begun", "begun", "wait"]

    throttle.end_check(ADDRESS, 2, failed=True)
    assert throttle.begin_check(ADDRESS, 2) == "wait"
    throttle.end_check(ADDRESS, 2, failed=True)
    assert throttle.begin_check(ADDRESS, 2) == "blocked"


def test_right_passwords_make_room_for_the_next() -> None:
    throttle = Throttle(1, 60)
    assert [throttle.begin_check(ADDRESS, 0) for _ in range(2)] == ["begun", "wait"]
    throttle.end_check(ADDRESS, 0, failed=False)

    assert throttle.begin_check(ADDRESS, 0) == "begun"
    assert not throttle.is_blocked(ADDRESS, 0)


def test_an_old_failure_does_not_count_beside_a_check() -> None:
    throttle = Throttle(2, 60)
    _fail(throttle, ADDRESS, 0)
    _fail(throttle, ADDRESS, 50)

    assert throttle.begin_check(ADDRESS, 61) == "begun"
    assert throttle.begin_check(ADDRESS, 61) == "wait"
