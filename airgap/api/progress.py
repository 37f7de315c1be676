"""Progress for callers of the Python API."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from airgap.api.callbacks import CallbackFailure
from airgap.flow.progress import Progress, Silent

__all__ = ["ProgressCallback", "ProgressEvent", "make_progress"]


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """Something that happened while a function of the API works.

    A stage has one ``begin``, any number of ``advance`` and one ``end``, also if it fails. Stages
    do not overlap. A ``note`` may come at any time.
    """

    kind: Literal["begin", "advance", "end", "note"]
    """What happened."""
    stage: str
    """The name of the stage, such as ``exporting`` or the location that is read; of a note outside
    of stages: empty."""
    done: int
    """Bytes of the stage that are done."""
    total: int
    """Bytes of the stage; an estimate in some stages, so ``done`` may end below or above it."""
    text: str = ""
    """Of a ``note``: a sentence that people should read."""
    item: str = ""
    """The item that the bytes are of, such as ``model ranker:v1``; empty if that is not known."""


@runtime_checkable
class ProgressCallback(Protocol):
    """Is called with each event, in the thread that called the function of the API.

    If it raises, the work stops as with Ctrl-C: nothing half is installed or published, a rerun
    goes on from there, and the exception leaves the function of the API unchanged.
    """

    def __call__(self, event: ProgressEvent, /) -> None:
        """Take an event; it should return quickly, because the work waits."""
        ...


def make_progress(callback: ProgressCallback | None) -> Progress:
    """Return what reports to a callback, if there is one."""
    return Silent() if callback is None else _Reporter(callback)


class _Reporter:
    """Turns what a use case reports into events."""

    def __init__(self, callback: ProgressCallback) -> None:
        self._callback: ProgressCallback | None = callback
        self._stage, self._done, self._total = "", 0, 0
        self._item = ""

    def begin(self, what: str, total: int) -> None:
        """Report that a stage begins."""
        self._stage, self._done, self._total, self._item = what, 0, total, ""
        self._report("begin")

    def name_item(self, name: str) -> None:
        """Take the item for what follows."""
        self._item = name

    def advance(self, count: int) -> None:
        """Report more bytes."""
        self._done += count
        self._report("advance")

    def end(self) -> None:
        """Report that the stage has ended."""
        self._report("end")
        self._stage, self._done, self._total, self._item = "", 0, 0, ""

    def note(self, text: str) -> None:
        """Report a note."""
        self._report("note", text)

    def _report(self, kind: Literal["begin", "advance", "end", "note"], text: str = "") -> None:
        if self._callback is None:
            return
        try:
            self._callback(
                ProgressEvent(kind, self._stage, self._done, self._total, text, self._item)
            )
        except BaseException as error:
            self._callback = None  # the stage is being left: it hears of no end
            raise CallbackFailure(error) from error
