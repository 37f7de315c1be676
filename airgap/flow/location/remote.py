"""Places that are not local: told from those that are, and opened."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from airgap.carrier.archive import ArchiveReader
from airgap.carrier.depot import Depot, DepotOptions
from airgap.carrier.remote_archive import open_stream
from airgap.carrier.stock.archive import form_of_name
from airgap.errors import ConfigurationError, UsageError
from airgap.flow.location import named_remotes
from airgap.flow.location.credentials import Access, log_in
from airgap.format import layout
from airgap.state import upload_marks
from airgap.transport import url
from airgap.transport.open_transport import LOCAL_ONLY, open_transport
from airgap.transport.port import Transport
from airgap.transport.rate_limit import LimitedTransport, TokenBucket
from airgap.transport.retry import RetryingTransport, RetryPolicy
from airgap.transport.url import RemoteUrl

__all__ = ["CONNECTIONS", "SUFFIX", "RemoteLocation", "is_remote", "local_path", "look"]

SUFFIX: Final = layout.ARCHIVE_SUFFIX
_STOCK: Final = (".bento", ".bentomodel")
CONNECTIONS: Final = 4
_IN_CLEAR: Final = "ftp:// is not encrypted: names, sizes and the password travel in the clear."


@dataclass(frozen=True, slots=True)
class RemoteLocation:
    """A place, and how it is reached."""

    place: RemoteUrl
    settings: Mapping[str, str]
    access: Access

    @property
    def is_file(self) -> bool:
        """Whether it is a single ``.airgap`` file, by its name."""
        return self.place.path.endswith(SUFFIX)

    @property
    def file_name(self) -> str:
        """The name of the single file in its folder."""
        return self.place.path.rpartition("/")[2]

    def __str__(self) -> str:
        """Write it for messages, without a password."""
        return f"{self.place}{f'#{self.place.bundle}' if self.place.bundle else ''}"

    def refuse_other_formats(self, format_name: str | None = None) -> None:
        """Refuse archives for stock BentoML: they travel as files, by other programs.

        Raises:
            UsageError: it is one, by what was said or by its name.
        """
        if format_name or form_of_name(self.file_name) or self.file_name.endswith(_STOCK):
            raise UsageError(
                f"{self} would be an archive for stock BentoML, and only depots and .airgap files"
                " are written and read elsewhere.",
                "Use a local file and copy that with its manifest, or name a depot.",
            )

    def open_depot(self) -> Depot:
        """Open it as a depot.

        Raises:
            ConfigurationError: this machine lacks what it needs for that (password, library).
        """
        access = self.access
        work = DepotOptions(
            jobs=access.jobs or self._number("jobs") or CONNECTIONS,
            spool=access.spool,
            mark=upload_marks.hold_mark,
            verify_after_write=access.verify_after_write,
        )
        return Depot(self._transport(self.place), work)

    def open_folder(self) -> Transport:
        """Open the folder that the single file is in."""
        above, slash, _ = self.place.path.rpartition("/")
        return self._transport(replace(self.place, path=above or slash))

    def open_archive(self) -> ArchiveReader:
        """Open the single file for reading."""
        return ArchiveReader(open_stream(self.open_folder(), self.file_name), str(self))

    def _transport(self, place: RemoteUrl) -> Transport:
        """Open a transport that tries again and keeps to the rate."""
        access = self.access
        refused = sorted(LOCAL_ONLY & place.options.keys())
        if refused:
            raise UsageError(
                f"{refused[0]} may not be said in a URL: it runs programs.",
                "Say it for a named remote (airgap remote add).",
            )
        own = {key: self.settings[key] for key in self.settings if key not in named_remotes.OWN}
        options = {**own, **place.options, **access.options}
        if place.scheme == "ftp":
            access.tell(_IN_CLEAR)
        opened = open_transport(place, log_in(place, access, self.settings), options)
        rate = access.limit_rate or self._number("limit_rate")
        if rate:
            opened = LimitedTransport(opened, TokenBucket(rate))
        patience = RetryPolicy(note=access.tell)
        if access.tries:
            patience = replace(patience, tries=access.tries)
        return RetryingTransport(opened, patience)

    def _number(self, name: str) -> int | None:
        value = self.settings.get(name)
        if value is None:
            return None
        if not value.isdecimal() or not int(value):
            raise ConfigurationError(f"{name} of a remote is no number: {value!r:.50}.", "Mend it.")
        return int(value)


def is_remote(text: str) -> bool:
    """Tell whether a place is a named remote or a URL other than ``file://``."""
    return text.startswith(named_remotes.MARK) or (
        url.is_url(text) and not text.lower().startswith("file://")
    )


def local_path(text: str) -> str:
    """Return a local place without its ``file://``; everything else as it is."""
    if not text.lower().startswith("file://"):
        return text
    place = url.parse(text)
    return place.path + (f"#{place.bundle}" if place.bundle else "")


def look(text: str, access: Access) -> RemoteLocation:
    """Find out what a place is and how it is reached; nothing is opened.

    Raises:
        UsageError, TransportError, MissingError: as ``remotes.locate``.
    """
    return RemoteLocation(*named_remotes.locate(text), access)
