"""The use case of stamping: from what was asked for to what was added, for every face."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from airgap.errors import UsageError
from airgap.flow.bundle.open_to_sign import load_known_root
from airgap.flow.exporting.export import note_other_volumes
from airgap.flow.location.connector import Connector
from airgap.flow.timestamps.as_of import judge_stamps
from airgap.flow.timestamps.digests import add_index
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
from airgap.flow.timestamps.stampable import Stampable, StampedBundle, open_stampable
from airgap.signing.stamp_chains import JudgedChain

__all__ = ["StampResult", "StampRun", "run_stamping"]


@dataclass(frozen=True, slots=True)
class StampRun:
    """What to stamp, and by whom: a server, or by hand with a request and its response.

    With neither a server nor a request, stamps are listed. ``source`` is a location, or the path of
    a checkpoint; ``index`` makes an index of SHA-512 digests first.
    """

    source: str
    bundle: str | None = None
    options: StampOptions = field(default_factory=StampOptions)
    server: ServerOptions | None = None
    request: Path | None = None
    response: Path | None = None
    certificates: Sequence[Path] = ()
    index: bool = False

    @property
    def is_listing(self) -> bool:
        """Whether nothing is to be stamped."""
        return self.server is None and self.request is None


@dataclass(frozen=True, slots=True)
class StampResult:
    """What was added to a bundle or beside a checkpoint, and the stamps if they are listed."""

    location: str
    bundle: str
    added: tuple[AddedStamp, ...] = ()
    requests: tuple[Path, ...] = ()
    certificates: tuple[str, ...] = ()
    index: str = ""
    chains: tuple[JudgedChain, ...] = ()


def run_stamping(run: StampRun, connector: Connector) -> StampResult:
    """Stamp what has no stamp yet, or renew, or list.

    Raises:
        UsageError: what was asked for does not fit together.
        ConfigurationError: rfc3161-client is not installed.
        TransportError: the server cannot be reached, or does not answer as one.
        CorruptError, NotTrustedError: an answer is not kept.
        AirgapError: the bundle cannot be reached, read or written.
    """
    _refuse_mixed(run)
    with open_stampable(run.source, run.bundle, connector) as stampable:
        certificates = add_certificates(stampable, run.certificates)
        index = _add_index(stampable, connector) if run.index else ""
        chains: Sequence[JudgedChain] = ()
        added: Sequence[AddedStamp] = ()
        requests: Sequence[Path] = ()
        if run.is_listing:
            chains = judge_stamps(stampable, load_known_root(), int(time.time()))[0]
        else:
            added, requests = _stamp(run, stampable)
            note_unchecked(added, connector.progress)
        if isinstance(stampable, StampedBundle) and (added or certificates or index):
            note_other_volumes(stampable.candidate, connector.progress)
        return StampResult(
            stampable.location,
            stampable.bundle,
            tuple(added),
            tuple(requests),
            tuple(certificates),
            index,
            tuple(chains),
        )


def _stamp(run: StampRun, stampable: Stampable) -> tuple[list[AddedStamp], list[Path]]:
    targets = choose_targets(stampable, run.options)
    if run.server is not None:
        return stamp_online(stampable, targets, make_server(run.server), run.options), []
    if run.request is None:
        return [], []
    if run.response is not None:
        return add_responses(stampable, targets, run.request, run.response), []
    return [], write_requests(targets, run.request, run.options)


def _add_index(stampable: Stampable, connector: Connector) -> str:
    if not isinstance(stampable, StampedBundle):
        raise UsageError("A checkpoint has no index of digests.", "Leave out --index.")
    return add_index(stampable, connector.progress)


def _refuse_mixed(run: StampRun) -> None:
    if run.server is not None and (run.request or run.response):
        raise UsageError(
            "A time stamp comes from a server or by hand.", "Leave out --tsa or --request."
        )
    if run.response is not None and run.request is None:
        raise UsageError(
            "A response needs its request, whose nonce it must have.",
            "Give the file that was carried to the authority with --request.",
        )
