"""The Python API: BentoML's ``export_bento`` and ``import_bento``, across an air gap.

``path`` names a local file or folder, or what is on a server: a URL, ``@REMOTE``, or a host or
bucket with BentoML's ``protocol``, ``user``, ``passwd``, ``params`` and ``subpath``.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airgap.api.closures import make_closure
from airgap.api.keys import StrPath, make_signer
from airgap.api.locations import Pieces, connect, join_pieces, name_written
from airgap.carrier.stock.form import Form
from airgap.errors import UsageError
from airgap.flow.bundle import open_bundle
from airgap.flow.describe.bundle import describe_admission, describe_bundle, describe_signers
from airgap.flow.exporting import export, naming
from airgap.flow.exporting.closure import Closure
from airgap.flow.exporting.export import ExportRequest
from airgap.flow.exporting.naming import FORMAT_NAMES, NewFile
from airgap.flow.exporting.packages import parse_packages
from airgap.flow.exporting.stock_archive import FORMATS
from airgap.flow.exporting.terms import Terms
from airgap.flow.exporting.write_bundle import Preset
from airgap.flow.importing.use_case import (
    ImportRequest,
    VerifyRequest,
    find_only_item,
    import_bundle,
    refuse_missing_volumes,
    verify_bundle,
)
from airgap.flow.location.location import parse_location
from airgap.flow.progress import Silent
from airgap.format.kinds import Kind
from airgap.store import bentoml_objects

if TYPE_CHECKING:
    from airgap.store.bentoml_objects import Bento, Model

__all__ = [
    "export_bento",
    "export_model",
    "import_bento",
    "import_model",
    "inspect",
    "verify",
]

_CALLER = 6
"""How far above ``warnings.warn`` the caller of ``import_bento`` is."""


def export_bento(  # noqa: PLR0913  (BentoML's arguments, and ours)
    tag: object,
    path: StrPath,
    output_format: str | None = None,
    *,
    protocol: str | None = None,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    subpath: str | None = None,
    key: StrPath | None = None,
    passphrase: str | bytes | None = None,
    with_models: bool = True,
    channel: str | None = None,
    sequence: int | None = None,
    audience: Sequence[str] = (),
    expires_at: int | None = None,
    labels: Mapping[str, str] = MappingProxyType({}),
    allow_credentials: bool = False,
    bases: Sequence[StrPath] = (),
    compression: Preset = "default",
    with_env: bool = False,
    targets: Sequence[str] = (),
    indexes: Sequence[str] = (),
    wheels: Sequence[StrPath] = (),
    build_sdists: bool = False,
    upgrade: bool = False,
    files: Sequence[str] = (),
    images: Sequence[str] = (),
    platforms: Sequence[str] = (),
    jobs: int | None = None,
) -> str:
    """Export a Bento with every model it names, signed; return the path of what was written.

    Args:
        tag: the Bento's tag, as text or as BentoML's object.
        path: where to. A folder that is there, or a path that ends in ``/``, gets
            ``<name>-<version>.airgap``; a name without an extension that is known gets ``.airgap``.
        output_format: ``airgap`` (one file), ``depot`` (a folder that shares packs), or one of
            BentoML's: ``bento tar gz xz bz2 zip folder``. None lets the name decide.
        protocol: ``ftp``, ``ftpes``, ``ftps``, ``sftp`` or ``s3``, where ``path`` is a host or a
            bucket; None, ``file`` or ``osfs`` is this machine. A URL says it itself.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        subpath: joined to ``path``.
        key: the private key file; default: ``AIRGAP_KEY``, then the config file's ``key``.
        passphrase: of the key; default: ``AIRGAP_PASSPHRASE``.
        with_models: whether the models that the Bento names go with it.
        channel: gives the bundle this channel's next number, so that older ones are refused.
        sequence: this number instead; 0: none.
        audience: the sites that may import it; empty: all that trust the builder.
        expires_at: no site imports it after this, in seconds since 1970; None: never.
        labels: what people and policies are to know of it, such as its classification; signed.
        allow_credentials: whether to go on although something looks like a password or a token.
        bases: bundles, depots or manifests whose chunks the other side has: they are left out.
        compression: how much time to give to size: ``none``, ``fast``, ``default``, ``small``.
        with_env: whether the Python packages that the Bento needs go with it, as wheels.
        targets: what the packages are for, such as ``cp311-manylinux_2_28_x86_64``; default: the
            Bento's Python on machines like this one.
        indexes: where packages are looked up, ``URL`` or ``NAME=URL``; default: where the Bento
            says.
        wheels: files for packages that have no wheel.
        build_sdists: whether packages that have no wheel are built, which runs their code.
        upgrade: whether versions are chosen anew although a wheelhouse of the Bento is here; those
            in the Bento's lock stay.
        files: folders that the Bento reads at run time, ``NAME=FOLDER`` or
            ``NAME=FOLDER:VARIABLE``.
        images: container images: an OCI layout or archive, a file of ``docker save``, or a
            reference.
        platforms: those that travel of an image that has several; empty: all.
        jobs: threads; default: the processors there are.

    Raises:
        MissingError: the Bento, a model it names, or a package it needs is not here.
        PolicyError: an item holds what looks like a password, a token or a private key.
        ConfigurationError: there is no key to sign with, or it cannot be used.
        TransportError: the server cannot be reached, refused, or broke off for good.
        AirgapError: see ``airgap.errors`` for the others.
    """
    packages = None
    if with_env:
        given = [Path(wheel) for wheel in wheels]
        packages = parse_packages(
            targets, indexes, given, build_sdists=build_sdists, upgrade=upgrade
        )
    closure = make_closure(packages, files, images, platforms)
    options = _ExportOptions(
        path,
        Pieces(protocol, user, passwd, params, subpath),
        output_format,
        key,
        passphrase,
        Terms(channel, sequence, audience, expires_at, labels, allow_credentials),
        with_models=with_models,
        bases=bases,
        compression=compression,
        closure=closure,
        jobs=jobs,
    )
    return _export([str(tag)], [], options)


def export_model(  # noqa: PLR0913  (BentoML's arguments, and ours)
    tag: object,
    path: StrPath,
    output_format: str | None = None,
    *,
    protocol: str | None = None,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    subpath: str | None = None,
    key: StrPath | None = None,
    passphrase: str | bytes | None = None,
    channel: str | None = None,
    sequence: int | None = None,
    audience: Sequence[str] = (),
    expires_at: int | None = None,
    labels: Mapping[str, str] = MappingProxyType({}),
    allow_credentials: bool = False,
    bases: Sequence[StrPath] = (),
    compression: Preset = "default",
    jobs: int | None = None,
) -> str:
    """Export one BentoML model, signed; return the path. Arguments as for ``export_bento``."""
    options = _ExportOptions(
        path,
        Pieces(protocol, user, passwd, params, subpath),
        output_format,
        key,
        passphrase,
        Terms(channel, sequence, audience, expires_at, labels, allow_credentials),
        bases=bases,
        compression=compression,
        jobs=jobs,
    )
    return _export([], [str(tag)], options)


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
    jobs: int | None = None,
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
        jobs: threads; default: the processors there are.

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
    options = _ImportOptions(
        path,
        Pieces(protocol, user, passwd, params, subpath),
        input_format,
        replace=replace,
        allow_unsigned=insecure_allow_unsigned,
        waivers=waivers,
        channel=channel,
        depots=depots,
        jobs=jobs,
    )
    return bentoml_objects.get_bento(_import("bento", options))


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
    jobs: int | None = None,
) -> "Model":
    """Verify a bundle with one model, install it, and return it. See ``import_bento``."""
    options = _ImportOptions(
        path,
        Pieces(protocol, user, passwd, params, subpath),
        input_format,
        replace=replace,
        allow_unsigned=insecure_allow_unsigned,
        waivers=waivers,
        channel=channel,
        depots=depots,
        jobs=jobs,
    )
    return bentoml_objects.get_model(_import("model", options))


def verify(  # noqa: PLR0913  (options)
    path: StrPath,
    *,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    waivers: Sequence[StrPath] = (),
    channel: str | None = None,
    depots: Sequence[StrPath] = (),
    jobs: int | None = None,
) -> dict[str, Any]:
    """Check signatures and every byte, write nothing; return what ``airgap verify --json`` prints.

    Arguments as for ``import_bento``.

    Raises:
        AirgapError: as ``import_bento``, but for conflicts.
    """
    pieces = Pieces(None, user, passwd, params)
    text = join_pieces(path, pieces)
    connector = connect(text, pieces)
    request = VerifyRequest(
        [parse_location(text)],
        waivers=[Path(waiver) for waiver in waivers],
        channel=channel,
        depots=[parse_location(str(depot)) for depot in depots],
        jobs=jobs,
        credentials=connector.credentials,
        transfer=connector.transfer,
    )
    done = verify_bundle(request, Silent())
    refuse_missing_volumes(done)
    description = describe_bundle(done.opened.bundle, done.opened.manifest.value)
    description |= {
        "verified": True,
        "bytes_read": done.bytes_read,
        **describe_signers(done.opened),
    }
    return description | describe_admission(done.opened)


def inspect(
    path: StrPath,
    *,
    files: bool = False,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return what ``airgap inspect --json`` prints. Nothing about it is proven.

    Raises:
        AirgapError: there is no bundle, or it is damaged.
    """
    pieces = Pieces(None, user, passwd, params)
    text = join_pieces(path, pieces)
    with open_bundle.open_unverified(parse_location(text), connect(text, pieces)) as opened:
        description = describe_bundle(opened.bundle, opened.manifest, files=files)
        return description | {"verified": False}


