"""What a caller may say of an export, and the request that it becomes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

from airgap.api.arguments import StrPath, as_paths
from airgap.api.closures import make_closure
from airgap.api.keys import Passphrase, PrivateKey, make_signer
from airgap.api.locations import Pieces, connect, join_pieces
from airgap.api.progress import ProgressCallback
from airgap.api.sealing import choose_identities
from airgap.errors import UsageError
from airgap.flow.bundle.foreign_file import read_foreign_file
from airgap.flow.exporting import naming
from airgap.flow.exporting.attachment_options import AttachmentOptions
from airgap.flow.exporting.attachments import parse_builder_id
from airgap.flow.exporting.bases import parse_bases
from airgap.flow.exporting.export import ExportRequest
from airgap.flow.exporting.naming import NewFile
from airgap.flow.exporting.packages import PackageOptions, parse_packages
from airgap.flow.exporting.stock_archive import FORMATS
from airgap.flow.exporting.terms import Terms
from airgap.flow.exporting.want import read_want
from airgap.flow.exporting.write_bundle import Preset
from airgap.flow.media.split import VolumeOptions
from airgap.flow.publishing.recipients import SealTo
from airgap.flow.trust.roots import collect_depot_files

__all__ = ["ExportOptions", "make_attachments", "make_packages", "make_request"]


class ExportOptions(TypedDict, total=False):
    """The keyword arguments of ``export_bundle`` and ``plan_export``."""

    user: str | None
    """Of the server; the access key of S3."""
    passwd: str | None
    """Of the server; the secret key of S3. It is never printed."""
    params: Mapping[str, str] | None
    """Options of the protocol, as in a URL's query."""
    key: StrPath | PrivateKey | None
    """The private key, or its file; default: ``AIRGAP_KEY``, then the config file's ``key``."""
    passphrase: Passphrase | None
    """Of the key, or a function that returns it; default: ``AIRGAP_PASSPHRASE``."""
    with_models: bool
    """Whether the models that the Bentos name go with them; default: True."""
    channel: str | None
    """Gives the bundle this channel's next number, so that older ones are refused."""
    sequence: int | None
    """This number instead; 0: none."""
    audience: Sequence[str]
    """The sites that may import it; empty: all that trust the builder."""
    expires_at: int | None
    """No site imports it after this, in seconds since 1970; None: never."""
    labels: Mapping[str, str]
    """What people and policies are to know of it, such as its classification; signed."""
    allow_credentials: bool
    """Whether to go on although something looks like a password or a token."""
    bases: Sequence[StrPath]
    """Bundles, depots or manifests whose chunks the other side has: they are left out."""
    identities: Sequence[StrPath]
    """Files that open sealed ``bases``; default: ``AIRGAP_IDENTITY``."""
    want: StrPath | None
    """The file that an import wrote: the bundle carries exactly what it lacked."""
    license_policy: StrPath | None
    """The file that says which licences may travel; None: any."""
    roots: Sequence[StrPath]
    """Signed roots that travel with the bundle."""
    attach: Sequence[StrPath]
    """Files of others that travel with the bundle, unchecked."""
    bom: bool
    """Whether the bill of materials travels with the bundle, signed."""
    provenance: bool
    """Whether how the bundle was made is signed too, for other programs (SLSA provenance)."""
    builder_id: str
    """With ``provenance``: a URI that says who builds here; default: it follows from the key."""
    compression: Preset
    """How much time to give to size: ``none``, ``fast``, ``default`` or ``small``."""
    seal: bool
    """Whether the bundle is encrypted to the recipients of the pinned root."""
    recipients: Sequence[str]
    """``age1…``, or files with one, instead of those of the root; the bundle is sealed."""
    insecure_recipients: bool
    """Whether ``recipients`` may be given: no root has them."""
    parity: int
    """Parity packs, in percent of the packs; 0: none."""
    volume_size: int | None
    """Make volumes in numbered folders below ``path``, for media of this many bytes."""
    volumes: Sequence[StrPath]
    """Folders of mounted media that get one volume each, instead of ``path``."""
    with_env: bool
    """Whether the Python packages that the Bentos need go with them, as wheels."""
    targets: Sequence[str]
    """What the packages are for, such as ``cp311-manylinux_2_28_x86_64``; default: the Bento's
    Python on machines like this one."""
    indexes: Sequence[str]
    """Where packages are looked up, ``URL`` or ``NAME=URL``; default: where the Bento says."""
    wheels: Sequence[StrPath]
    """Files for packages that have no wheel."""
    build_sdists: bool
    """Whether packages that have no wheel are built, which runs their code."""
    upgrade: bool
    """Whether versions are chosen anew although a wheelhouse of the Bento is here."""
    files: Sequence[str]
    """Folders that the Bentos read at run time, ``NAME=FOLDER`` or ``NAME=FOLDER:VARIABLE``."""
    images: Sequence[str]
    """Container images: an OCI layout or archive, a file of ``docker save``, or a reference."""
    platforms: Sequence[str]
    """Those that travel of an image that has several; empty: all."""
    recorder_key: StrPath | PrivateKey | None
    """Signs the checkpoints of this machine's ledger that travel with the bundle; default: none
    travel."""
    jobs: int | None
    """Threads; default: the processors there are."""
    progress: ProgressCallback | None
    """Is called as the work goes on."""


