"""Scans: what the files of a bundle, or of installed items, would run when they are loaded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from airgap.api import results
from airgap.api.arguments import StrPath, as_paths
from airgap.api.edge import edge
from airgap.api.locations import Pieces, connect, join_pieces
from airgap.api.progress import ProgressCallback, make_progress
from airgap.api.sealing import choose_identities
from airgap.flow.importing import scan_bundle as use_case
from airgap.flow.importing.use_case import ImportRequest
from airgap.flow.installed.item_name import parse_item_name
from airgap.flow.installed.scan import InstalledScanRequest
from airgap.flow.installed.scan import scan_installed as scan_items_here
from airgap.flow.location.location import parse_location
from airgap.flow.scanning.report import describe_scan

__all__ = ["scan_bundle", "scan_installed"]


@edge
def scan_bundle(  # noqa: PLR0913  (options)
    path: StrPath,
    *,
    policy: StrPath | None = None,
    commands: Sequence[str] = (),
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    waivers: Sequence[StrPath] = (),
    channel: str | None = None,
    identities: Sequence[StrPath] = (),
    depots: Sequence[StrPath] = (),
    tmpdir: StrPath | None = None,
    jobs: int | None = None,
    progress: ProgressCallback | None = None,
) -> results.ScanDict:
    """Return the report of ``airgap scan``: what the files of a bundle would run when loaded.

    Args:
        path: as for ``import_bento``.
        policy: what is permitted, and the site's scanners; default: the site's own policy.
        commands: further scanners, each of which gets a folder as its last argument.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        waivers: files with the approvers' permission for an old bundle.
        channel: the only channel to accept; None: any.
        identities: what opens a sealed bundle; default: ``AIRGAP_IDENTITY``.
        depots: further locations for the chunks of earlier bundles that this one builds on.
        tmpdir: gets the bundle's files while they are looked at.
        jobs: threads; default: the processors there are.
        progress: is called as the work goes on.

    Raises:
        ConfigurationError: this machine trusts no site, the policy cannot be used, or a scanner
            cannot be confined.
        PolicyError: the root names another policy. A file that is refused is not an error: see
            ``accepted``.
        AirgapError: as ``import_bento``.
    """
    pieces = Pieces(None, user, passwd, params)
    text = join_pieces(path, pieces)
    connector = connect(text, pieces)
    request = ImportRequest(
        [parse_location(text)],
        waivers=as_paths(waivers),
        channel=channel,
        identities=choose_identities(identities),
        depots=[parse_location(str(depot)) for depot in depots],
        jobs=jobs,
        credentials=connector.credentials,
        transfer=connector.transfer,
    )
    scan = use_case.scan_bundle(
        use_case.ScanRequest(request, _as_path(policy), commands, _as_path(tmpdir)),
        make_progress(progress),
    )
    return cast("results.ScanDict", describe_scan(scan))


@edge
def scan_installed(
    tags: Sequence[str] = (),
    *,
    policy: StrPath | None = None,
    commands: Sequence[str] = (),
    progress: ProgressCallback | None = None,
) -> results.ScanDict:
    """Return the report of ``airgap scan --installed``: what installed items would run when loaded.

    Args:
        tags: which items; empty: all but wheelhouses and images, which are programs.
        policy: as for ``scan_bundle``.
        commands: as for ``scan_bundle``.
        progress: is called as the work goes on.

    Raises:
        MissingError: nothing here has such a name.
        ConfigurationError: the policy cannot be used, or a scanner cannot be confined.
        PolicyError: the root names another policy.
        StorageError: an item cannot be read.
    """
    request = InstalledScanRequest(list(map(parse_item_name, tags)), _as_path(policy), commands)
    return cast(
        "results.ScanDict", describe_scan(scan_items_here(request, make_progress(progress)))
    )


def _as_path(path: StrPath | None) -> Path | None:
    return None if path is None else Path(path)
