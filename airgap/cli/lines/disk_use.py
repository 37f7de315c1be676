"""Lines about the room that a command needs on each file system, and what it has written."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from airgap.cli.output import size_text

if TYPE_CHECKING:
    from airgap.flow.disk_use import Peak
    from airgap.flow.location.location import Location

__all__ = ["peak_lines", "written_lines"]


def peak_lines(peaks: "Sequence[Peak]") -> Iterator[str]:
    """Yield the peak of each file system, and what each step has there."""
    from airgap.flow.disk_use import peak_text

    for peak in peaks:
        yield peak_text(peak)
        for step, (size, most) in peak.steps.items():
            limit = f" (at most {size_text(most)})" if most > size else ""
            yield f"  {step}: {size_text(size)}{limit}"


def written_lines(size: int, location: "Location | None") -> Iterator[str]:
    """Yield how many bytes were written where; nothing of volumes (None), each of which says it."""
    from airgap.flow.disk_use import written_text
    from airgap.flow.location.location import ArchiveFile, LocalDepot, StockArchive

    if isinstance(location, LocalDepot | ArchiveFile | StockArchive):
        yield written_text(size, location.path)
    elif location is not None:
        yield f"{size_text(size)} written to {location}."