@dataclass(frozen=True, slots=True)
class _ExportOptions:
    """How to export, as a caller said it."""

    path: StrPath
    pieces: Pieces
    output_format: str | None
    key: StrPath | None
    passphrase: str | bytes | None = field(repr=False)
    terms: Terms
    with_models: bool = True
    bases: Sequence[StrPath] = ()
    compression: Preset = "default"
    closure: Closure = field(default_factory=Closure)
    jobs: int | None = None


def _export(bentos: Sequence[str], models: Sequence[str], options: _ExportOptions) -> str:
    """Export; return the path or URL of what was written."""
    text = join_pieces(options.path, options.pieces)
    connector = connect(text, options.pieces)
    name = options.output_format
    exact = name in FORMATS and name != "bento"
    new = NewFile(bentos, models, name, exact_name=exact, default="airgap")
    request = ExportRequest(
        bentos,
        models,
        destination := naming.parse_target(text, new),
        [make_signer(options.key, options.passphrase)],
        options.terms,
        closure=options.closure,
        with_models=options.with_models,
        bases=[parse_location(str(base)) for base in options.bases],
        compression=options.compression,
        jobs=options.jobs,
        credentials=connector.credentials,
        transfer=connector.transfer,
    )
    return name_written(destination, export.export(request, Silent()).path)


