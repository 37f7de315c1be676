"""What a server locks, compared with what the records of an archive demand (format §37)."""

import random
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

from airgap.carrier.depot import Depot
from airgap.errors import MissingError
from airgap.flow.archive.demands import Demands
from airgap.flow.doctor.finding import Finding, note, ok, problem
from airgap.printable import count_text, make_printable
from airgap.times import format_time
from airgap.transport.connections import run_in_parallel
from airgap.transport.object_lock import (
    LockSettings,
    ObjectLock,
    ObjectRetention,
    Version,
    iterate_versions,
)
from airgap.transport.port import Transport

__all__ = ["LockedFile", "check_locks", "report_locks", "report_settings", "report_versions"]

_SLACK_SECONDS: Final = 24 * 3600
"""What ends so much earlier than demanded is not reported (format §37.3)."""
_SHOWN: Final = 3
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class LockedFile:
    """How one file is locked, and until when it must stay by the records; 0 is not at all."""

    name: str
    retention: ObjectRetention | None
    demanded: int


def check_locks(
    depot: Depot, demands: Demands, sample: int, now: int, where: str
) -> Iterator[Finding]:
    """Ask the server about the bucket, all versions, and the lock of each file, or of a sample.

    Args:
        depot: the archive, on a server that has locks.
        demands: until when each file must stay.
        sample: how many files of a million are asked about, drawn anew each time.
        now: seconds since 1970.
        where: the archive as the person named it, for commands.

    Raises:
        TransportError: the server does not say.
    """
    lock = cast("ObjectLock", depot.transport.object_lock)
    settings = lock.read_settings()
    yield from report_settings(depot.location, settings)
    if not settings.enabled:
        return
    versions: dict[str, list[Version]] = {}
    for version in iterate_versions(lock, ""):
        versions.setdefault(version.name, []).append(version)
    yield from report_versions(versions)
    visible = sorted(name for name, found in versions.items() if found[0].size is not None)
    count = -(-len(visible) * sample // _MILLION)
    chosen = (
        sorted(random.SystemRandom().sample(visible, count)) if count < len(visible) else visible
    )
    if len(chosen) < len(visible):
        yield note(
            "locks",
            f"Only a sample was asked about: {len(chosen):,} of {len(visible):,} files.",
            "Run it without --sample to ask about all.",
        )
    retentions = run_in_parallel(
        depot.transport, depot.work.jobs, [partial(_read_retention, name) for name in chosen]
    )
    files = [
        LockedFile(name, retention, demands.ends.get(name, 0))
        for name, retention in zip(chosen, retentions, strict=True)
    ]
    yield from report_locks(where, files, now)
    yield from _report_holds(demands)


def report_settings(location: str, settings: LockSettings) -> Iterator[Finding]:
    """Report how a bucket is set up."""
    if not settings.enabled or not settings.versioning:
        yield problem(
            "bucket",
            f"The bucket of {location} has no object lock: its account can delete everything.",
            "Make a bucket with object lock, copy the archive there with the option lock, and"
            " use that one.",
        )
        return
    if settings.default is None:
        yield ok(
            "bucket",
            f"The bucket of {location} has object lock, and no default retention: each writer"
            " needs the option lock.",
        )
        return
    mode, days = settings.default
    text = f"The bucket of {location} locks what is written for {days:,} days ({mode})."
    if mode == "GOVERNANCE":
        yield note(
            "bucket",
            text,
            "In this mode, accounts with s3:BypassGovernanceRetention can delete everything. Set"
            " the default to COMPLIANCE.",
        )
    else:
        yield ok("bucket", text)


def report_versions(versions: Mapping[str, Sequence[Version]]) -> Iterator[Finding]:
    """Report files that are hidden, and names with more than one version.

    Each sequence has the latest version first.
    """
    hidden = {name: found for name, found in versions.items() if found[0].size is None}
    for name, found in list(hidden.items())[:_SHOWN]:
        below = [version for version in found if version.size is not None]
        if below:
            yield problem(
                "versions",
                f"{name} is hidden by a delete marker of {found[0].modified}; {_count(below)} below"
                f" it {'is' if len(below) == 1 else 'are'} still there.",
                f"Find out who deleted it. To have it again, remove the marker: aws s3api"
                f" delete-object --bucket BUCKET --key {_quote(f'PREFIX/{name}')} --version-id"
                f" {_quote(found[0].id)}",
            )
    if len(hidden) > _SHOWN:
        yield problem(
            "versions",
            f"{len(hidden):,} files are hidden by delete markers; the first {_SHOWN} are above.",
            "List all: aws s3api list-object-versions --bucket BUCKET --prefix PREFIX/",
        )
    yield from _report_several(
        {
            name: [version for version in found if version.size is not None]
            for name, found in versions.items()
        }
    )
    if not hidden and all(len(found) == 1 for found in versions.values()):
        yield ok("versions", f"Each of {len(versions):,} files has one version; none is hidden.")


def _report_several(versions: Mapping[str, Sequence[Version]]) -> Iterator[Finding]:
    several = {name: found for name, found in versions.items() if len(found) > 1}
    differ = {
        name: found
        for name, found in several.items()
        if len({(version.tag, version.size) for version in found}) > 1
    }
    for name, found in list(differ.items())[:_SHOWN]:
        oldest = found[-1]
        yield problem(
            "versions",
            f"{name} has {len(found)} versions with different bytes, the newest of"
            f" {found[0].modified}, the oldest of {oldest.modified} ({oldest.size:,} bytes).",
            "Find out who wrote the newest. Where the digest in its name, or its signature, says"
            " that the oldest is right, put it on top: aws s3api copy-object --bucket BUCKET --key"
            f" {_quote(f'PREFIX/{name}')} --copy-source"
            f" {_quote(f'BUCKET/PREFIX/{name}?versionId={oldest.id}')}",
        )
    if len(differ) > _SHOWN:
        yield problem(
            "versions",
            f"{len(differ):,} files have versions with different bytes; the first {_SHOWN} are"
            " above.",
            "List all: aws s3api list-object-versions --bucket BUCKET --prefix PREFIX/",
        )
    if same := sorted(several.keys() - differ.keys()):
        yield note(
            "versions",
            f"{count_text(len(same), 'file')} {_have(len(same))} several versions with the same"
            f" bytes: {_list(same)}.",
            "They only take space, until their locks end.",
        )


def report_locks(where: str, files: Sequence[LockedFile], now: int) -> Iterator[Finding]:
    """Compare the locks of files with what the records of an archive demand."""
    kept = [file for file in files if file.demanded > now]
    hint = f"Lock them: airgap archive doctor {shlex.quote(where)} --lock"
    unlocked = [file.name for file in kept if not file.retention or file.retention.until <= now]
    short = [
        file
        for file in kept
        if file.retention and now < file.retention.until < file.demanded - _SLACK_SECONDS
    ]
    weak = [file.name for file in files if file.retention and file.retention.mode == "GOVERNANCE"]
    if unlocked:
        yield problem(
            "locks",
            f"{count_text(len(unlocked), 'file')} that the archive must keep {_are(len(unlocked))}"
            f" not locked: {_list(unlocked)}.",
            hint,
        )
    if short:
        first = min(short, key=lambda file: file.retention.until if file.retention else 0)
        end = first.retention.until if first.retention else 0
        yield problem(
            "locks",
            f"{count_text(len(short), 'file')} {_are(len(short))} locked for less time than the"
            f" records demand: {first.name} until {format_time(end)} instead of"
            f" {format_time(first.demanded)}{_more(len(short) - 1)}.",
            hint,
        )
    if weak:
        yield note(
            "locks",
            f"{count_text(len(weak), 'file')} {_are(len(weak))} locked in the mode GOVERNANCE:"
            f" {_list(weak)}.",
            "Accounts with s3:BypassGovernanceRetention can delete them. With the option"
            " lock=compliance, --lock makes the mode stronger.",
        )
    free = [file.name for file in files if not file.demanded and not file.retention]
    if free:
        yield note(
            "locks",
            f"{count_text(len(free), 'file')} that no record keeps {_are(len(free))} not locked:"
            f" {_list(free)}.",
            "Add bundles that must be kept: airgap archive add.",
        )
    if kept and not unlocked and not short:
        first_end = min(file.retention.until for file in kept if file.retention)
        yield ok(
            "locks",
            f"All {len(kept):,} files that the archive must keep are locked as long as its records"
            f" demand, the first until {format_time(first_end)}.",
        )


def _report_holds(demands: Demands) -> Iterator[Finding]:
    if demands.held:
        held = [bundle[:16] for bundle in demands.held]
        yield note(
            "locks",
            f"{count_text(len(held), 'bundle')} {_are(len(held))} under a hold, which has no end;"
            f" locks have one: {_list(held)}.",
            "Before a lock ends, lock longer by hand, or set a legal hold in the bucket.",
        )


def _read_retention(name: str, transport: Transport) -> ObjectRetention | None:
    lock = transport.object_lock
    try:
        return None if lock is None else lock.read_retention(name)
    except MissingError:  # hidden just now
        return None


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + _more(len(names) - _SHOWN)


def _more(count: int) -> str:
    return f" and {count:,} more" if count > 0 else ""


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _count(versions: Sequence[Version]) -> str:
    return count_text(len(versions), "version")


def _quote(text: str) -> str:
    """Quote what the server has named for a shell, and for a terminal."""
    return shlex.quote(make_printable(text))
