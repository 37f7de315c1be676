"""Time stamps: when signatures existed, and what was authentic at a time (format §33)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

from airgap.api import results
from airgap.api.arguments import StrPath, as_paths
from airgap.api.edge import edge
from airgap.api.locations import Pieces, connect, join_pieces
from airgap.api.progress import ProgressCallback, make_progress
from airgap.flow.location.https_way import HttpsWay
from airgap.flow.location.location import parse_location
from airgap.flow.timestamps import as_of, describe, use_case
from airgap.flow.timestamps.stamp import ServerOptions, StampOptions
from airgap.flow.timestamps.use_case import StampRun

__all__ = ["timestamp", "verify_as_of"]


@edge
def timestamp(  # noqa: PLR0913  (options)
    src: StrPath,
    *,
    tsa: str | None = None,
    request: StrPath | None = None,
    response: StrPath | None = None,
    certificates: Sequence[StrPath] = (),
    renew: bool = False,
    before: int | None = None,
    hash: Literal["sha256", "sha512"] = "sha256",  # noqa: A002  (the option's name)
    index: bool = False,
    only: Sequence[str] = (),
    ca: StrPath | None = None,
    proxy: str = "",
    proxy_password_env: str = "",
    bundle: str | None = None,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    progress: ProgressCallback | None = None,
) -> results.TimestampDict:
    """Have an authority prove by when signatures existed; without one, list the stamps.

    Args:
        src: a depot, ``DEPOT#ID``, a ``.airgap`` file, or a checkpoint of a ledger.
        tsa: the URL of a server (RFC 3161).
        request: where the request goes, to be carried to an authority: a file, or a folder.
        response: the authority's answer to ``request``.
        certificates: files of authorities' certificates that are to lie beside the stamps.
        renew: stamp the last stamp of each file again.
        before: with ``renew``, only where the certificate ends within so many seconds.
        hash: that of the new stamps.
        index: make an index of the SHA-512 of every file, and stamp that too.
        only: stamp only these files; empty: all.
        ca: the certificate or CA by which the server of ``tsa`` is trusted.
        proxy: go through this HTTP proxy, or ``environment``.
        proxy_password_env: the variable with the password of the proxy's user.
        bundle: the full id of the bundle that is meant; required if ``src`` holds several.
        user: of the bundle's server; the access key of S3.
        passwd: of the bundle's server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        progress: is called with notes.

    Raises:
        ConfigurationError: rfc3161-client (the extra ``timestamps``) is not installed.
        TransportError: the server cannot be reached, or does not answer as one.
        CorruptError, NotTrustedError: an answer is not kept.
        AirgapError: the bundle cannot be reached, read or written.
    """
    pieces = Pieces(None, user, passwd, params)
    text = join_pieces(src, pieces)
    way = HttpsWay(proxy, proxy_password_env)
    run = StampRun(
        text,
        bundle,
        StampOptions(renew, before, hash, only),
        ServerOptions(tsa, None if ca is None else Path(ca), way) if tsa else None,
        None if request is None else Path(request),
        None if response is None else Path(response),
        as_paths(certificates),
        index,
    )
    connector = replace(connect(text, pieces), progress=make_progress(progress))
    done = use_case.run_stamping(run, connector)
    return cast("results.TimestampDict", describe.describe_result(done))


@edge
def verify_as_of(  # noqa: PLR0913  (options)
    path: StrPath,
    at: int,
    *,
    volumes: Sequence[StrPath] = (),
    roots: Sequence[StrPath] = (),
    fingerprints: Sequence[str] = (),
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    progress: ProgressCallback | None = None,
) -> results.AsOfDict:
    """Give three verdicts about a bundle: intact, authentic at a time, trusted today.

    There is no error if a verdict is bad, and nothing sums them up.

    Args:
        path: a depot, ``DEPOT#ID``, or a ``.airgap`` file.
        at: the time that is asked about, in seconds since 1970.
        volumes: where the other volumes of the bundle are, if ``path`` is one of them.
        roots: files of older roots of the site that do not travel with the bundle.
        fingerprints: of older roots that are to be relied on.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        progress: is called as the work goes on.

    Raises:
        ConfigurationError: this machine trusts nobody yet, or rfc3161-client (the extra
            ``timestamps``) is not installed.
        UsageError: the time is in the future.
        AirgapError: the bundle cannot be reached or read, or its manifest is damaged.
    """
    pieces = Pieces(None, user, passwd, params)
    text = join_pieces(path, pieces)
    sources = [parse_location(one) for one in (text, *map(str, volumes))]
    request = as_of.AsOfRequest(sources, at, as_paths(roots), fingerprints)
    connector = replace(connect(text, pieces), progress=make_progress(progress))
    result = as_of.verify_as_of(request, connector)
    return cast("results.AsOfDict", describe.describe_as_of(result))
