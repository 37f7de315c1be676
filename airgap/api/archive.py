"""Compliance archives: what is kept for years, by whom, and whether it is intact (format §35, §36).

``archive`` is a depot: a folder, a URL or ``@REMOTE``; with ``#ID`` where one bundle is meant.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Literal, cast

from airgap.api import results
from airgap.api.arguments import StrPath, as_paths
from airgap.api.edge import edge
from airgap.api.keys import Passphrase, PrivateKey, make_signer
from airgap.api.locations import Pieces, connect, join_pieces
from airgap.api.progress import ProgressCallback, make_progress
from airgap.api.sealing import choose_identities
from airgap.flow.archive import describe_work
from airgap.flow.archive import release as releases
from airgap.flow.archive.add import AddRequest, add_bundles
from airgap.flow.archive.check_archive import ArchiveCheckRequest, check_archive
from airgap.flow.archive.describe import (
    describe_bundle_records,
    describe_listing,
    list_archive,
)
from airgap.flow.archive.describe_check import describe_archive_check
from airgap.flow.archive.doctor.diagnose import DoctorRequest, diagnose_archive
from airgap.flow.archive.hold import hold_bundle
from airgap.flow.archive.merge import MergeRequest, merge_results
from airgap.flow.archive.parts import read_sample, read_shard
from airgap.flow.archive.policy import load_archive_policy
from airgap.flow.archive.renew import RenewRequest, renew_archive
from airgap.flow.location.connector import LOCAL, Connector
from airgap.flow.location.https_way import HttpsWay
from airgap.flow.location.location import (
    DepotLocation,
    is_remote_text,
    parse_depot,
    parse_location,
)
from airgap.flow.timestamps.stamp import ServerOptions
from airgap.format import fingerprints

__all__ = [
    "add",
    "check",
    "doctor",
    "hold",
    "list",
    "merge",
    "publish_release",
    "release",
    "renew",
    "show",
    "sign_release",
]


@edge
def add(  # noqa: PLR0913  (options)
    sources: Sequence[StrPath],
    archive: StrPath,
    *,
    policy: StrPath,
    class_name: str,
    key: StrPath | PrivateKey | None = None,
    passphrase: Passphrase | None = None,
    evidence: Sequence[StrPath] = (),
    identities: Sequence[StrPath] = (),
    jobs: int | None = None,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    progress: ProgressCallback | None = None,
) -> results.ArchiveAdditionDict:
    """Verify bundles, and keep them in an archive with what is known of them.

    What was interrupted is called again: a bundle that is there stays as it is.

    Args:
        sources: a depot (all of its bundles), ``DEPOT#ID``, a ``.airgap`` file, or all volumes of
            one bundle; empty: what lies in the archive already.
        archive: where they are kept.
        policy: the file with the classes of the site.
        class_name: the class that says how long to keep them.
        key: a recorder's or an approver's; as for ``export_bento``.
        passphrase: of the key, or a function that returns it; default: ``AIRGAP_PASSPHRASE``.
        evidence: further files, or folders of files, that are kept beside the bundle.
        identities: of an escrow, to prove that it opens sealed bundles; default:
            ``AIRGAP_IDENTITY``.
        jobs: threads and connections; default: the processors there are, and four.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        progress: is called as the work goes on.

    Raises:
        ConfigurationError: this machine trusts nobody, or the key is not one that may sign.
        NotTrustedError: a bundle is not signed as the root demands.
        PolicyError: the root names another policy, a bundle is refused, or a sealed one has no
            escrow.
        MissingError: a bundle, a pack, a base or a findings file is missing.
        UsageError: there is no such class.
    """
    pieces = Pieces(None, user, passwd, params)
    connector = _reach(pieces, [*sources, archive], progress, jobs)
    request = AddRequest(
        [parse_location(join_pieces(source, pieces)) for source in sources],
        _locate(archive, pieces),
        load_archive_policy(Path(policy)),
        class_name,
        make_signer(key, passphrase),
        as_paths(evidence),
        choose_identities(identities),
        jobs,
    )
    added = map(describe_work.describe_added, add_bundles(request, connector))
    described = {"archive": os.fspath(archive), "bundles": [*added]}
    return cast("results.ArchiveAdditionDict", described)


@edge
def list(  # noqa: A001  (the name of the command)
    archive: StrPath,
    *,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> results.ArchiveListingDict:
    """Return the bundles of an archive: until when each is kept, its classes and its holds.

    Args:
        archive: the archive.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.

    Raises:
        MissingError: it holds no bundle and no record.
    """
    pieces = Pieces(None, user, passwd, params)
    location = _locate(archive, pieces)
    listing = list_archive(location, _reach(pieces, [archive]))
    return cast("results.ArchiveListingDict", describe_listing(location, listing))


@edge
def show(
    archive: StrPath,
    *,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> results.ArchivedBundleDict:
    """Return the records of one bundle, who signed them, and its evidence, compared with them.

    Args:
        archive: ``ARCHIVE#ID``; the bundle may have been deleted.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.

    Raises:
        MissingError: there is no such bundle, and no record of it.
        UsageError: no bundle is named.
    """
    pieces = Pieces(None, user, passwd, params)
    described = describe_bundle_records(_locate(archive, pieces), _reach(pieces, [archive]))
    return cast("results.ArchivedBundleDict", described)


@edge
def hold(  # noqa: PLR0913  (options)
    archive: StrPath,
    reason: str,
    *,
    key: StrPath | PrivateKey | None = None,
    passphrase: Passphrase | None = None,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> results.ArchiveHoldDict:
    """Keep a bundle, whatever its class says, until the hold is released.

    Args:
        archive: ``ARCHIVE#ID``.
        reason: one line for people, which is signed.
        key: a recorder's or an approver's; as for ``export_bento``.
        passphrase: of the key, or a function that returns it; default: ``AIRGAP_PASSPHRASE``.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.

    Raises:
        ConfigurationError: the key is neither a recorder nor an approver of the site.
        MissingError: there is no such bundle.
    """
    pieces = Pieces(None, user, passwd, params)
    signer = make_signer(key, passphrase)
    held = hold_bundle(_locate(archive, pieces), reason, signer, _reach(pieces, [archive]))
    return cast("results.ArchiveHoldDict", describe_work.describe_hold(held, reason))


@edge
def release(  # noqa: PLR0913  (options)
    archive: StrPath,
    reason: str,
    *,
    hold: str = "",
    key: StrPath | PrivateKey | None = None,
    passphrase: Passphrase | None = None,
    today: date | None = None,
    output: StrPath | None = None,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> results.ArchiveReleaseDict:
    """Lift a hold, or let a bundle go whose time has come. Deletes nothing.

    If one signature is not enough, it is written to a file: the other approvers call
    ``sign_release``, and then anybody ``publish_release``.

    Args:
        archive: ``ARCHIVE#ID``.
        reason: one line for people, which is signed.
        hold: the first digits of the hold that is lifted; empty: the bundle itself is let go.
        key: an approver's, or a recorder's if the site has no approvers; as for ``export_bento``.
        passphrase: of the key, or a function that returns it; default: ``AIRGAP_PASSPHRASE``.
        today: which day it is, if the clock is far ahead of all that is known.
        output: the file for the other approvers, ``NAME.release.json``; default: the beginning of
            the bundle's id, in the working folder.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.

    Raises:
        PolicyError: the bundle must be kept, or the clock is far ahead.
        MissingError: there is no such bundle, or no such hold.
        ConfigurationError: the key is not one whose signature counts.
        ConflictError: the file exists.
    """
    pieces = Pieces(None, user, passwd, params)
    request = releases.ReleaseRequest(
        _locate(archive, pieces),
        reason,
        make_signer(key, passphrase),
        hold,
        today,
        None if output is None else Path(output),
    )
    signed = releases.release(request, _reach(pieces, [archive]))
    return cast("results.ArchiveReleaseDict", describe_work.describe_release(signed))


@edge
def sign_release(
    path: StrPath,
    digest: str,
    *,
    key: StrPath | PrivateKey | None = None,
    passphrase: Passphrase | None = None,
) -> results.ArchiveReleaseDict:
    """Add an approver's signature to the file of a release.

    Args:
        path: a ``.release.json`` file.
        digest: ``SHA256:`` and the digest that ``release`` returned.
        key: an approver's; as for ``export_bento``.
        passphrase: of the key, or a function that returns it; default: ``AIRGAP_PASSPHRASE``.

    Raises:
        NotTrustedError: the file has another digest.
        ConfigurationError: the key is not one whose signature counts.
        ConflictError: the key has signed it already.
    """
    wanted = fingerprints.normalize_digest(digest, "digest of a release", "`archive release`")
    signed = releases.read_release(Path(path))
    done = releases.sign_release(signed, make_signer(key, passphrase), wanted)
    return cast("results.ArchiveReleaseDict", describe_work.describe_release(done))


@edge
def publish_release(
    archive: StrPath,
    path: StrPath,
    *,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> results.ArchiveReleaseDict:
    """Put a release that enough approvers have signed into the archive.

    Args:
        archive: the archive.
        path: the ``.release.json`` file.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.

    Raises:
        NotTrustedError: too few have signed it.
        PolicyError: the bundle must be kept.
    """
    pieces = Pieces(None, user, passwd, params)
    signed = releases.read_release(Path(path))
    connector = _reach(pieces, [archive])
    published = releases.publish_release(_locate(archive, pieces), signed, connector)
    return cast("results.ArchiveReleaseDict", describe_work.describe_release(published))


@edge
def check(  # noqa: PLR0913  (options)
    archive: StrPath,
    *,
    sample: str | None = None,
    older_than: int | None = None,
    shard: str | None = None,
    seed: str = "",
    mend: bool = False,
    copies: Sequence[StrPath] = (),
    read_only: bool = False,
    output: StrPath | None = None,
    key: StrPath | PrivateKey | None = None,
    passphrase: Passphrase | None = None,
    jobs: int | None = None,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    progress: ProgressCallback | None = None,
) -> results.ArchiveCheckDict:
    """Read an archive, and compare all of it with its digests and signatures.

    What is damaged or missing is not an error: see ``result`` and ``problems``.

    Args:
        archive: the archive, or any other depot.
        sample: the part of the packs that is read, such as ``5%``; None: all.
        older_than: leaves out packs that were read within so many seconds, by signed results.
        shard: the part of the archive that is checked, such as ``3/64``; None: all.
        seed: chooses the sample; empty: by chance.
        mend: whether to write bad packs again from parity.
        copies: other copies of the archive, from which bad packs are written again.
        read_only: whether to write nothing into the archive, nor the result.
        output: where the signed result goes, too.
        key: a recorder's, which signs the result; None: there is no result to be kept.
        passphrase: of the key, or a function that returns it; default: ``AIRGAP_PASSPHRASE``.
        jobs: parallel connections; default: four.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        progress: is called as the work goes on.

    Raises:
        UsageError: the sample or the shard is not one.
        MissingError: there is no bundle.
        ConfigurationError: the key is not a recorder's.
    """
    pieces = Pieces(None, user, passwd, params)
    request = ArchiveCheckRequest(
        _locate(archive, pieces),
        shard=read_shard(shard),
        parts=read_sample(sample),
        older_than=older_than,
        seed=seed,
        signer=None if key is None else make_signer(key, passphrase),
        output=None if output is None else Path(output),
        is_mending=mend,
        sources=[_locate(copy, pieces) for copy in copies],
        is_read_only=read_only,
    )
    checked = check_archive(request, _reach(pieces, [archive, *copies], progress, jobs))
    return cast("results.ArchiveCheckDict", describe_archive_check(checked))


@edge
def merge(  # noqa: PLR0913  (options)
    shards: Sequence[StrPath],
    *,
    archive: StrPath | None = None,
    output: StrPath | None = None,
    key: StrPath | PrivateKey | None = None,
    passphrase: Passphrase | None = None,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> results.ArchiveCheckDict:
    """Verify the results of all shards of a check, and make one result of them.

    Args:
        shards: the files of the results.
        archive: is compared with them, and gets the merged one; None: neither.
        output: where the merged one goes.
        key: a recorder's, which signs it; None: there is no result to be kept.
        passphrase: of the key, or a function that returns it; default: ``AIRGAP_PASSPHRASE``.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.

    Raises:
        NotTrustedError: one is not signed by a recorder of the root.
        MissingError: a shard is missing.
        ConflictError: one has two different results, or they are of different archives.
    """
    pieces = Pieces(None, user, passwd, params)
    request = MergeRequest(
        as_paths(shards),
        None if key is None else make_signer(key, passphrase),
        None if output is None else Path(output),
        None if archive is None else _locate(archive, pieces),
    )
    merged = merge_results(request, _reach(pieces, [] if archive is None else [archive]))
    return cast("results.ArchiveCheckDict", describe_archive_check(merged))


@edge
def renew(  # noqa: PLR0913  (options)
    archive: StrPath,
    *,
    tsa: str | None = None,
    request: StrPath | None = None,
    response: StrPath | None = None,
    certificates: Sequence[StrPath] = (),
    before: int = 180 * 86_400,
    hash: Literal["sha256", "sha512"] = "sha256",  # noqa: A002  (the option's name)
    ca: StrPath | None = None,
    proxy: str = "",
    proxy_password_env: str = "",
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    progress: ProgressCallback | None = None,
) -> results.ArchiveRenewalDict:
    """Have an authority stamp the stamps of an archive again, before their certificates end.

    What could not be renewed is not an error: see ``problems``.

    Args:
        archive: the archive.
        tsa: the URL of a server (RFC 3161).
        request: the folder where requests go, to be carried to an authority.
        response: the folder with the answers to them.
        certificates: files of authorities' certificates that are to lie beside the stamps.
        before: renews stamps whose certificate ends within so many seconds.
        hash: that of the new stamps; with ``sha512``, an index of all files is stamped, too.
        ca: the certificate or CA by which the server of ``tsa`` is trusted.
        proxy: go through this HTTP proxy, or ``environment``.
        proxy_password_env: the variable with the password of the proxy's user.
        user: of the archive's server; the access key of S3.
        passwd: of the archive's server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        progress: is called with notes.

    Raises:
        ConfigurationError: rfc3161-client (the extra ``timestamps``) is not installed.
        UsageError: nothing says how to ask an authority.
        MissingError: there is no bundle.
    """
    pieces = Pieces(None, user, passwd, params)
    way = HttpsWay(proxy, proxy_password_env)
    wanted = RenewRequest(
        _locate(archive, pieces),
        before,
        hash,
        ServerOptions(tsa, None if ca is None else Path(ca), way) if tsa else None,
        None if request is None else Path(request),
        None if response is None else Path(response),
        as_paths(certificates),
    )
    done = renew_archive(wanted, _reach(pieces, [archive], progress))
    return cast("results.ArchiveRenewalDict", describe_work.describe_renewal(done))


@edge
def doctor(  # noqa: PLR0913  (options)
    archive: StrPath,
    *,
    sample: str | None = None,
    lock: bool = False,
    identities: Sequence[StrPath] = (),
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    progress: ProgressCallback | None = None,
) -> results.ArchiveDiagnosisDict:
    """Look at what protects an archive. Changes nothing without ``lock``.

    What is wrong is not an error: see ``healthy`` and ``findings``.

    Args:
        archive: the archive.
        sample: the part of the files that a server is asked about, such as ``5%``; None: all.
        lock: whether to lock every file first, as long as the records demand.
        identities: files, or descriptors as ``fd:N``, that must open each seal; default:
            ``AIRGAP_IDENTITY``.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        progress: is called as the work goes on.

    Raises:
        MissingError: it holds no bundle and no record.
        ConfigurationError: an identity cannot be read, or the server keeps no locks.
    """
    pieces = Pieces(None, user, passwd, params)
    location = _locate(archive, pieces)
    request = DoctorRequest(
        location, choose_identities(identities), read_sample(sample, "the files"), lock
    )
    diagnosis = diagnose_archive(request, _reach(pieces, [archive], progress))
    described = describe_work.describe_diagnosis(diagnosis, str(location))
    return cast("results.ArchiveDiagnosisDict", described)


def _locate(archive: StrPath, pieces: Pieces) -> DepotLocation:
    return parse_depot(join_pieces(archive, pieces))


def _reach(
    pieces: Pieces,
    locations: Sequence[StrPath],
    progress: ProgressCallback | None = None,
    jobs: int | None = None,
) -> Connector:
    """Return how locations are reached: the options are for those that are on a server.

    Raises:
        UsageError: there are options, and none is on a server.
    """
    texts = [join_pieces(location, pieces) for location in locations]
    remote = [text for text in texts if is_remote_text(text)]
    connector = connect((remote or texts)[0], pieces) if texts else LOCAL
    transfer = replace(connector.transfer, jobs=jobs)
    return replace(connector, transfer=transfer, progress=make_progress(progress))
