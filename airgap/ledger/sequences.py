"""The numbers that an exporter gives to the bundles of a channel (format §17.8)."""

from collections.abc import Callable
from pathlib import Path

from airgap.disk import durable, locks, sharing
from airgap.disk.reading import read_if_exists
from airgap.errors import ConfigurationError, CorruptError, UsageError
from airgap.format import ledger as ledger_format
from airgap.format import limits
from airgap.format.ledger import IssuedSequence

__all__ = ["issue_sequence", "read_last", "record_sequence"]


def issue_sequence(
    folder: Path, channel: str, bundle_with: Callable[[int], bytes], on_wait: Callable[[], None]
) -> int:
    """Give a bundle its number in a channel, and record it.

    Args:
        folder: has a file with the last number of each channel.
        channel: the channel's name.
        bundle_with: makes the bundle id from a number. Only the last number is given again, and
            only to the same bundle.
        on_wait: called if another process holds the folder.

    Raises:
        ConfigurationError: the channel's file is damaged.
        OSError: the disk refused.
    """
    sharing.make_own_folder(folder)
    with locks.lock_folder(folder, on_wait):
        last = read_last(folder, channel)
        if last is not None and bundle_with(last.sequence) == last.bundle:
            return last.sequence
        number = 1 if last is None else last.sequence + 1
        if number > limits.INTEGER:
            raise UsageError(f"Channel {channel} has no numbers left.", "Begin another channel.")
        _write(folder, IssuedSequence(channel, number, bundle_with(number)))
        return number


def record_sequence(
    folder: Path, channel: str, sequence: int, bundle: bytes, on_wait: Callable[[], None]
) -> None:
    """Record a number that a person chose, unless a higher one was given before.

    Raises:
        UsageError: it is the last one, and another bundle has it.
        ConfigurationError: the channel's file is damaged.
        OSError: the disk refused.
    """
    sharing.make_own_folder(folder)
    with locks.lock_folder(folder, on_wait):
        last = read_last(folder, channel)
        if last is not None and last.sequence == sequence and last.bundle != bundle:
            raise UsageError(
                f"Number {sequence} of channel {channel} is bundle {last.bundle.hex()}.",
                "Sites refuse a second bundle with the same number: leave --sequence out, or give"
                " a higher one.",
            )
        if last is None or sequence > last.sequence:
            _write(folder, IssuedSequence(channel, sequence, bundle))


def read_last(folder: Path, channel: str) -> IssuedSequence | None:
    """Return the last number given in a channel; None if none was given.

    Raises:
        ConfigurationError: the channel's file is damaged.
        OSError: it cannot be read.
    """
    path = folder / channel
    raw = read_if_exists(path, limits.SMALL_STATE_BYTES)
    if raw is None:
        return None
    try:
        number = ledger_format.decode_issued_sequence(raw)
    except CorruptError as error:
        raise _damaged(path) from error
    if number.channel != channel:
        raise _damaged(path)
    return number


def _write(folder: Path, number: IssuedSequence) -> None:
    mode = sharing.choose_file_mode(folder)
    raw = ledger_format.encode_issued_sequence(number)
    durable.replace_file(folder / number.channel, raw, mode=mode)


def _damaged(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path}, with the channel's last number, is damaged.",
        "Ask a site for its number (`airgap trust show`), remove the file, and export once with"
        " --sequence and the number after that.",
    )
