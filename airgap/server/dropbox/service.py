"""The drop box as a service: sessions in one thread, what they bring in another."""

import logging
import os
import traceback
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from typing import Final

from airgap.disk import locks
from airgap.errors import AirgapError
from airgap.flow.admission import policy
from airgap.server.dropbox.folders import DropFolders, Retention
from airgap.server.dropbox.ftp_control import Box, make_servers, tls_context
from airgap.server.dropbox.passwords import PasswordChecker
from airgap.server.dropbox.settings import DropBoxSettings
from airgap.server.dropbox.throttle import Throttle
from airgap.server.dropbox.upload_names import OpenUploads, Quota
from airgap.server.intake.daemon import only_one
from airgap.server.intake.event_log import EventLog, Tell
from airgap.server.intake.intake import Intake, IntakeOptions, Run
from airgap.server.intake.worker import Worker

__all__ = ["DropBox", "check"]

LOOK_EVERY: Final = 2.0
PATIENCE: Final = 20.0
BEAT: Final = 0.2


def check(settings: DropBoxSettings) -> None:
    """Demand that a drop box with these settings could start, as far as that can be seen.

    Raises:
        ConfigurationError: the certificate is no good, or this machine trusts nobody yet.
    """
    tls_context(settings)
    policy.require_root()


class DropBox:
    """Serves until it is stopped."""

    def __init__(self, settings: DropBoxSettings, tell: Tell, run: Run | None = None) -> None:
        """Listen; sessions begin with ``serve``.

        Raises:
            ConfigurationError: a port, the certificate or this machine's root is no good.
            ConflictError: another process has these folders.
            StorageError: the folders cannot be made.
        """
        check(settings)
        self._lock = only_one(settings.state)
        desk = OpenUploads()
        meters = {user.name: Quota(user.max_bytes, user.max_files) for user in settings.users}
        retention = Retention(settings.keep_packs, settings.keep_unfinished)
        house = DropFolders(settings.state, meters, desk, retention)
        self._journal = EventLog(settings.state, tell)
        self._turn = os.open(settings.state / "working.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._worker = Worker(settings.jobs, (self._turn,))
        self._attendant = Intake(
            house,
            run or self._worker.run,
            self._journal,
            IntakeOptions(settings.hold, settings.settle),
        )
        self._stopping, self._wake, self._asked = Event(), Event(), False
        self._checks = ThreadPoolExecutor(2, thread_name_prefix="passwords")
        self._failure: Exception | None = None
        box = Box(
            settings,
            house,
            desk,
            meters,
            PasswordChecker({user.name: user.password for user in settings.users}),
            self._journal,
            self._wake.set,
            Throttle(settings.login_failures, settings.login_window),
            self._checks,
        )
        self._servers = make_servers(box)
        self._pass_on_log(self._journal)

    @property
    def ports(self) -> list[int]:
        """The ports that are listened at: FTP, and FTPS if there is one."""
        return [server.socket.getsockname()[1] for server in self._servers]

    def stop(self) -> None:
        """Let ``serve`` come to its end; from a signal handler or another thread."""
        self._asked = (
            True  # no Event: a signal handler could find its lock taken, and wait for ever
        )

    def serve(self) -> None:
        """Serve until ``stop``. What is being imported then is ended, and begun again next time.

        Raises:
            AirgapError: a bug has ended the thread that looks at uploads.
        """
        thread = Thread(target=self._attend, name="attendant")
        loop = self._servers[0].ioloop
        self._journal.told("serving", ports=self.ports)
        thread.start()
        try:
            while not (self._asked or self._stopping.is_set()):
                loop.loop(timeout=BEAT, blocking=False)
        finally:
            self._stopping.set()
            self._attendant.stop()
            self._worker.stop()
            self._wake.set()
            loop.close()
            self._checks.shutdown(cancel_futures=True)
            thread.join(PATIENCE)
            self._worker.kill()
            thread.join()
            for descriptor in (self._turn, self._lock):
                os.close(descriptor)
        self._journal.told("stopped")
        if self._failure is not None:
            raise self._failure

    def _attend(self) -> None:
        """Look at uploads whenever there are some, and every few seconds."""
        try:
            if not self._await_turn():
                return
            while not self._stopping.is_set():
                self._wake.clear()
                try:
                    self._attendant.tick()
                except (AirgapError, OSError) as error:  # the disk; not for ever, one hopes
                    self._journal.told("trouble", message=str(error))
                self._wake.wait(LOOK_EVERY)
        except Exception as error:  # noqa: BLE001  (a service that only seems to work is worse)
            self._journal.told("bug", message=traceback.format_exc())
            self._failure = error
            self._stopping.set()

    def _await_turn(self) -> bool:
        """Wait for an import that an earlier, killed drop box has left running."""
        told = False
        while not self._stopping.is_set():
            if locks.try_lock(self._turn):
                return True
            if not told:
                self._journal.told("waiting", message="An earlier import is still at work.")
            told = True
            self._stopping.wait(BEAT)
        return False

    @staticmethod
    def _pass_on_log(journal: EventLog) -> None:
        """Let the library's warnings go where ours go."""
        logger = logging.getLogger("pyftpdlib")
        logger.handlers[:] = [_Told(journal)]
        logger.setLevel(logging.WARNING)
        logger.propagate = False


class _Told(logging.Handler):
    def __init__(self, journal: EventLog) -> None:
        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        self._journal.told("ftp", message=self.format(record))
