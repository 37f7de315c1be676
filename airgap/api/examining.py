"""Bundles that are looked at: verified, inspected, compared. Nothing is written."""

import os
from collections.abc import Mapping, Sequence
from typing import cast

from airgap.api import results
from airgap.api.arguments import StrPath, as_paths
from airgap.api.edge import edge
from airgap.api.locations import Pieces, connect, join_pieces
from airgap.api.progress import ProgressCallback, make_progress
from airgap.api.sealing import choose_identities
from airgap.errors import UsageError
from airgap.flow.bundle import base_bundles, model_signatures, open_bundle
from airgap.flow.bundle.reports import describe_files, describe_reports, judge_files
from airgap.flow.chunks.diff import describe_difference
from airgap.flow.describe.bundle import (
    describe_admission,
    describe_bundle,
    describe_claims,
    describe_signers,
    list_unchecked,
)
from airgap.flow.environment.packages import list_absent
from airgap.flow.importing import use_case
from airgap.flow.importing.use_case import VerifyRequest
from airgap.flow.location.location import parse_location

__all__ = ["diff", "inspect", "verify"]


@edge
def verify(  # noqa: PLR0913  (options)
    path: StrPath | Sequence[StrPath],
    *,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    waivers: Sequence[StrPath] = (),
    channel: str | None = None,
    identities: Sequence[StrPath] = (),
    depots: Sequence[StrPath] = (),
    jobs: int | None = None,
    progress: ProgressCallback | None = None,
) -> results.VerificationDict:
    """Check signatures and every byte, write nothing; return what ``airgap verify --json`` prints.

    Args:
        path: as for ``import_bento``, or a list of volumes of one bundle.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        waivers: files with the approvers' permission for an old bundle.
        channel: the only channel to accept; None: any.
        identities: what opens a sealed bundle; default: ``AIRGAP_IDENTITY``. Without one, its index
            and its encrypted packs are verified.
        depots: further locations for the chunks of earlier bundles that this one builds on.
        jobs: threads; default: the processors there are.
        progress: is called as the work goes on.

    Raises:
        MissingError: chunks, packs or volumes are lacking.
        AirgapError: as ``import_bento``, but for conflicts.
    """
    pieces = Pieces(None, user, passwd, params)
    paths = [path] if isinstance(path, str | os.PathLike) else path
    texts = [join_pieces(source, pieces) for source in paths]
    if not texts:
        raise UsageError("There is nothing to verify.", "Give a bundle, or its volumes.")
    connector = connect(texts[0], pieces)
    request = VerifyRequest(
        list(map(parse_location, texts)),
        waivers=as_paths(waivers),
        channel=channel,
        identities=choose_identities(identities),
        depots=[parse_location(str(depot)) for depot in depots],
        jobs=jobs,
        credentials=connector.credentials,
        transfer=connector.transfer,
    )
    done = use_case.verify_bundle(request, make_progress(progress))
    use_case.refuse_missing_volumes(done)
    opened = done.opened
    description = describe_bundle(opened.bundle, opened.manifest.value)
    description |= {"verified": True, "bytes_read": done.bytes_read, **describe_signers(opened)}
    description |= describe_admission(opened)
    description |= {
        "not_checked": list_unchecked(opened),
        "model_signatures": model_signatures.describe(done.model_signatures),
        "reports": describe_reports(done.attachments.reports),
        "attachments": describe_files(done.attachments.files),
        "parity": {
            "intact": done.parity.intact,
            "missing": done.parity.missing,
            "damaged": list(done.parity.damaged),
            "packs_restored": done.parity.packs_restored,
        },
    }
    return cast("results.VerificationDict", description)


@edge
def inspect(
    path: StrPath,
    *,
    files: bool = False,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> results.InspectionDict:
    """Return what ``airgap inspect --json`` prints. Nothing about it is proven.

    Args:
        path: as for ``import_bento``.
        files: whether to list every file of every item.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.

    Raises:
        AirgapError: there is no bundle, or it is damaged.
    """
    pieces = Pieces(None, user, passwd, params)
    text = join_pieces(path, pieces)
    with open_bundle.open_unverified(parse_location(text), connect(text, pieces)) as opened:
        description = describe_bundle(opened.bundle, opened.manifest, files=files)
        claims = describe_claims(open_bundle.read_evidence(opened.reader))
        attached = judge_files(opened.reader.read_attachments(), opened.bundle, None)
        description |= {
            "verified": False,
            "signatures": claims,
            "attachments": describe_files(attached),
            "absent_packages": list_absent(opened.manifest.items),
        }
    return cast("results.InspectionDict", description)


@edge
def diff(  # noqa: PLR0913  (options)
    old: StrPath,
    new: StrPath,
    *,
    identities: Sequence[StrPath] = (),
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> results.DiffDict:
    """Say what one bundle has that another has not, as ``airgap diff --json``. Nothing is proven.

    Args:
        old: a bundle, or a depot with its newest bundle.
        new: another one.
        identities: files that open sealed bundles; default: ``AIRGAP_IDENTITY``.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.

    Raises:
        ConfigurationError: one is sealed, and nothing opens it.
        AirgapError: there is no bundle, or it is damaged.
    """
    secrets = choose_identities(identities)
    pieces = Pieces(None, user, passwd, params)
    texts = [join_pieces(path, pieces) for path in (old, new)]
    connector = connect(texts[0], pieces)
    old_location, new_location = map(parse_location, texts)
    with (
        base_bundles.open_newest(old_location, connector, secrets) as (before, old_bundle),
        base_bundles.open_newest(new_location, connector, secrets) as (after, new_bundle),
    ):
        description = describe_difference(old_bundle, new_bundle)
    description |= {"old": before, "new": after, "verified": False}
    return cast("results.DiffDict", description)
