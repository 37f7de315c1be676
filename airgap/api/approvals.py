"""What is signed about a bundle: builders' signatures, attestations and waivers.

Nobody is asked: where a location holds several bundles, the full id says which is signed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, cast

from airgap.api import results
from airgap.api.arguments import StrPath
from airgap.api.edge import edge
from airgap.api.keys import Passphrase, PrivateKey, make_signer
from airgap.api.locations import Pieces, connect, join_pieces
from airgap.api.progress import ProgressCallback, make_progress
from airgap.flow.bundle.open_to_sign import BundleToSign, name_bundle, open_to_sign
from airgap.flow.exporting.export import sign_bundle
from airgap.flow.location.location import parse_location
from airgap.flow.trust import attest as attesting
from airgap.flow.trust import waivers
from airgap.flow.trust.describe import describe_waiver
from airgap.format import fingerprints
from airgap.signing.signer import Signer

__all__ = ["approve", "attest", "sign", "sign_waiver", "waive"]


@edge
def sign(  # noqa: PLR0913  (options)
    src: StrPath,
    *,
    bundle: str | None = None,
    key: StrPath | PrivateKey | None = None,
    passphrase: Passphrase | None = None,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    progress: ProgressCallback | None = None,
) -> results.SignatureDict:
    """Add a builder's signature to a bundle. Nothing of it is verified.

    Args:
        src: a depot, ``DEPOT#ID``, or a ``.airgap`` file.
        bundle: the full id of the bundle that is meant; required if ``src`` holds several.
        key: the private key, or its file; default: ``AIRGAP_KEY``, then the config file's ``key``.
        passphrase: of the key, or a function that returns it; default: ``AIRGAP_PASSPHRASE``.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        progress: is called with notes, such as that the bundle has other volumes.

    Raises:
        UsageError: several bundles are there, and the full id was not given.
        ConflictError: the key has signed it already, or no room is left in the ``.airgap`` file.
    """
    signer = make_signer(key, passphrase)
    with _open(src, bundle, Pieces(None, user, passwd, params)) as candidate:
        envelope = sign_bundle(candidate, signer, make_progress(progress))
    return {"bundle": candidate.bundle, "envelope": envelope, "signed_by": signer.key.id}


@edge
def approve(  # noqa: PLR0913  (options)
    src: StrPath,
    *,
    bundle: str | None = None,
    reject: bool = False,
    name: str = "",
    note: str = "",
    intoto: bool = False,
    key: StrPath | PrivateKey | None = None,
    passphrase: Passphrase | None = None,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    progress: ProgressCallback | None = None,
) -> results.StatementDict:
    """Accept or reject a bundle as an approver.

    If this machine trusts a site, a bundle is accepted only if enough builders have signed it.

    Args:
        src: as for ``sign``, like ``bundle`` and the arguments from ``key`` on.
        bundle: the full id of the bundle that is meant; required if ``src`` holds several.
        reject: whether to reject it.
        name: what is approved; default: ``review``.
        note: one line for people, signed with the decision.
        intoto: whether to sign the same once more, as an in-toto statement for other programs.
        key: the private key, or its file; default: ``AIRGAP_KEY``, then the config file's ``key``.
        passphrase: of the key, or a function that returns it; default: ``AIRGAP_PASSPHRASE``.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        progress: is called with notes, such as that the bundle has other volumes.

    Raises:
        UsageError: as ``sign``; or the name or the note cannot be signed.
        NotTrustedError: it is accepted, and too few builders signed it.
        ConflictError: this key has signed another statement about it.
    """
    decision = _decide(reject=reject)
    statement = attesting.Statement("approver", decision, note, name=name, is_stated=intoto)
    signer, pieces = make_signer(key, passphrase), Pieces(None, user, passwd, params)
    return _attest(src, bundle, statement, signer, pieces, progress)


@edge
def attest(  # noqa: PLR0913  (options)
    src: StrPath,
    *,
    role: Literal["scanner", "approver"],
    findings: StrPath,
    bundle: str | None = None,
    reject: bool = False,
    name: str = "",
    note: str = "",
    attach: bool = True,
    intoto: bool = False,
    key: StrPath | PrivateKey | None = None,
    passphrase: Passphrase | None = None,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    progress: ProgressCallback | None = None,
) -> results.StatementDict:
    """Accept or reject a bundle on a report, of which the SHA-256 is signed.

    Args:
        src: as for ``sign``, like ``bundle`` and the arguments from ``key`` on.
        role: of the key.
        findings: the report.
        bundle: the full id of the bundle that is meant; required if ``src`` holds several.
        reject: whether to reject it.
        name: what is attested; default: ``malware`` for a scanner, ``review`` for an approver.
        note: one line for people, signed with the decision.
        attach: whether a copy of the report travels with the bundle.
        intoto: whether to sign the same once more, as an in-toto statement for other programs.
        key: the private key, or its file; default: ``AIRGAP_KEY``, then the config file's ``key``.
        passphrase: of the key, or a function that returns it; default: ``AIRGAP_PASSPHRASE``.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        progress: is called with notes, such as that the bundle has other volumes.

    Raises:
        StorageError: the report cannot be read.
        AirgapError: as ``approve``.
    """
    statement = attesting.Statement(
        role,
        _decide(reject=reject),
        note,
        Path(findings),
        is_attached=attach,
        name=name,
        is_stated=intoto,
    )
    signer, pieces = make_signer(key, passphrase), Pieces(None, user, passwd, params)
    return _attest(src, bundle, statement, signer, pieces, progress)


@edge
def waive(  # noqa: PLR0913  (options)
    src: StrPath,
    *,
    site: str,
    reason: str,
    expires_at: int,
    bundle: str | None = None,
    output: StrPath | None = None,
    key: StrPath | PrivateKey | None = None,
    passphrase: Passphrase | None = None,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> results.WaiverDict:
    """Permit a site to import one bundle although it is expired or old.

    Args:
        src: as for ``sign``, like ``bundle`` and the arguments from ``key`` on.
        site: the site that may import it.
        reason: one line for people, signed with the rest.
        expires_at: how long it may, in seconds since 1970.
        bundle: the full id of the bundle that is meant; required if ``src`` holds several.
        output: the file, ``NAME.waiver``; default: the beginning of the bundle's id, in the current
            folder.
        key: the private key, or its file; default: ``AIRGAP_KEY``, then the config file's ``key``.
        passphrase: of the key, or a function that returns it; default: ``AIRGAP_PASSPHRASE``.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.

    Raises:
        UsageError: as ``sign``; or the reason cannot be signed, or the time has passed.
        NotTrustedError: this machine has the site's root, and too few builders signed the bundle.
        ConflictError: the output file, or signatures of its name, exist.
    """
    signer = make_signer(key, passphrase)
    draft = waivers.WaiverDraft(site, reason, expires_at)
    path = None if output is None else Path(output)
    with _open(src, bundle, Pieces(None, user, passwd, params)) as candidate:
        signed = waivers.create_waiver(candidate, draft, signer, path)
    return _describe(signed)


@edge
def sign_waiver(
    waiver: StrPath,
    *,
    digest: str,
    key: StrPath | PrivateKey | None = None,
    passphrase: Passphrase | None = None,
) -> results.WaiverDict:
    """Add another approver's signature to a waiver.

    Args:
        waiver: the file.
        digest: of the waiver that is to be signed, as ``waive`` returns it; no other is signed.
        key: the private key, or its file; default: ``AIRGAP_KEY``, then the config file's ``key``.
        passphrase: of the key, or a function that returns it; default: ``AIRGAP_PASSPHRASE``.

    Raises:
        NotTrustedError: the waiver has another digest.
        CorruptError: the file is not a waiver.
        StorageError: the signature cannot be written.
    """
    signer = make_signer(key, passphrase)
    expected = fingerprints.normalize_digest(digest, "digest of a waiver", "`airgap.waive`")
    signed = waivers.read_waiver(Path(waiver))
    return _describe(waivers.sign_waiver(signed, signer, expected))


@contextmanager
def _open(src: StrPath, bundle: str | None, pieces: Pieces) -> Iterator[BundleToSign]:
    text = join_pieces(src, pieces)
    location = name_bundle(parse_location(text), bundle)
    with open_to_sign(location, connect(text, pieces)) as candidate:
        yield candidate


def _decide(*, reject: bool) -> Literal["accept", "reject"]:
    return "reject" if reject else "accept"


def _attest(  # noqa: PLR0913, PLR0917  (what two functions share)
    src: StrPath,
    bundle: str | None,
    statement: attesting.Statement,
    signer: Signer,
    pieces: Pieces,
    progress: ProgressCallback | None,
) -> results.StatementDict:
    with _open(src, bundle, pieces) as candidate:
        attestation = attesting.attest(candidate, statement, signer, make_progress(progress))
    findings = attestation.findings
    return {
        "bundle": candidate.bundle,
        "role": attestation.role,
        "name": attestation.name,
        "decision": attestation.decision,
        "note": attestation.note,
        "findings": None if findings is None else findings.hex(),
        "signed_by": signer.key.id,
    }


def _describe(signed: waivers.SignedWaiver) -> results.WaiverDict:
    description = {"waiver": str(signed.path), **describe_waiver(signed), "new": signed.new}
    return cast("results.WaiverDict", description)
