"""Sealing: encrypts bundles to the recipients of their site, and opens them (format §34)."""

import os
from collections.abc import Mapping, Sequence
from typing import Final, cast

from airgap.api import results
from airgap.api.arguments import StrPath
from airgap.api.edge import edge
from airgap.api.keys import Passphrase, PrivateKey, make_signer
from airgap.api.locations import Pieces, connect, join_pieces
from airgap.api.progress import ProgressCallback, make_progress
from airgap.flow.depot.copy_bundle import CopyResult
from airgap.flow.depot.seal import SealRequest, UnsealRequest, seal_bundles, unseal_bundles
from airgap.flow.disk_use import describe_peak
from airgap.flow.location.location import parse_location
from airgap.flow.publishing.recipients import SealTo

__all__ = ["choose_identities", "seal", "unseal"]

_IDENTITY: Final = "AIRGAP_IDENTITY"


@edge
def seal(  # noqa: PLR0913  (options)
    source: StrPath,
    destination: StrPath,
    *,
    key: StrPath | PrivateKey | None = None,
    passphrase: Passphrase | None = None,
    recipients: Sequence[str] = (),
    insecure_recipients: bool = False,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    progress: ProgressCallback | None = None,
) -> list[results.CopiedBundleDict]:
    """Copy a bundle, or all bundles of a depot, encrypted to the recipients of the pinned root.

    Args:
        source: a depot, ``DEPOT#ID``, or a ``.airgap`` file.
        destination: a depot or a ``.airgap`` file.
        key: signs the index; as for ``export_bento``.
        passphrase: of the key, or a function that returns it; default: ``AIRGAP_PASSPHRASE``.
        recipients: ``age1…``, or files with one, instead of those of the root.
        insecure_recipients: whether ``recipients`` may be given: no root has them.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        progress: is called as the work goes on.

    Raises:
        ConfigurationError: no root is pinned, it names no recipients, or there is no key.
        UsageError: the bundle is sealed already, or recipients are given without permission.
        AirgapError: see ``airgap.errors`` for the others.
    """
    pieces = Pieces(None, user, passwd, params)
    text = join_pieces(source, pieces)
    connector = connect(text, pieces)
    request = SealRequest(
        parse_location(text),
        parse_location(os.fspath(destination), to_write=True),
        [make_signer(key, passphrase)],
        SealTo(tuple(recipients), insecure_recipients),
        credentials=connector.credentials,
        transfer=connector.transfer,
    )
    return list(map(_describe, seal_bundles(request, make_progress(progress))))


@edge
def unseal(  # noqa: PLR0913  (options)
    source: StrPath,
    destination: StrPath,
    *,
    identities: Sequence[StrPath] = (),
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    progress: ProgressCallback | None = None,
) -> list[results.CopiedBundleDict]:
    """Write the bundle inside a sealed one to this machine, to inspect or to approve it.

    Args:
        source: a depot, ``DEPOT#ID``, or a ``.airgap`` file.
        destination: a depot or a ``.airgap`` file of this machine.
        identities: files, or descriptors as ``fd:N``; default: ``AIRGAP_IDENTITY``.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        progress: is called as the work goes on.

    Raises:
        ConfigurationError: no root is pinned, or no identity opens it.
        NotTrustedError: too few builders signed the index, or the bundle inside.
        UsageError: it is not sealed, or the destination is on a server.
        AirgapError: see ``airgap.errors`` for the others.
    """
    pieces = Pieces(None, user, passwd, params)
    text = join_pieces(source, pieces)
    connector = connect(text, pieces)
    request = UnsealRequest(
        parse_location(text),
        parse_location(os.fspath(destination), to_write=True),
        choose_identities(identities),
        credentials=connector.credentials,
        transfer=connector.transfer,
    )
    return list(map(_describe, unseal_bundles(request, make_progress(progress))))


def choose_identities(given: Sequence[StrPath]) -> tuple[str, ...]:
    """Return the identities that were given, or those that ``AIRGAP_IDENTITY`` names."""
    return tuple(os.fspath(one) for one in given) or tuple(os.environ.get(_IDENTITY, "").split())


def _describe(copied: CopyResult) -> results.CopiedBundleDict:
    description = {
        "bundle": copied.bundle,
        "packs_copied": copied.packs_copied,
        "packs_there": copied.packs_there,
        "bytes_copied": copied.bytes_copied,
        "disk_use": list(map(describe_peak, copied.peaks)),
    }
    return cast("results.CopiedBundleDict", description)
