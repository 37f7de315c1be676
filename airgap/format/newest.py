"""Which of several bundles is the newest: a number counts within its channel only (format §8)."""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from airgap.format.manifest import Manifest

__all__ = ["Age", "choose_newest", "newest_first", "read_age"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Age:
    """What tells of two bundles which one is newer. ``created_at`` is in seconds since 1970.

    ``is_part`` tells that a bundle completes another: it is older than all that do not.
    """

    bundle: str
    channel: str
    sequence: int
    created_at: int
    is_part: bool = False

    @property
    def within_channel(self) -> tuple[int, int, str]:
        """The sort key among the bundles of one channel; the newest has the lowest."""
        return -self.sequence, -self.created_at, self.bundle

    @property
    def across_channels(self) -> tuple[bool, int, str]:
        """The sort key among the newest bundles of all channels; the newest has the lowest."""
        return self.is_part, -self.created_at, self.bundle


def read_age(bundle: str, manifest: Manifest) -> Age:
    """Return what a bundle's manifest says of its age."""
    is_part = manifest.completes is not None
    return Age(bundle, manifest.channel, manifest.sequence, manifest.created_at, is_part)


def choose_newest(candidates: Iterable[T], age: Callable[[T], Age]) -> T | None:
    """Return the newest of some bundles, of which one per channel is kept; None if there are none.

    ``age`` tells the age of each.
    """
    newest: dict[tuple[str, bool], T] = {}
    for candidate in candidates:
        key = age(candidate).channel, age(candidate).is_part
        if key not in newest or age(candidate).within_channel < age(newest[key]).within_channel:
            newest[key] = candidate
    return min(newest.values(), key=lambda kept: age(kept).across_channels, default=None)


def newest_first(bundles: Iterable[T], age: Callable[[T], Age]) -> list[T]:
    """Sort bundles from the newest to the oldest; ``age`` tells the age of each."""
    channels: dict[tuple[str, bool], list[T]] = {}
    for bundle in sorted(bundles, key=lambda bundle: age(bundle).within_channel):
        channels.setdefault((age(bundle).channel, age(bundle).is_part), []).append(bundle)
    # Takes the newest of all channels' first bundles again and again.
    return list(heapq.merge(*channels.values(), key=lambda bundle: age(bundle).across_channels))
