"""Checks chains of time stamps: whole, over the right bytes, not about to end (format §36.3)."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from airgap.carrier.depot import Depot
from airgap.errors import AirgapError, CorruptError, MissingError
from airgap.flow.archive.archive_index import StampedArchive
from airgap.flow.archive.stamped_evidence import (
    find_evidence_chains,
    find_unclear,
    list_stamped_evidence,
)
from airgap.flow.progress import Silent
from airgap.format import archive
from airgap.format.check_files import RENEWALS
from airgap.format.check_result import CheckProblem, Level, ProblemKind
from airgap.format.shard import Shard
from airgap.format.stamp_files import StampedFile
from airgap.printable import make_printable
from airgap.signing import time_stamps
from airgap.times import format_time

__all__ = ["check_chains", "check_evidence_stamps", "check_index_stamps"]

_DUE_SECONDS: Final = 180 * 86_400
_TEXT_CHARACTERS: Final = 400
_UNCLEAR: Final = "have this name: the chain of its stamps is neither checked nor renewed"


def check_chains(chains: Iterable[StampedFile], folder: str, now: int) -> Iterator[CheckProblem]:
    """Find stamps that are missing, wrong or due; ``folder`` is where they lie.

    Raises:
        ConfigurationError: rfc3161-client is not installed.
    """
    for stamped in chains:
        if stamped.is_broken:
            yield _report(folder, stamped.next_file, "missing", "later stamps are over it")
        data, expires = stamped.data, None
        for file, raw in stamped.chain:
            try:
                stamp = time_stamps.decode_stamp(raw, file)
            except CorruptError as error:
                yield _report(folder, file, "corrupt", error.message)
                break
            if not stamp.fits(data):
                yield _report(folder, file, "corrupt", "it is not over the file before it")
                break
            data, expires = raw, stamp.expires
        if expires is not None and expires - now < _DUE_SECONDS:
            text = f"its certificate ends at {format_time(expires)}: airgap archive renew"
            yield _report(folder, stamped.chain[-1][0], "due", text, "warned")


def check_index_stamps(depot: Depot, now: int) -> list[CheckProblem]:
    """Check the stamps over indexes of a whole archive.

    Raises:
        TransportError: the archive cannot be read.
    """
    stamped = StampedArchive(depot, Silent())
    return _check(stamped.find_stamped, RENEWALS, now)


def check_evidence_stamps(depot: Depot, shard: Shard, now: int) -> list[CheckProblem]:
    """Check the stamps over checkpoints in the evidence of the bundles in a shard.

    Raises:
        TransportError: the archive cannot be read.
    """

    def find(bundle: str) -> Callable[[], list[StampedFile]]:
        return lambda: find_evidence_chains(depot, bundle)

    problems = []
    for bundle in list_stamped_evidence(depot, shard):
        folder = f"{archive.EVIDENCE}/{bundle}"
        problems += _check(find(bundle), folder, now)
        problems += [
            _report(folder, name, "corrupt", f"several files {_UNCLEAR}", "warned")
            for name in find_unclear(depot, bundle)
        ]
    return problems


def _check(
    find_chains: Callable[[], list[StampedFile]], folder: str, now: int
) -> list[CheckProblem]:
    try:
        return list(check_chains(find_chains(), folder, now))
    except (CorruptError, MissingError) as error:
        return [_report_error(folder, error)]


def _report_error(folder: str, error: AirgapError) -> CheckProblem:
    text = make_printable(error.message)[:_TEXT_CHARACTERS]
    return CheckProblem("failed", "stamps", folder, "corrupt", text)


def _report(
    folder: str, file: str, kind: ProblemKind, text: str, level: Level = "failed"
) -> CheckProblem:
    text = make_printable(text)[:_TEXT_CHARACTERS]
    return CheckProblem(level, "stamps", f"{folder}/{file}", kind, text)
