"""Imports: BentoML's ``import_bento`` and ``import_model``, and all that a bundle holds.

``path`` is as in ``airgap.api.exporting``.
"""

import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack, cast

from airgap.api import results
from airgap.api.arguments import StrPath, as_paths
from airgap.api.edge import edge
from airgap.api.keys import PrivateKey, make_signer
from airgap.api.locations import Pieces, connect, join_pieces
from airgap.api.progress import ProgressCallback, make_progress
from airgap.api.sealing import choose_identities
from airgap.carrier.stock.form import Form
from airgap.errors import ConfigurationError, UsageError
from airgap.flow.bundle import model_signatures as models_own
from airgap.flow.describe.bundle import describe_admission, describe_item, describe_signers
from airgap.flow.disk_use import describe_peak
from airgap.flow.environment.packages import describe_packages, find_packages
from airgap.flow.exporting.naming import FORMAT_NAMES
from airgap.flow.exporting.stock_archive import FORMATS
from airgap.flow.importing import use_case
from airgap.flow.importing.use_case import ImportRequest, find_only_item
from airgap.flow.location.location import parse_location
from airgap.flow.receipts.describe import describe_made, describe_witnessed
from airgap.flow.receipts.make import ReceiptOptions
from airgap.format.kinds import BENTO, MODEL, Kind
from airgap.store import bentoml_objects

if TYPE_CHECKING:
    from airgap.store.bentoml_objects import Bento, Model

__all__ = ["ImportOptions", "import_bento", "import_bundle", "import_model"]


class ImportOptions(TypedDict, total=False):
    """The keyword arguments of ``import_bundle``."""

    input_format: str | None
    """As ``output_format`` of ``export_bento``; None lets the location tell."""
    user: str | None
    """Of the server; the access key of S3."""
    passwd: str | None
    """Of the server; the secret key of S3. It is never printed."""
    params: Mapping[str, str] | None
    """Options of the protocol, as in a URL's query."""
    replace: bool
    """Whether to replace installed items whose content differs."""
    kit: bool
    """Whether to import a kit, from which airgap is installed."""
    newest: bool
    """Whether to take a depot's newest bundle though older ones cannot be imported after it."""
    insecure_allow_unsigned: bool
    """Whether to take a BentoML archive that has no manifest."""
    waivers: Sequence[StrPath]
    """Files with the approvers' permission for an old bundle."""
    channel: str | None
    """The only channel to accept; None: any."""
    identities: Sequence[StrPath]
    """What opens a sealed bundle: files, or descriptors as ``fd:N``; default:
    ``AIRGAP_IDENTITY``."""
    depots: Sequence[StrPath]
    """Further locations for the chunks of earlier bundles that this one builds on."""
    license_policy: StrPath | None
    """The file that says which licences are accepted; None: any."""
    want: StrPath | None
    """If chunks are lacking, this file gets what the sender must know."""
    model_signatures: StrPath | None
    """A folder that gets the models' own signatures."""
    receipt: StrPath | None
    """A folder that gets a receipt, also of a refusal, for those who sent the bundle."""
    recorder_key: StrPath | PrivateKey | None
    """What signs the receipt: a key with the role recorder in the site's root."""
    terse_receipt: bool
    """Whether the receipt names nothing but the bundle id."""
    jobs: int | None
    """Threads; default: the processors there are."""
    progress: ProgressCallback | None
    """Is called as the work goes on."""


