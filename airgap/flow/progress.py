"""How a flow tells people how far it is. The command line and tests bring their own."""

from typing import Protocol

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """Told from the thread that runs the flow."""

    def begin(self, what: str, total: int) -> None:
        """A stage of ``total`` bytes begins."""
        ...

    def advance(self, count: int) -> None:
        """``count`` more bytes of the stage are done."""
        ...

    def end(self) -> None:
        """The stage is over."""
        ...

    def note(self, text: str) -> None:
        """Something that people should know."""
        ...


class Silent:
    """Tells nobody."""

    def begin(self, what: str, total: int) -> None:
        """Ignore it."""

    def advance(self, count: int) -> None:
        """Ignore it."""

    def end(self) -> None:
        """Ignore it."""

    def note(self, text: str) -> None:
        """Ignore it."""
