"""Work on several media at the same time: one that fails does not keep the others from finishing.

Each medium has a thread, which has one pack in memory at a time.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from airgap.errors import AirgapError, ConflictError, StorageError
from airgap.flow.progress import Progress

__all__ = ["SideBySide"]

_Work = Callable[[int], None]


class _MediumError(Exception):
    """A medium refused; the reason is the cause."""

    def __init__(self, reason: AirgapError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _StoppedError(Exception):
    """Another thread has ended the command."""


class SideBySide:
    """The media of a command, by their number from 0 on."""

    def __init__(self, folders: Sequence[Path], progress: Progress, *, at_once: bool) -> None:
        """Take the folder of each medium.

        Without ``at_once``, the work is done in order, and the first that refuses ends it: all
        folders are on one disk.
        """
        self._folders = folders
        self.at_once = at_once
        self._progress = progress
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.failed: dict[int, AirgapError] = {}
        """The media that refused, and why. Nothing more is written to them."""

    @property
    def left(self) -> list[int]:
        """The media that have not failed."""
        return [number for number in range(len(self._folders)) if number not in self.failed]

    def run(self, work: _Work) -> None:
        """Do some work for each medium that has not failed, and wait until all are done.

        Raises:
            AirgapError: what ``work`` raises outside of ``writing``; the other threads end soon.
        """
        numbers = self.left
        if not self.at_once:
            for number in numbers:
                work(number)
            return
        with ThreadPoolExecutor(max(1, len(numbers)), "airgap-volume") as pool:
            futures = [pool.submit(self.attempt, number, work) for number in numbers]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                self._stop.set()
                raise

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write to a medium. What it refuses ends the work on this medium alone."""
        if self._stop.is_set():
            raise _StoppedError
        try:
            yield
        except (StorageError, ConflictError) as error:
            if not self.at_once:
                raise
            raise _MediumError(error) from error

    def fail(self, number: int, reason: AirgapError) -> None:
        """Note that a medium has refused, and say so."""
        with self._lock:
            self.failed[number] = reason
            self._progress.note(f"{self._folders[number]} failed: {reason.message}")

    def name_volume(self, number: int) -> None:
        """Show which volume is written, from any thread."""
        with self._lock:
            self._progress.name_item(f"{number + 1} of {len(self._folders)}")

    def advance(self, count: int) -> None:
        """Move the progress display, from any thread."""
        with self._lock:
            self._progress.advance(count)

    def demand_all(self) -> None:
        """Demand that no medium has failed.

        Raises:
            StorageError: some have. It names them, and the volumes that are complete.
        """
        if not self.failed:
            return
        done = [f"volume {number + 1} on {self._folders[number]}" for number in self.left]
        complete = f"complete: {', '.join(done)}" if done else "no volume is complete"
        names = [str(self._folders[number]) for number in sorted(self.failed)]
        raise StorageError(
            f"{', '.join(names)} could not be written; {complete}.",
            "Put a medium that works in its place, and run the same command again: what is complete"
            " is not written again.",
            [error.message for _, error in sorted(self.failed.items())],
        )

    def attempt(self, number: int, work: _Work) -> None:
        """Do some work for one medium; note it if the medium refuses."""
        try:
            work(number)
        except _MediumError as error:
            self.fail(number, error.reason)
        except _StoppedError:
            return
