"""The environments of a proof: one for all Bentos that have the same packages."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from airgap.flow.environment.check_wheels import estimate_environment
from airgap.flow.environment.create import CreateOptions, create, plan
from airgap.flow.progress import Progress
from airgap.flow.proof.proof_use import ProofUse
from airgap.store.environments import EnvironmentDescription

__all__ = ["Environments"]

_COMPILED: Final = "__pycache__"

_Key = tuple[str, str]
_Listing = frozenset[tuple[str, int, int]]


@dataclass(slots=True)
class Environments:
    """Those that were made so far, by wheelhouse and interpreter.

    A service may have written into its environment. Then the next Bento gets one of its own: what
    is proved must not depend on what another Bento did.
    """

    made: dict[_Key, tuple[Path, _Listing]] = field(default_factory=dict)

    def find_or_make(
        self, tag: str, python: Path | None, use: ProofUse, progress: Progress
    ) -> tuple[Path, EnvironmentDescription]:
        """Return the folder of an environment for a Bento, and what is to run in it.

        What a new one needs on the disk is added to ``use``.

        Raises:
            AirgapError: as ``create``.
            OSError: an environment cannot be read.
        """
        options = CreateOptions(python=python)
        wanted, choice = plan(tag, options)
        key = wanted.wheelhouse, wanted.python
        folder, listing = self.made.get(key, (None, None))
        if folder is not None and listing == frozenset(_list_files(folder)):
            return folder, wanted
        size = estimate_environment(choice.wheelhouse, use.block)
        use.add("making the environment", size, progress)
        folder = create(tag, options, progress).environment.folder
        self.made[key] = folder, frozenset(_list_files(folder))
        return folder, wanted


def _list_files(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Yield path, size and time of change of each file, but for compiled modules."""
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != _COMPILED]
        for name in names:
            path = os.path.join(top, name)  # noqa: PTH118  (tens of thousands of files)
            status = os.lstat(path)
            yield path, status.st_size, status.st_mtime_ns
