"""Which packs a check reads: all of a shard, or a sample that an auditor can repeat (format §36.3).

Nothing here reads a file, a clock or a random number.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from airgap.format.check_result import MILLION, PackSample
from airgap.format.manifest import Pack
from airgap.format.shard import Shard

__all__ = ["EarlierChecks", "ShardPacks", "choose_packs"]


class EarlierChecks:
    """When packs were last read and found good, by earlier results; times are RFC 3339 texts."""

    def __init__(self) -> None:
        """Know of no result."""
        self._whole: dict[bytes, dict[Shard, str]] = {}
        self._sampled: dict[bytes, str] = {}
        self._failed: dict[bytes, str] = {}

    def add_whole(self, bundles: Iterable[bytes], shard: Shard, began: str) -> None:
        """Add a result that read every pack of these bundles in a shard."""
        for bundle in bundles:
            times = self._whole.setdefault(bundle, {})
            times[shard] = max(times.get(shard, ""), began)

    def add_sample(self, packs: Iterable[bytes], began: str) -> None:
        """Add a result that read these packs."""
        for pack in packs:
            self._sampled[pack] = max(self._sampled.get(pack, ""), began)

    def add_failed(self, packs: Iterable[bytes], began: str) -> None:
        """Add packs that were damaged or missing when a result was made."""
        for pack in packs:
            self._failed[pack] = max(self._failed.get(pack, ""), began)

    def find_time(self, bundle: bytes, pack: bytes) -> str:
        """Return when a pack that this bundle needs was last read; empty if never, or not good."""
        times = self._whole.get(bundle, {})
        read = [began for shard, began in times.items() if shard.takes(pack)]
        last = max([*read, self._sampled.get(pack, "")])
        return last if last > self._failed.get(pack, "") else ""


@dataclass
class ShardPacks:
    """The packs of a shard, each once, however many bundles need it: its size, and when read."""

    shard: Shard
    sizes: dict[bytes, int] = field(default_factory=dict)
    times: dict[bytes, str] = field(default_factory=dict)
    """Of those that an earlier check has read."""

    def add_bundle(
        self, bundle: bytes, packs: Iterable[Pack], earlier: EarlierChecks
    ) -> list[bytes]:
        """Add the packs of a bundle; return those of which another bundle says another size."""
        contradicted = []
        for pack in packs:
            digest = pack.digest
            if not self.shard.takes(digest):
                continue
            if self.sizes.setdefault(digest, pack.size) != pack.size:
                contradicted.append(digest)
            last = earlier.find_time(bundle, digest)
            if last > self.times.get(digest, ""):
                self.times[digest] = last
        return contradicted


def choose_packs(packs: ShardPacks, sample: PackSample | None, since: str) -> list[bytes]:
    """Return the digests of the packs that are read, sorted.

    Args:
        packs: those of the shard.
        sample: how many, and by which seed; None: all.
        since: those that were read after this time are left out; empty: none of them.
    """
    if sample is None:
        return sorted(packs.sizes)
    times = packs.times
    due = [pack for pack in packs.sizes if not since or times.get(pack, "") <= since]
    most = -(-len(packs.sizes) * sample.parts // MILLION)
    seed = sample.seed.encode() + b"\0"
    due.sort(key=lambda pack: (times.get(pack, ""), hashlib.sha256(seed + pack).digest()))
    return sorted(due[:most])