@edge
def import_bento(  # noqa: PLR0913  (BentoML's arguments, and ours)
    path: StrPath,
    input_format: str | None = None,
    *,
    protocol: str | None = None,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    subpath: str | None = None,
    replace: bool = False,
    insecure_allow_unsigned: bool = False,
    waivers: Sequence[StrPath] = (),
    channel: str | None = None,
    depots: Sequence[StrPath] = (),
    license_policy: StrPath | None = None,
    jobs: int | None = None,
    progress: ProgressCallback | None = None,
) -> "Bento":
    """Verify a bundle, install all it holds, and return its Bento.

    Args:
        path: a depot, ``DEPOT#ID``, a ``.airgap`` file, or an archive or folder for BentoML with
            its signed manifest beside it.
        input_format: as ``output_format`` of ``export_bento``; None lets the place tell.
        protocol: ``ftp``, ``ftpes``, ``ftps``, ``sftp`` or ``s3``, where ``path`` is a host or a
            bucket; None, ``file`` or ``osfs`` is this machine. A URL says it itself.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        subpath: joined to ``path``.
        replace: whether to replace installed items whose content differs.
        insecure_allow_unsigned: whether to take a BentoML archive that has no manifest.
        waivers: files with the approvers' permission for an old bundle.
        channel: the only channel to accept; None: any.
        depots: further places for the chunks of earlier bundles that this one builds on.
        license_policy: the file that says which licences are accepted; None: any.
        jobs: threads; default: the processors there are.
        progress: is called as the work goes on.

    Raises:
        ConfigurationError: no root is pinned, or BentoML is not installed.
        NotTrustedError: the signatures do not satisfy the root.
        CorruptError: something is not what the signed manifest says.
        ConflictError: the tag is installed with different content.
        PolicyError: expired, for another site, older than what this site has, or refused by what
            this machine remembers.
        UsageError: the bundle does not hold exactly one Bento.
        TransportError: the server cannot be reached, refused, or broke off for good.
        AirgapError: see ``airgap.errors`` for the others.
    """
    options = ImportOptions(
        input_format=input_format,
        replace=replace,
        insecure_allow_unsigned=insecure_allow_unsigned,
        waivers=waivers,
        channel=channel,
        depots=depots,
        license_policy=license_policy,
        jobs=jobs,
        progress=progress,
    )
    pieces = Pieces(protocol, user, passwd, params, subpath)
    return bentoml_objects.get_bento(_import_only(BENTO.name, path, pieces, options))


@edge
def import_model(  # noqa: PLR0913  (BentoML's arguments, and ours)
    path: StrPath,
    input_format: str | None = None,
    *,
    protocol: str | None = None,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    subpath: str | None = None,
    replace: bool = False,
    insecure_allow_unsigned: bool = False,
    waivers: Sequence[StrPath] = (),
    channel: str | None = None,
    depots: Sequence[StrPath] = (),
    license_policy: StrPath | None = None,
    jobs: int | None = None,
    progress: ProgressCallback | None = None,
) -> "Model":
    """Verify a bundle with one model, install it, and return it. See ``import_bento``."""
    options = ImportOptions(
        input_format=input_format,
        replace=replace,
        insecure_allow_unsigned=insecure_allow_unsigned,
        waivers=waivers,
        channel=channel,
        depots=depots,
        license_policy=license_policy,
        jobs=jobs,
        progress=progress,
    )
    pieces = Pieces(protocol, user, passwd, params, subpath)
    return bentoml_objects.get_model(_import_only(MODEL.name, path, pieces, options))


@edge
def import_bundle(
    *sources: StrPath, dry_run: bool = False, **options: Unpack[ImportOptions]
) -> results.ImportDict:
    """Verify a bundle and install all that it holds. BentoML need not be installed.

    Args:
        sources: a bundle, as for ``import_bento``, or volumes of one bundle.
        dry_run: check signatures, say what would be done, and write nothing.
        options: see ``ImportOptions``.

    Raises:
        MissingError: chunks, packs or volumes are lacking.
        AirgapError: as ``import_bento``.
    """
    if not sources:
        raise UsageError("There is nothing to import.", "Give a bundle, or its volumes.")
    pieces = Pieces(None, options.get("user"), options.get("passwd"), options.get("params"))
    request = _make_request(sources, pieces, options, dry_run=dry_run)
    done = use_case.import_bundle(request, make_progress(options.get("progress")))
    return cast("results.ImportDict", _describe(done, dry_run=dry_run))


