"""Reports for auditors: what moved, who vouched for it, and what proves it (format §38)."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import cast

from airgap.api import results
from airgap.api.arguments import StrPath, as_paths
from airgap.api.edge import edge
from airgap.api.locations import Pieces, connect, join_pieces
from airgap.api.progress import ProgressCallback, make_progress
from airgap.flow.audit.material import AuditFilter
from airgap.flow.audit.use_case import AuditRequest, read_clock, run_audit
from airgap.flow.location.connector import LOCAL, Connector
from airgap.flow.location.destination import require_folder_above
from airgap.flow.location.location import parse_location

__all__ = ["audit"]


@edge
def audit(  # noqa: PLR0913  (options)
    output: StrPath,
    sources: Sequence[StrPath] = (),
    *,
    evidence: StrPath | None = None,
    ledgers: Sequence[StrPath] = (),
    receipts: Sequence[StrPath] = (),
    roots: Sequence[StrPath] = (),
    fingerprints: Sequence[str] = (),
    bundle: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    item: str = "",
    person: str = "",
    now: datetime | None = None,
    identities: Sequence[StrPath] = (),
    include_sealed: bool = False,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    progress: ProgressCallback | None = None,
) -> results.AuditDict:
    """Write a report for auditors, one HTML file, and return the same as data.

    Args:
        output: the file to write.
        sources: depots and ``.airgap`` files, whose bundles are looked at; packs are not read.
        evidence: a new folder for the evidence, with a script that runs every command.
        ledgers: folders of ``airgap ledger export`` or ``prove``; none: those of this machine.
        receipts: files, or folders of them; none: those that this machine accepted, unless
            ``ledgers`` are given.
        roots: files of roots of the site; none: the root that this machine trusts.
        fingerprints: of the roots to rely on.
        bundle: the first digits of the only bundle in the report; empty: all.
        since: leaves out what happened before; None: nothing.
        until: leaves out what happened after; None: nothing.
        item: the tag or name that bundles must have; empty: any.
        person: who acted: a name of the root, a user, or digits of a key id; empty: anyone.
        now: the time of the report; None: this machine's clock.
        identities: files, or descriptors as ``fd:N``, that open sealed bundles: the report then
            names what is inside. ``AIRGAP_IDENTITY`` does not stand for them.
        include_sealed: puts what is inside sealed bundles into the evidence, in plain text.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        progress: is called as the work goes on.

    Raises:
        ConfigurationError: no root says whom to trust.
        UsageError: there is too much to read, or the time is to come.
        NotTrustedError: a ledger or a root is not signed as it should be.
        ConflictError: the folder for evidence is not empty.
        AirgapError: something cannot be read or written. Evidence that contradicts itself is not
            an error: see ``verdict``.
    """
    pieces, path = Pieces(None, user, passwd, params), Path(output)
    texts = [join_pieces(source, pieces) for source in sources]
    connector = connect(texts[0], pieces) if texts else LOCAL
    for written in (path, *([] if evidence is None else [Path(evidence)])):
        require_folder_above(written)
    wanted = AuditFilter(bundle, _read_time(since), _read_time(until), item, person)
    request = AuditRequest(
        path,
        read_clock() if now is None else int(now.timestamp()),
        [parse_location(text) for text in texts],
        as_paths(ledgers),
        as_paths(receipts),
        as_paths(roots),
        fingerprints,
        wanted,
        None if evidence is None else Path(evidence),
        tuple(os.fspath(one) for one in identities),
        include_sealed,
    )
    shown = Connector(connector.credentials, connector.transfer, make_progress(progress))
    return cast("results.AuditDict", run_audit(request, shown).report)


def _read_time(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
