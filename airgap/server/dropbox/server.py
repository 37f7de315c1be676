"""The drop box: FTP sessions run in one thread, the intake of what they deliver in another."""

import logging
import os
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from typing import Final

from airgap.disk import locks
from airgap.errors import AirgapError
from airgap.flow.admission import policy
from airgap.sealing.identity_files import read_identities
from airgap.server.dropbox.folders import DropFolders, Retention
from airgap.server.dropbox.listener import make_listeners, make_tls_context
from airgap.server.dropbox.open_uploads import OpenUploads
from airgap.server.dropbox.passwords import PasswordChecker, require_scrypt
from airgap.server.dropbox.quotas import Quota
from airgap.server.dropbox.session_context import SessionContext
from airgap.server.dropbox.settings import DropBoxSettings
from airgap.server.dropbox.throttle import Throttle
from airgap.server.intake.daemon import lock_state
from airgap.server.intake.event_log import EventLog, EventSink
from airgap.server.intake.intake import Intake, IntakeOptions, Runner
from airgap.server.intake.worker import Worker

__all__ = ["DropBox", "check_settings"]

INTAKE_INTERVAL: Final = 2.0
STOP_TIMEOUT: Final = 20.0
LOOP_TIMEOUT: Final = 0.2


def check_settings(settings: DropBoxSettings) -> None:
    """Check, as far as possible without starting, that a drop box could start.

    Raises:
        ConfigurationError: the certificate cannot be used, this machine trusts nobody yet, or it
            cannot check passwords.
    """
    require_scrypt()
    make_tls_context(settings)
    policy.require_root()


class DropBox:
    """A ``Daemon``: serves until it is stopped."""

    def __init__(
        self,
        settings: DropBoxSettings,
        sink: EventSink,
        run: Runner | None = None,
        identities: Sequence[str] = (),
    ) -> None:
        """Listen on all ports; sessions begin with ``serve``. ``run`` replaces the worker.

        ``identities``, files or descriptors as ``fd:N``, open sealed bundles; they are read once.

        Raises:
            ConfigurationError: a port, the certificate or this machine's root cannot be used.
            ConflictError: another process uses these folders.
            StorageError: the folders cannot be created.
        """
        check_settings(settings)
        secrets = read_identities(identities)
        self._lock = lock_state(settings.state)
        uploads = OpenUploads()
        quotas = {user.name: Quota(user.max_bytes, user.max_files) for user in settings.users}
        retention = Retention(settings.keep_packs, settings.keep_unfinished)
        folders = DropFolders(settings.state, quotas, uploads, retention)
        self._events = EventLog(settings.state, sink)
        self._work_lock = os.open(settings.state / "working.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._worker = Worker(settings.jobs, (self._work_lock,), settings.import_seconds, secrets)
        self._intake = Intake(
            folders,
            run or self._worker.run,
            self._events,
            IntakeOptions(settings.hold, settings.settle, settings.keep_unfinished, secrets),
        )
        self._stopping, self._wake, self._stop_requested = Event(), Event(), False
        self._password_pool = ThreadPoolExecutor(2, thread_name_prefix="passwords")
        self._failure: Exception | None = None
        context = SessionContext(
            settings,
            folders,
            uploads,
            quotas,
            PasswordChecker({user.name: user.password for user in settings.users}),
            self._events,
            self._wake.set,
            Throttle(settings.login_failures, settings.login_window),
            self._password_pool,
        )
        self._context = context
        self._listeners = make_listeners(context)
        _redirect_library_log(self._events)

    @property
    def ports(self) -> list[int]:
        """The ports that it listens on: FTP, and FTPS if it is configured."""
        return [listener.socket.getsockname()[1] for listener in self._listeners]

    def stop(self) -> None:
        """Let ``serve`` return; call it from a signal handler or another thread."""
        # Not an Event: the signal may have interrupted a holder of its lock, a deadlock.
        self._stop_requested = True

    def serve(self) -> None:
        """Serve until ``stop``. A running import is then terminated, and restarted next time.

        Raises:
            Exception: a bug has ended the intake thread; this is its exception.
        """
        thread = Thread(target=self._run_intake, name="intake")
        loop = self._listeners[0].ioloop
        self._events.notify("serving", ports=self.ports)
        thread.start()
        try:
            while not (self._stop_requested or self._stopping.is_set()):
                loop.loop(timeout=LOOP_TIMEOUT, blocking=False)
        finally:
            self._stopping.set()
            self._intake.stop()
            self._worker.stop()
            self._wake.set()
            loop.close()
            self._password_pool.shutdown(cancel_futures=True)
            thread.join(STOP_TIMEOUT)
            self._worker.kill()
            thread.join()
            for descriptor in (self._work_lock, self._lock):
                os.close(descriptor)
        self._events.notify("stopped")
        if self._failure is not None:
            raise self._failure

    def _run_intake(self) -> None:
        """Run the intake when an upload has ended, and every few seconds."""
        try:
            if not self._acquire_work_lock():
                return
            while not self._stopping.is_set():
                self._wake.clear()
                if not self._try_tick():
                    self._wake.wait(INTAKE_INTERVAL)
        except Exception as error:  # noqa: BLE001  (better to stop than to seem to work)
            self._events.notify("bug", message=traceback.format_exc())
            self._failure = error
            self._stopping.set()

    def _try_tick(self) -> bool:
        """Run one tick of the intake; tell whether the next one must not wait."""
        try:
            return self._intake.tick()
        except (AirgapError, OSError) as error:  # a disk error, which may pass
            self._events.notify("trouble", message=str(error))
            return False

    def _acquire_work_lock(self) -> bool:
        """Wait for an import that a killed drop box has left running; False if stopped first."""
        notified = False
        while not self._stopping.is_set():
            if locks.try_lock(self._work_lock):
                return True
            if not notified:
                self._events.notify("waiting", message="An earlier import is still running.")
            notified = True
            self._stopping.wait(LOOP_TIMEOUT)
        return False


def _redirect_library_log(events: EventLog) -> None:
    """Report the FTP library's warnings as events."""
    logger = logging.getLogger("pyftpdlib")
    logger.handlers[:] = [_EventHandler(events)]
    logger.setLevel(logging.WARNING)
    logger.propagate = False


class _EventHandler(logging.Handler):
    def __init__(self, events: EventLog) -> None:
        super().__init__()
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        self._events.notify("ftp", message=self.format(record))
