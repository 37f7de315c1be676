"""What earlier runs of an import have seen, while its volumes come one by one.

Only a hint: it saves hashing what was staged at every volume. Before anything is installed, every
file that this run has not written from its beginning to its end is hashed (decision 0021).
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airgap.store.install_paths import InstallPath
from airgap.store.staging import staging_folder

__all__ = ["JOURNAL", "VolumeProgress", "VolumeRecord"]

JOURNAL: Final = "seen.json"


@dataclass(frozen=True, slots=True)
class VolumeRecord:
    """Packs by index: those whose chunks are staged, and those that came damaged."""

    staged: frozenset[int] = frozenset()
    damaged: frozenset[int] = frozenset()


class VolumeProgress:
    """The file that remembers, in the staging of the bundle's first store."""

    def __init__(self, place: InstallPath, bundle: str) -> None:
        """Name the file; nothing is read or written yet."""
        self.folder = staging_folder(place, bundle)
        self._path = self.folder / JOURNAL

    def load(self) -> VolumeRecord:
        """Return what it says; nothing if it is not there or not readable."""
        try:
            found = json.loads(self._path.read_bytes())
            return VolumeRecord(_decode_runs(found["staged"]), _decode_runs(found["damaged"]))
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return VolumeRecord()

    def save(self, seen: VolumeRecord) -> None:
        """Remember; call it when what was staged is synced. Raises OSError if the disk refused."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        part.write_text(
            json.dumps({"staged": _encode_runs(seen.staged), "damaged": _encode_runs(seen.damaged)})
        )
        part.replace(self._path)

    def forget(self) -> None:
        """Believe nothing any more: the next run hashes everything."""
        with suppress(OSError):
            self._path.unlink()

    @property
    def recovery(self) -> Path:
        """A depot for packs that parity may need, while others are still to come."""
        return self.folder / "recovery"


def _encode_runs(indexes: frozenset[int]) -> list[list[int]]:
    """Write indexes as runs: first and length."""
    made: list[list[int]] = []
    for one in sorted(indexes):
        if made and sum(made[-1]) == one:
            made[-1][1] += 1
        else:
            made.append([one, 1])
    return made


def _decode_runs(runs: Any) -> frozenset[int]:  # noqa: ANN401  (anything may have been in the file)
    return frozenset(one for first, count in runs for one in range(first, first + count))
