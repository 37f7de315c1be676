"""Progress of a use case. The command line, servers and tests implement it."""

from typing import Protocol

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """Receives progress and notes, from the thread that runs the use case."""

    def begin(self, what: str, total: int) -> None:
        """A stage of ``total`` bytes begins."""
        ...

    def advance(self, count: int) -> None:
        """``count`` more bytes of the stage are done."""
        ...

    def end(self) -> None:
        """The stage has ended."""
        ...

    def note(self, text: str) -> None:
        """Report something that people should know."""
        ...


class Silent:
    """Reports nothing."""

    def begin(self, what: str, total: int) -> None:
        """Ignore it."""

    def advance(self, count: int) -> None:
        """Ignore it."""

    def end(self) -> None:
        """Ignore it."""

    def note(self, text: str) -> None:
        """Ignore it."""
