"""What a mirror has that not every mirror has: an inbox, and a log of requests."""

from dataclasses import dataclass

from airgap.flow.inbox.pushes import Pushes
from airgap.flow.serving.request_log import RequestLog

__all__ = ["Extras"]


@dataclass(frozen=True, slots=True)
class Extras:
    """None stands for what this mirror does without."""

    pushes: Pushes | None = None
    log: RequestLog | None = None
