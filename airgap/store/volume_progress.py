"""What earlier runs of an import have seen, while its volumes arrive one by one.

Only a hint: it saves hashing the staged files at every volume. Before anything is installed, every
file that this run has not written from beginning to end is hashed (decision 0021).
"""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airgap.disk.permissions import set_mode
from airgap.disk.reading import read_small
from airgap.format import limits
from airgap.store.install_paths import InstallPath
from airgap.store.modes import modes_of
from airgap.store.private_folder import make_private_folder
from airgap.store.staging import STAGING, staging_folder

__all__ = ["JOURNAL", "VolumeProgress", "VolumeRecord"]

JOURNAL: Final = "seen.json"
_RECORD_BYTES: Final = 2 * 10 * limits.PACKS
"""Enough for runs of one pack each: ``[999998, 1], `` has 13 bytes, and every second is one."""


@dataclass(frozen=True, slots=True)
class VolumeRecord:
    """Indexes of packs: those whose chunks are staged, and those that were damaged."""

    staged: frozenset[int] = frozenset()
    damaged: frozenset[int] = frozenset()


class VolumeProgress:
    """A file with the record, in the staging of the bundle's first store."""

    def __init__(self, target: InstallPath, bundle: str) -> None:
        """Name the file; nothing is read or written yet."""
        self._store = target.store
        self.folder = staging_folder(target, bundle)
        self._path = self.folder / JOURNAL

    def load(self) -> VolumeRecord:
        """Return the record; an empty one if the file does not exist or is malformed."""
        try:
            record = json.loads(read_small(self._path, _RECORD_BYTES, os.O_NOFOLLOW))
            return VolumeRecord(_decode_runs(record["staged"]), _decode_runs(record["damaged"]))
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return VolumeRecord()

    def save(self, record: VolumeRecord) -> None:
        """Write the record; the staged files must be synced before. Raises OSError."""
        make_private_folder(self._store, STAGING, self.folder.name)
        part = self._path.with_suffix(".part")
        part.unlink(missing_ok=True)  # another operator's, who was interrupted
        part.write_text(
            json.dumps(
                {"staged": _encode_runs(record.staged), "damaged": _encode_runs(record.damaged)}
            )
        )
        set_mode(part, modes_of(self._store).file)
        part.replace(self._path)

    def forget(self) -> None:
        """Remove the record, so that the next run hashes everything."""
        with suppress(OSError):
            self._path.unlink()

    @property
    def recovery(self) -> Path:
        """A depot for packs that parity may need while others are missing."""
        return self.folder / "recovery"


def _encode_runs(indexes: frozenset[int]) -> list[list[int]]:
    """Write indexes as runs: first and length."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and sum(runs[-1]) == index:
            runs[-1][1] += 1
        else:
            runs.append([index, 1])
    return runs


def _decode_runs(runs: Any) -> frozenset[int]:  # noqa: ANN401  (anything may have been in the file)
    """Read runs, which ascend: so a short text cannot stand for more indexes than packs exist.

    Raises:
        ValueError, TypeError: they are not what ``_encode_runs`` writes.
    """
    indexes: set[int] = set()
    least = 0
    for first, count in runs:
        if not least <= first <= first + count <= limits.PACKS:
            raise ValueError("not a run of packs")
        indexes.update(range(first, first + count))
        least = first + count
    return frozenset(indexes)
