"""Whether the clock may be believed that says when a bundle may go (format §35.5, §35.6)."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final

from airgap.errors import PolicyError
from airgap.flow.admission.history import Side
from airgap.flow.retention.own_ledger import read_last_time
from airgap.flow.retention.records import ArchiveRecords
from airgap.format.root import Root
from airgap.signing.records import count_record_signers
from airgap.times import format_time

__all__ = ["refuse_early_clock", "refuse_late_clock"]

_CLOCKS_DIFFER: Final = 86_400
"""How many seconds the clocks of two machines may differ."""
_LONG_SILENCE: Final = 366 * 86_400
"""How far the clock may be after everything that is known, in seconds (format §35.6)."""
_SIDES: Final[tuple[Side, ...]] = ("importing", "exporting")


def refuse_early_clock(records: ArchiveRecords, root: Root, now: int) -> None:
    """Refuse a clock that is before what is known: a retention would end too early.

    Args:
        records: those of the archive.
        root: the site's, which is pinned.
        now: format §17.2, in seconds since 1970.

    Raises:
        PolicyError: it is more than a day before.
    """
    latest = max(*_list_own_times(root), _find_signed_time(records, root, now + _CLOCKS_DIFFER))
    if latest > now + _CLOCKS_DIFFER:
        raise PolicyError(
            f"The clock says {format_time(now)}, and the last that this machine and the archive"
            f" know of is from {format_time(latest)}: what is added would be let go too early.",
            "Set the clock. Nothing was written.",
        )


def refuse_late_clock(records: ArchiveRecords, root: Root, now: int, today: date | None) -> None:
    """Refuse a clock that is far after everything that is known, unless a person says the day.

    Raises:
        PolicyError: it is, and nobody says so, or says another day.
    """
    last = max(_list_own_times(root))
    if now - last > _LONG_SILENCE:
        last = max(last, min(_find_signed_time(records, root), now))
    day = datetime.fromisoformat(format_time(now)).date()
    if today is not None and abs(today - day) > timedelta(days=1):
        raise PolicyError(
            f"The clock says {day}, and you say {today}.", "Set the clock. Nothing was written."
        )
    if now - last > _LONG_SILENCE and today is None:
        raise PolicyError(
            f"The clock says {day}, and the last that this machine and the archive know of is from"
            f" {format_time(last)}: the clock may have been set forward.",
            f"If it is right, say so with --today {day}. Nothing was written.",
        )


def _find_signed_time(records: ArchiveRecords, root: Root, after: int = 0) -> int:
    """Return the latest time after another of a record that a key of the root signed; 0 for none.

    Anybody who can write into an archive can date a file.
    """
    since = format_time(after)
    later = [
        one for stored in records.bundles.values() for one in stored if one.record.time > since
    ]
    for one in sorted(later, key=lambda stored: stored.record.time, reverse=True):
        if any(count_record_signers(one.envelopes, root).values()):
            return int(datetime.fromisoformat(one.record.time).timestamp())
    return 0


def _list_own_times(root: Root) -> Iterator[int]:
    """Yield when the root was made, and the times of the last entries of this machine's ledgers."""
    yield root.created_at or 0
    for side in _SIDES:
        yield read_last_time(root.site, side) or 0