@dataclass(frozen=True, slots=True)
class _ImportOptions:
    """How to import, as a caller said it."""

    path: StrPath
    pieces: Pieces
    input_format: str | None
    replace: bool
    allow_unsigned: bool
    waivers: Sequence[StrPath]
    channel: str | None
    depots: Sequence[StrPath]
    jobs: int | None


def _import(kind: Kind, options: _ImportOptions) -> str:
    """Install what is there; return the tag of the one item that was asked for."""
    bentoml_objects.require_bentoml()
    text = join_pieces(options.path, options.pieces)
    connector = connect(text, options.pieces)
    request = ImportRequest(
        [parse_location(text, form=_form(options.input_format))],
        replace=options.replace,
        expected=kind,
        warn_unsigned=_warn if options.allow_unsigned else None,
        waivers=[Path(waiver) for waiver in options.waivers],
        channel=options.channel,
        depots=[parse_location(str(depot)) for depot in options.depots],
        jobs=options.jobs,
        credentials=connector.credentials,
        transfer=connector.transfer,
    )
    done = import_bundle(request, Silent())
    return find_only_item(kind, [item for item, _ in done.outcomes]).tag


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=_CALLER)


def _form(input_format: str | None) -> Form | None:
    if input_format in (None, "airgap", "depot"):
        return None
    if input_format not in FORMATS:
        raise UsageError(
            f"There is no format {input_format!r}.", f"Choose one of {', '.join(FORMAT_NAMES)}."
        )
    return FORMATS[input_format]
