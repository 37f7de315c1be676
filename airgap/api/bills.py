"""Bills of materials and licences: what is in a bundle, and what a policy says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

from airgap.api import results
from airgap.api.arguments import StrPath
from airgap.api.edge import edge
from airgap.api.locations import Pieces, connect, join_pieces
from airgap.api.progress import ProgressCallback, make_progress
from airgap.api.sealing import choose_identities
from airgap.bom.cyclonedx import FORMATS, write_bill
from airgap.errors import UsageError
from airgap.flow.bill import make_bill
from airgap.flow.licences.gate import describe_report
from airgap.flow.location.location import parse_location

__all__ = ["bill_of_materials", "licenses"]

BillFormat = Literal["cyclonedx-1.6", "cyclonedx-1.7"]


@edge
def bill_of_materials(  # noqa: PLR0913  (options)
    path: StrPath | None = None,
    *,
    format: BillFormat = "cyclonedx-1.6",  # noqa: A002  (as the command's option)
    installed: Sequence[str] | None = None,
    identities: Sequence[StrPath] = (),
    files: bool = True,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    jobs: int | None = None,
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Return the bill of materials that ``airgap bom`` prints, as plain data of CycloneDX.

    Args:
        path: a bundle, as for ``import_bento``; enough builders of the site must have signed it.
        format: the form and its version.
        identities: files that open a sealed bundle; default: ``AIRGAP_IDENTITY``.
        installed: instead of ``path``: the tags of installed items; empty: all that is installed.
        files: whether the files of items are listed.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        jobs: threads; default: the processors there are.
        progress: is called as the work goes on.

    Raises:
        UsageError: there are both a path and installed items, or neither; or an unknown format.
        ConfigurationError: this machine trusts no site.
        NotTrustedError: too few builders signed the bundle.
        AirgapError: it cannot be reached or read.
    """
    if format not in FORMATS:
        raise UsageError(f"There is no format {format!r}.", f"Choose one of {', '.join(FORMATS)}.")
    if installed is not None:
        _refuse_both(path)
        inspected = make_bill.bill_installed(installed, make_progress(progress))
    else:
        pieces = Pieces(None, user, passwd, params)
        text = join_pieces(_demand_path(path), pieces)
        connector = replace(connect(text, pieces), progress=make_progress(progress))
        inspected = make_bill.bill_bundle(
            parse_location(text), jobs, connector, choose_identities(identities)
        )
    return write_bill(inspected.bill, FORMATS[format], with_files=files)


@edge
def licenses(  # noqa: PLR0913  (options)
    path: StrPath | None = None,
    *,
    policy: StrPath,
    installed: Sequence[str] | None = None,
    identities: Sequence[StrPath] = (),
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    jobs: int | None = None,
    progress: ProgressCallback | None = None,
) -> results.LicenceReportDict:
    """Return what ``airgap licenses --json`` prints: what a policy says of each item, and why.

    Args:
        path: a bundle, as for ``import_bento``.
        policy: the file with the policy.
        identities: files that open a sealed bundle; default: ``AIRGAP_IDENTITY``.
        installed: instead of ``path``: the tags of installed items; empty: all that is installed.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        jobs: threads; default: the processors there are.
        progress: is called as the work goes on.

    Raises:
        ConfigurationError: the policy cannot be used, or this machine trusts no site.
        PolicyError: the site's root names another policy.
        AirgapError: as ``bill_of_materials``. An item that is refused is not an error: see
            ``passes``.
    """
    if installed is not None:
        _refuse_both(path)
        report = make_bill.judge_installed(installed, Path(policy), make_progress(progress))
        passes = not report.refused
    else:
        pieces = Pieces(None, user, passwd, params)
        text = join_pieces(_demand_path(path), pieces)
        connector = replace(connect(text, pieces), progress=make_progress(progress))
        report = make_bill.judge_bundle(
            parse_location(text), Path(policy), jobs, connector, choose_identities(identities)
        )
        passes = not (report.refused or report.waiting)
    return cast("results.LicenceReportDict", describe_report(report) | {"passes": passes})


def _demand_path(path: StrPath | None) -> StrPath:
    if path is None:
        raise UsageError("Give a bundle, or what is installed.", "Give path or installed.")
    return path


def _refuse_both(path: StrPath | None) -> None:
    if path is not None:
        raise UsageError("Give a bundle, or what is installed.", "Give path or installed.")
