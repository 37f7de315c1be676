"""``airgap archive renew``: stamps the stamps of an archive again, before they end (§36.7)."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from airgap.carrier.depot import Depot
from airgap.disk import durable
from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError, ConflictError, CorruptError, UsageError
from airgap.flow.archive.archive_index import StampedArchive, add_archive_index, is_index_due
from airgap.flow.archive.lock import lock_bundles
from airgap.flow.archive.stamped_evidence import (
    StampedEvidence,
    find_unclear,
    list_stamped_evidence,
)
from airgap.flow.archive.survey import list_archive, refuse_bundle
from airgap.flow.bundle.open_to_sign import open_to_sign
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import DepotLocation
from airgap.flow.timestamps.stamp import (
    AddedStamp,
    ServerOptions,
    StampOptions,
    add_certificates,
    add_responses,
    choose_targets,
    make_server,
    note_unchecked,
    stamp_online,
    write_requests,
)
from airgap.flow.timestamps.stampable import Stampable, open_stamped_bundle
from airgap.format import layout, limits
from airgap.format.stamp_files import StampedFile
from airgap.signing.time_stamps import Imprint, demand_library
from airgap.transport.stamp_server import StampServer

__all__ = ["RenewRequest", "Renewal", "RenewedStamp", "renew_archive"]

_INDEX_FOLDER: Final = "archive"


@dataclass(frozen=True, slots=True)
class RenewRequest:
    """Which stamps are renewed, by whom, and with which hash.

    ``before`` is in seconds: those whose certificate ends within that time. With SHA-512, an index
    of all files is made as well, if a file is not in the last one. By hand: ``requests`` is a
    folder for requests, ``responses`` one with the answers.
    """

    location: DepotLocation
    before: int
    hash: Imprint = "sha256"
    server: ServerOptions | None = None
    requests: Path | None = None
    responses: Path | None = None
    certificates: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class RenewedStamp:
    """A stamp that was added, and the bundle that it is about; empty for an index."""

    bundle: str
    stamp: AddedStamp


@dataclass
class Renewal:
    """What a renewal has done: what was added, what waits for answers, and what went wrong."""

    location: str
    added: list[RenewedStamp] = field(default_factory=list)
    requests: list[Path] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    index: str = ""
    problems: list[AirgapError] = field(default_factory=list)
    """Of single bundles; all others were renewed."""


def renew_archive(request: RenewRequest, connector: Connector) -> Renewal:
    """Renew the stamps of all bundles and indexes of an archive that are due.

    Raises:
        UsageError: what was asked for does not fit together.
        ConfigurationError: rfc3161-client is not installed.
        TransportError: the archive or the server cannot be reached.
        StorageError: a request cannot be written, or an answer not be read.
        AirgapError: the root is not valid, or an index cannot be made.
    """
    _refuse_mixed(request)
    demand_library()
    server = make_server(request.server) if request.server else None
    with closing(connector.open_depot(request.location)) as depot:
        done = Renewal(depot.location)
        options = StampOptions(renew=True, before=request.before, hash=request.hash)
        for bundle in _list_stamped(depot):
            try:
                location = replace(request.location, bundle=bundle)
                with open_to_sign(location, connector) as candidate:
                    stampable = open_stamped_bundle(candidate, connector)
                    targets = choose_targets(stampable, options)
                    work = _BundleRenewal(request, server, options, bundle, bundle, done)
                    _stamp(work, stampable, targets)
            except (ConflictError, CorruptError) as error:
                done.problems.append(error)
        _renew_evidence(request, server, depot, done, connector)
        _renew_indexes(request, server, depot, done, connector)
        _lock(depot, done)
    note_unchecked([one.stamp for one in done.added], connector.progress)
    return done


def _lock(depot: Depot, done: Renewal) -> None:
    """Lock what was added as long as what it is about: for an index, that is everything.

    Raises:
        StorageError: the server confirmed, and does not lock one.
        AirgapError: as ``lock_bundles``.
    """
    about = {one.bundle for one in done.added}
    if done.index or "" in about:
        about = set(list_archive(depot))
    if about:
        lock_bundles(depot, about)


def _refuse_mixed(request: RenewRequest) -> None:
    refuse_bundle(request.location)
    if (request.server is None) == (request.requests is None):
        raise UsageError(
            "A time stamp comes from a server or by hand.", "Give --tsa URL or --request DIR."
        )
    if request.server is not None and request.responses is not None:
        raise UsageError("--response is for answers by hand.", "Leave out --tsa or --response.")
    for folder in (request.requests, request.responses):
        if folder is not None and not folder.is_dir():
            raise UsageError(
                f"{folder} is not a folder: an archive has many stamps.", "Make the folder first."
            )


def _list_stamped(depot: Depot) -> Iterator[str]:
    """Yield the bundles that have a stamp."""
    for bundle in list_archive(depot):
        listed = depot.transport.list(f"{layout.BUNDLES}/{bundle}", limits.FOLDER_NAMES)
        if layout.MANIFEST in listed and any(file.endswith(".tsr") for file in listed):
            yield bundle


@dataclass(frozen=True, slots=True)
class _BundleRenewal:
    """How the stamps of one bundle, or of the indexes, are renewed."""

    request: RenewRequest
    server: StampServer | None
    options: StampOptions
    bundle: str
    folder: str
    """Where requests and answers lie that are carried by hand."""
    done: Renewal


def _stamp(work: _BundleRenewal, stampable: Stampable, targets: Sequence[StampedFile]) -> None:
    """Stamp what is due: by the server, or with a request and its answer."""
    if not targets:
        return
    request = work.request
    add_certificates(stampable, request.certificates)
    added: list[AddedStamp] = []
    folder = work.folder
    if work.server is not None:
        added = stamp_online(stampable, targets, work.server, work.options)
    elif request.responses is None and request.requests is not None:
        with translate_errors(request.requests):
            durable.make_folder(request.requests / folder)
        work.done.requests += write_requests(targets, request.requests / folder, work.options)
    elif request.responses is not None and request.requests is not None:
        answered = [one for one in targets if _is_answered(request.responses / folder, one)]
        work.done.unanswered += [
            f"{folder}/{one.next_file}" for one in targets if one not in answered
        ]
        if answered:
            questions, answers = request.requests / folder, request.responses / folder
            added = add_responses(stampable, answered, questions, answers)
    work.done.added += [RenewedStamp(work.bundle, one) for one in added]


def _is_answered(folder: Path, target: StampedFile) -> bool:
    return (folder / target.next_file).is_file()


def _renew_evidence(
    request: RenewRequest,
    server: StampServer | None,
    depot: Depot,
    done: Renewal,
    connector: Connector,
) -> None:
    """Renew the stamps of checkpoints that lie in evidence."""
    options = StampOptions(renew=True, before=request.before, hash=request.hash)
    for bundle in list_stamped_evidence(depot):
        stampable = StampedEvidence(depot, bundle, connector.progress)
        work = _BundleRenewal(request, server, options, bundle, f"evidence-{bundle}", done)
        for name in find_unclear(depot, bundle):
            connector.progress.note(
                f"Several files of evidence of bundle {bundle} have the name {name}: its stamps are"
                " not renewed. Move away what is not the stamped file, or not its stamp."
            )
        try:
            if stampable.find_stamped():
                _stamp(work, stampable, choose_targets(stampable, options))
        except (ConflictError, CorruptError) as error:
            done.problems.append(error)


def _renew_indexes(
    request: RenewRequest,
    server: StampServer | None,
    depot: Depot,
    done: Renewal,
    connector: Connector,
) -> None:
    """Make an index if one is due, and stamp what has no stamp or an old one."""
    if request.hash == "sha512" and request.responses is None and is_index_due(depot):
        date = time.strftime("%Y%m%d", time.gmtime())
        done.index = add_archive_index(depot, date, connector.progress)
    stampable = StampedArchive(depot, connector.progress)
    if not stampable.find_stamped():
        return
    unstamped = StampOptions(hash="sha512")
    ending = StampOptions(renew=True, before=request.before, hash="sha512")
    try:
        targets = choose_targets(stampable, unstamped) + choose_targets(stampable, ending)
        _stamp(_BundleRenewal(request, server, ending, "", _INDEX_FOLDER, done), stampable, targets)
    except (ConflictError, CorruptError) as error:
        done.problems.append(error)
