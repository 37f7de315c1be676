"""Lines about the room that a command needs on each file system."""

from collections.abc import Iterator, Sequence

from airgap.cli.output import size_text
from airgap.flow.disk_use import Peak, peak_text

__all__ = ["peak_lines"]


def peak_lines(peaks: Sequence[Peak]) -> Iterator[str]:
    """Yield the peak of each file system, and what each step has there."""
    for peak in peaks:
        yield peak_text(peak)
        for step, (size, most) in peak.steps.items():
            limit = f" (at most {size_text(most)})" if most > size else ""
            yield f"  {step}: {size_text(size)}{limit}"