def make_packages(options: ExportOptions) -> PackageOptions | None:
    """Return what is to be done about Python packages; None: they do not travel.

    Raises:
        UsageError: an option about packages is malformed, or was given without ``with_env``.
    """
    if options.get("with_env"):
        return parse_packages(
            options.get("targets", ()),
            options.get("indexes", ()),
            as_paths(options.get("wheels", ())),
            build_sdists=options.get("build_sdists", False),
            upgrade=options.get("upgrade", False),
        )
    for name in ("targets", "indexes", "wheels", "build_sdists", "upgrade"):
        if options.get(name):
            raise UsageError(f"{name} is given without with_env.", "Give with_env=True as well.")
    return None


def make_request(  # noqa: PLR0913  (what callers say)
    bentos: Sequence[str],
    models: Sequence[str],
    path: StrPath | None,
    options: ExportOptions,
    *,
    pieces: Pieces | None = None,
    output_format: str | None = None,
    default: str | None = None,
    is_signed: bool = True,
) -> ExportRequest:
    """Return what is asked of ``flow``; without ``is_signed``, no key is needed.

    ``default`` is the format where neither ``output_format`` nor the path's name tells one; None: a
    depot or a ``.airgap`` file, as with ``airgap export``.

    Raises:
        UsageError: arguments contradict each other, or are malformed.
        ConfigurationError: there is no key to sign with, or it cannot be used.
    """
    pieces = pieces or Pieces(
        None, options.get("user"), options.get("passwd"), options.get("params")
    )
    volumes = as_paths(options.get("volumes", ()))
    if (path is None) != bool(volumes):
        raise UsageError(
            "A bundle goes to path or to volumes.", "Give the one or the other, and not both."
        )
    text = join_pieces(path or "", pieces)
    connector = connect(text, pieces)
    want, recorder = options.get("want"), options.get("recorder_key")
    closure = make_closure(
        make_packages(options),
        options.get("files", ()),
        options.get("images", ()),
        options.get("platforms", ()),
    )
    exact = output_format in FORMATS and output_format != "bento"
    new = NewFile(bentos, models, output_format, default, exact_name=exact)
    request = ExportRequest(
        bentos,
        models,
        None if path is None else naming.parse_target(text, new),
        [make_signer(options.get("key"), options.get("passphrase"))] if is_signed else [],
        _make_terms(options),
        closure=closure,
        with_models=options.get("with_models", True),
        bases=parse_bases([str(base) for base in options.get("bases", ())]),
        identities=choose_identities(options.get("identities", ())) if options.get("bases") else (),
        want=None if want is None else read_want(Path(want)),
        roots=collect_depot_files(as_paths(options.get("roots", ()))),
        seal_to=_make_seal_to(options),
        recorder=make_signer(recorder, None) if recorder and is_signed else None,
        attachments=make_attachments(options),
        compression=options.get("compression", "default"),
        media=VolumeOptions(
            Path(text), options.get("volume_size") or 0, tuple(volumes), options.get("parity", 0)
        ),
    )
    policy = options.get("license_policy")
    return replace(
        request,
        licence_policy=None if policy is None else Path(policy),
        jobs=options.get("jobs"),
        credentials=connector.credentials,
        transfer=connector.transfer,
    )


def make_attachments(options: ExportOptions) -> AttachmentOptions:
    """Return what is attached to the bundle as it is made.

    Raises:
        UsageError: ``builder_id`` is not a URI, or a file cannot be attached.
        MissingError, StorageError: a file is not there, or cannot be read.
    """
    builder = options.get("builder_id", "")
    return AttachmentOptions(
        [read_foreign_file(path) for path in as_paths(options.get("attach", ()))],
        options.get("bom", False),
        parse_builder_id(builder) if options.get("provenance") else None,
    )


def _make_seal_to(options: ExportOptions) -> SealTo | None:
    recipients = tuple(options.get("recipients", ()))
    if not (options.get("seal") or recipients):
        return None
    return SealTo(recipients, options.get("insecure_recipients", False))


def _make_terms(options: ExportOptions) -> Terms:
    return Terms(
        options.get("channel"),
        options.get("sequence"),
        options.get("audience", ()),
        options.get("expires_at"),
        options.get("labels", {}),
        options.get("allow_credentials", False),
    )
