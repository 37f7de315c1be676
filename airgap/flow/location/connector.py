"""What is on a server is opened here: with these credentials, on these terms."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airgap.carrier.archive import ArchiveReader
from airgap.carrier.depot import Depot, DepotOptions
from airgap.errors import ConfigurationError
from airgap.flow.location import named_remotes
from airgap.flow.location.credentials import Credentials, log_in
from airgap.flow.location.location import (
    LocalDepot,
    RemoteArchive,
    RemoteDepot,
    RemoteStockArchive,
)
from airgap.flow.progress import Progress, Silent
from airgap.flow.site import make_permit, refuse_forbidden_options
from airgap.printable import quote
from airgap.state import upload_marks
from airgap.state.digest_cache import NO_CACHE, DigestCache
from airgap.transport.folder import FolderTransport
from airgap.transport.open_transport import open_transport
from airgap.transport.port import Transport
from airgap.transport.rate_limit import LimitedTransport, TokenBucket
from airgap.transport.retry import RetryingTransport, RetryPolicy
from airgap.transport.url import RemoteUrl

if TYPE_CHECKING:
    from airgap.carrier.stock.remote import RemoteStockReader

__all__ = ["CONNECTIONS", "LOCAL", "Connector", "TransferOptions"]

CONNECTIONS: Final = 4
_IN_CLEAR: Final = "ftp:// is not encrypted: names, sizes and the password travel in the clear."


@dataclass(frozen=True, slots=True)
class TransferOptions:
    """How bytes are moved to and from a server."""

    options: Mapping[str, str] = field(default_factory=dict)
    """Options of the protocol; they override those of the URL and of the named remote."""
    jobs: int | None = None
    """Parallel connections; None is four, or the value of the named remote."""
    limit_rate: int | None = None
    """Bytes per second for all connections together."""
    spool: Path | None = None
    """The folder for temporary packs and files; None is the system's temporary folder."""
    verify_after_write: bool = False
    room: int = 0
    """Bytes that a ``.airgap`` file leaves for later attachments, beside those for signatures."""
    reread: bool = False
    """Whether to read what has not changed since it was read; see ``airgap.state.digest_cache``."""
    tries: int | None = None
    """Attempts without progress before giving up; None is the default of ``RetryPolicy``."""


@dataclass(frozen=True, slots=True)
class Connector:
    """Opens remote locations. Warnings, and each new try of a connection, go to ``progress``."""

    credentials: Credentials = field(default_factory=Credentials)
    transfer: TransferOptions = field(default_factory=TransferOptions)
    progress: Progress = field(default_factory=Silent)
    cache: DigestCache = NO_CACHE
    """What need not be read again."""

    def open_depot(self, location: LocalDepot | RemoteDepot) -> Depot:
        """Open a depot as a whole, in a folder of this machine or on a server.

        Raises:
            UsageError: an option is not one of the scheme.
            ConfigurationError: this machine lacks what it needs for that (password, library).
        """
        if isinstance(location, LocalDepot):
            work = DepotOptions(
                jobs=self.transfer.jobs or CONNECTIONS,
                mark=upload_marks.hold_mark,
                caches_manifests=False,
            )
            return Depot(FolderTransport(location.path), work)
        jobs = self.count_jobs(location)
        work = DepotOptions(
            jobs=jobs,
            spool=self.transfer.spool,
            mark=upload_marks.hold_mark,
            verify_after_write=self.transfer.verify_after_write,
        )
        return Depot(self._open_transport(location.url, location.settings), work)

    def count_jobs(self, location: RemoteDepot) -> int:
        """Return how many packs are on their way at a time. Raises ConfigurationError."""
        return self.transfer.jobs or _number(location.settings, "jobs") or CONNECTIONS

    def open_folder(self, location: RemoteArchive | RemoteStockArchive) -> Transport:
        """Open the folder that a file is in. Raises as ``open_depot``."""
        return self._open_transport(location.folder_url, location.settings)

    def open_archive(self, location: RemoteArchive) -> ArchiveReader:
        """Open a ``.airgap`` file for reading. Raises as ``open_depot``."""
        from airgap.carrier.remote_archive import open_stream

        stream = open_stream(self.open_folder(location), location.file_name)
        return ArchiveReader(stream, str(location))

    def open_stock_archive(self, location: RemoteStockArchive) -> "RemoteStockReader":
        """Open an archive for stock BentoML for reading. Raises as ``open_depot``."""
        from airgap.carrier.stock.remote import RemoteStockReader

        folder, spool = self.open_folder(location), self.transfer.spool
        return RemoteStockReader(folder, location.file_name, location.form, str(location), spool)

    def _open_transport(self, url: RemoteUrl, settings: Mapping[str, str]) -> Transport:
        """Open a transport that tries again and keeps to the rate."""
        own = {key: settings[key] for key in settings if key not in named_remotes.OWN}
        options = {**own, **url.options, **self.transfer.options}
        refuse_forbidden_options(options)
        note = self.progress.note
        if url.scheme == "ftp":
            note(_IN_CLEAR)
        login = replace(log_in(url, self.credentials, settings, note), on_wait=note)
        transport = open_transport(url, login, options, make_permit())
        rate = self.transfer.limit_rate or _number(settings, "limit_rate")
        if rate:
            transport = LimitedTransport(transport, TokenBucket(rate))
        policy = RetryPolicy(note=note)
        if self.transfer.tries:
            policy = replace(policy, tries=self.transfer.tries)
        return RetryingTransport(transport, policy)


LOCAL: Final = Connector()
"""For locations of this machine, and servers that ask for no password."""


def _number(settings: Mapping[str, str], name: str) -> int | None:
    value = settings.get(name)
    if value is None:
        return None
    if not value.isdecimal() or not int(value):
        raise ConfigurationError(
            f"{name} of a remote is not a number: {quote(value)}.", "Fix it in the config file."
        )
    return int(value)
