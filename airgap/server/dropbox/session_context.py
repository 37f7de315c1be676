"""What all FTP sessions of a drop box share."""

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from airgap.server.dropbox.folders import DropFolders
from airgap.server.dropbox.open_uploads import OpenUploads
from airgap.server.dropbox.passwords import PasswordChecker
from airgap.server.dropbox.quotas import Quota
from airgap.server.dropbox.settings import DropBoxSettings
from airgap.server.dropbox.throttle import Throttle
from airgap.server.intake.event_log import EventLog

__all__ = ["SessionContext"]


@dataclass(slots=True)
class SessionContext:
    """Settings and state of a drop box. ``wake_intake`` makes the intake look at uploads now.

    ``password_pool`` runs password checks; ``logged_in`` counts connections per user.
    """

    settings: DropBoxSettings
    folders: DropFolders
    uploads: OpenUploads
    quotas: Mapping[str, Quota]
    passwords: PasswordChecker
    events: EventLog
    wake_intake: Callable[[], None]
    throttle: Throttle
    password_pool: ThreadPoolExecutor
    logged_in: Counter[str] = field(default_factory=Counter)
