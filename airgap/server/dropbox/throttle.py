"""Throttles addresses after repeated failed logins."""

import ipaddress
from collections import Counter, OrderedDict, deque
from typing import Final, Literal

__all__ = ["Throttle"]

MAX_ADDRESSES: Final = 10_000
_CUSTOMER_PREFIX_V6: Final = 64  # an attacker usually has all addresses of a /64


class Throttle:
    """Counts failed logins per address (IPv6: per /64) within a window. Times in seconds.

    A guess that is being checked counts as a failure until its end is known: otherwise an address
    could have as many guesses checked at once as it has connections.
    """

    def __init__(self, max_failures: int, window: float) -> None:
        """Block an address while its last ``max_failures`` failures are within ``window``."""
        self._max_failures = max_failures
        self._window = window
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._checking: Counter[str] = Counter()

    def begin_check(self, address: str, now: float) -> Literal["begun", "wait", "blocked"]:
        """Ask whether a password from an address may be checked now; if so, call ``end_check``."""
        if self.is_blocked(address, now):
            return "blocked"
        network = _find_network(address)
        recent = sum(now - time < self._window for time in self._failures.get(network, ()))
        if recent + self._checking[network] >= self._max_failures:
            return "wait"
        self._checking[network] += 1
        return "begun"

    def end_check(self, address: str, now: float, *, failed: bool) -> None:
        """Count how a check has ended that ``begin_check`` permitted."""
        network = _find_network(address)
        self._checking[network] -= 1
        if not self._checking[network]:
            del self._checking[network]
        if failed:
            self._record_failure(network, now)

    def _record_failure(self, network: str, now: float) -> None:
        """Count a failure. Beyond ``MAX_ADDRESSES``, forget the one that failed longest ago."""
        times = self._failures.setdefault(network, deque(maxlen=self._max_failures))
        times.append(now)
        self._failures.move_to_end(network)
        while len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)

    def is_blocked(self, address: str, now: float) -> bool:
        """Tell whether an address must wait."""
        times = self._failures.get(_find_network(address))
        if times is None or len(times) < self._max_failures:
            return False
        return now - times[0] < self._window


def _find_network(address: str) -> str:
    """Return the key to count an address under."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed), _CUSTOMER_PREFIX_V6), strict=False))
    return str(parsed)