def _describe(done: use_case.ImportResult, *, dry_run: bool) -> dict[str, object]:
    """Return what ``airgap import --json`` prints."""
    opened = done.opened
    description: dict[str, object] = {"bundle": None, "signed_by": [], "dry_run": dry_run}
    if opened is not None:
        description |= {"bundle": opened.bundle, **describe_signers(opened)}
        description |= describe_admission(opened)
    if done.model_signatures is not None:
        description["model_signatures"] = models_own.describe(done.model_signatures)
        description["model_signature_commands"] = list(done.commands)
    bentos = [item.tag for item, _ in done.outcomes if item.kind == BENTO.name]
    packages = () if dry_run else filter(lambda named: named.count, map(find_packages, bentos))
    return description | {
        "items": [{**describe_item(item), "outcome": outcome} for item, outcome in done.outcomes],
        "missing": list(done.missing),
        "receipt": describe_made(done.receipt),
        "witnessed": describe_witnessed(done.witnessed),
        "packages": list(map(describe_packages, packages)),
        "disk_use": list(map(describe_peak, done.peaks)),
        "bytes_written": sum(use_case.measure_written(done).values()),
    }


def _import_only(kind: Kind, path: StrPath, pieces: Pieces, options: ImportOptions) -> str:
    """Install what is there; return the tag of the one item that was asked for."""
    bentoml_objects.require_bentoml()
    request = _make_request([path], pieces, options, expected=kind)
    done = use_case.import_bundle(request, make_progress(options.get("progress")))
    return find_only_item(kind, [item for item, _ in done.outcomes]).tag


def _make_request(
    paths: Sequence[StrPath],
    pieces: Pieces,
    options: ImportOptions,
    *,
    expected: Kind | None = None,
    dry_run: bool = False,
) -> ImportRequest:
    """Return what is asked of ``flow``.

    Raises:
        UsageError: arguments contradict each other, or are malformed.
    """
    texts = [join_pieces(path, pieces) for path in paths]
    connector = connect(texts[0], pieces)
    form = _read_form(options.get("input_format"))
    want, signatures = options.get("want"), options.get("model_signatures")
    policy = options.get("license_policy")
    return ImportRequest(
        [parse_location(text, form=form) for text in texts],
        replace=options.get("replace", False),
        dry_run=dry_run,
        kit=options.get("kit", False),
        newest=options.get("newest", False),
        expected=expected,
        warn_unsigned=_warn if options.get("insecure_allow_unsigned") else None,
        waivers=as_paths(options.get("waivers", ())),
        channel=options.get("channel"),
        identities=choose_identities(options.get("identities", ())),
        depots=[parse_location(str(depot)) for depot in options.get("depots", ())],
        licence_policy=None if policy is None else Path(policy),
        want=None if want is None else Path(want),
        model_signatures=None if signatures is None else Path(signatures),
        receipt=None if dry_run else _make_receipt_options(options),
        jobs=options.get("jobs"),
        credentials=connector.credentials,
        transfer=connector.transfer,
    )


def _make_receipt_options(options: ImportOptions) -> ReceiptOptions | None:
    folder, key = options.get("receipt"), options.get("recorder_key")
    if folder is None:
        return None
    if key is None:
        raise ConfigurationError(
            "There is no key to sign the receipt with.", "Give recorder_key= as well."
        )
    signer = make_signer(key, None)
    return ReceiptOptions(Path(folder), signer, terse=options.get("terse_receipt", False))


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=_find_caller())


def _find_caller() -> int:
    """Return how far above ``warnings.warn`` the caller of the API is."""
    frame, level = sys._getframe(1), 1  # noqa: SLF001  (what warnings does, too)
    while frame.f_back and frame.f_globals["__name__"].startswith("airgap."):
        frame, level = frame.f_back, level + 1
    return level


def _read_form(input_format: str | None) -> Form | None:
    if input_format in (None, "airgap", "depot"):
        return None
    if input_format not in FORMATS:
        raise UsageError(
            f"There is no format {input_format!r}.", f"Choose one of {', '.join(FORMAT_NAMES)}."
        )
    return FORMATS[input_format]
