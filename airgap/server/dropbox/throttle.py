"""Who has failed to log in too often is not listened to for a while."""

import ipaddress
from collections import OrderedDict, deque
from typing import Final

__all__ = ["Throttle"]

MOST_ADDRESSES: Final = 10_000
_NETWORK_V6: Final = 64  # what one customer gets: an attacker has all of its addresses


class Throttle:
    """Counts failures per address (IPv6: per /64) within a window. Times in seconds."""

    def __init__(self, most: int, window: float) -> None:
        """Block after ``most`` failures within ``window``, until the first of them is that old."""
        self._most = most
        self._window = window
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def note(self, address: str, now: float) -> None:
        """Count a failure. The addresses that failed longest ago are forgotten first."""
        network = _network(address)
        times = self._failures.setdefault(network, deque(maxlen=self._most))
        times.append(now)
        self._failures.move_to_end(network)
        while len(self._failures) > MOST_ADDRESSES:
            self._failures.popitem(last=False)

    def is_blocked(self, address: str, now: float) -> bool:
        """Tell whether an address has to wait."""
        times = self._failures.get(_network(address))
        return times is not None and len(times) == self._most and now - times[0] < self._window


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found), _NETWORK_V6), strict=False))
    return str(found)
