"""Exports: BentoML's ``export_bento`` and ``export_model``, and bundles of several items.

``path`` names a local file or folder, or what is on a server: a URL, ``@REMOTE``, or a host or
bucket with BentoML's ``protocol``, ``user``, ``passwd``, ``params`` and ``subpath``.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Unpack, cast

from airgap.api import results
from airgap.api.arguments import StrPath, TagLike
from airgap.api.edge import edge
from airgap.api.export_options import ExportOptions, make_request
from airgap.api.keys import Passphrase, PrivateKey
from airgap.api.locations import Pieces, name_written
from airgap.api.progress import ProgressCallback, make_progress
from airgap.flow.describe.bundle import describe_bundle, describe_item, describe_sealing
from airgap.flow.disk_use import describe_peak
from airgap.flow.exporting import export
from airgap.flow.exporting.export import ExportRequest
from airgap.flow.exporting.write_bundle import ExportResult, Preset

__all__ = ["export_bento", "export_bundle", "export_model", "plan_export"]


@edge
def export_bento(  # noqa: PLR0913  (BentoML's arguments, and ours)
    tag: TagLike | str,
    path: StrPath,
    output_format: str | None = None,
    *,
    protocol: str | None = None,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    subpath: str | None = None,
    key: StrPath | PrivateKey | None = None,
    passphrase: Passphrase | None = None,
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
    progress: ProgressCallback | None = None,
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
        key: the private key, or its file; default: ``AIRGAP_KEY``, then the config file's ``key``.
        passphrase: of the key, or a function that returns it; default: ``AIRGAP_PASSPHRASE``.
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
        progress: is called as the work goes on.

    Raises:
        MissingError: the Bento, a model it names, or a package it needs is not here.
        PolicyError: an item holds what looks like a password, a token or a private key.
        ConfigurationError: there is no key to sign with, or it cannot be used.
        TransportError: the server cannot be reached, refused, or broke off for good.
        AirgapError: see ``airgap.errors`` for the others.
    """
    pieces = Pieces(protocol, user, passwd, params, subpath)
    options = ExportOptions(
        key=key,
        passphrase=passphrase,
        channel=channel,
        sequence=sequence,
        audience=audience,
        expires_at=expires_at,
        labels=labels,
        allow_credentials=allow_credentials,
        bases=bases,
        compression=compression,
        with_models=with_models,
        with_env=with_env,
        targets=targets,
        indexes=indexes,
        wheels=wheels,
        build_sdists=build_sdists,
        upgrade=upgrade,
        files=files,
        images=images,
        platforms=platforms,
        jobs=jobs,
    )
    request = make_request(
        [str(tag)],
        [],
        path,
        options,
        pieces=pieces,
        output_format=output_format,
        default="airgap",
    )
    return _export(request, progress)[0]


@edge
def export_model(  # noqa: PLR0913  (BentoML's arguments, and ours)
    tag: TagLike | str,
    path: StrPath,
    output_format: str | None = None,
    *,
    protocol: str | None = None,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    subpath: str | None = None,
    key: StrPath | PrivateKey | None = None,
    passphrase: Passphrase | None = None,
    channel: str | None = None,
    sequence: int | None = None,
    audience: Sequence[str] = (),
    expires_at: int | None = None,
    labels: Mapping[str, str] = MappingProxyType({}),
    allow_credentials: bool = False,
    bases: Sequence[StrPath] = (),
    compression: Preset = "default",
    jobs: int | None = None,
    progress: ProgressCallback | None = None,
) -> str:
    """Export one BentoML model, signed; return the path. Arguments as for ``export_bento``."""
    pieces = Pieces(protocol, user, passwd, params, subpath)
    options = ExportOptions(
        key=key,
        passphrase=passphrase,
        channel=channel,
        sequence=sequence,
        audience=audience,
        expires_at=expires_at,
        labels=labels,
        allow_credentials=allow_credentials,
        bases=bases,
        compression=compression,
        jobs=jobs,
    )
    request = make_request(
        [],
        [str(tag)],
        path,
        options,
        pieces=pieces,
        output_format=output_format,
        default="airgap",
    )
    return _export(request, progress)[0]


@edge
def export_bundle(
    path: StrPath | None = None,
    *,
    bentos: Sequence[TagLike | str] = (),
    models: Sequence[TagLike | str] = (),
    output_format: str | None = None,
    **options: Unpack[ExportOptions],
) -> results.ExportDict:
    """Export Bentos and models into one signed bundle.

    Args:
        path: where to: a depot (a folder, or a name for a new one), or a file whose name ends in
            ``.airgap``; None: to ``volumes``.
        bentos: the tags of Bentos, each with every model that it names.
        models: the tags of models.
        output_format: as for ``export_bento``; None lets the name decide.
        options: see ``ExportOptions``.

    Raises:
        MissingError: a Bento, a model or a package is not here.
        AirgapError: as ``export_bento``.
    """
    request = make_request(
        _write_tags(bentos), _write_tags(models), path, options, output_format=output_format
    )
    written, done = _export(request, options.get("progress"))
    description = describe_bundle(done.bundle, done.manifest)
    if done.index:
        description |= describe_sealing(done.index.bundle, done.index.manifest, inner=done.bundle)
    description |= {
        "output": written,
        "packs_written": done.packs_written,
        "packs_there": done.packs_there,
        "bytes_written": done.bytes_written,
        "signed_by": [signer.key.id for signer in request.signers],
        "volumes": list(done.volumes),
        "volume_sizes": list(done.volume_sizes),
        "survives_loss_of_a_volume": done.survives,
        "dry_run": False,
        "disk_use": [describe_peak(peak) for peak in done.peaks],
    }
    return cast("results.ExportDict", description)


@edge
def plan_export(
    path: StrPath | None = None,
    *,
    bentos: Sequence[TagLike | str] = (),
    models: Sequence[TagLike | str] = (),
    output_format: str | None = None,
    **options: Unpack[ExportOptions],
) -> results.ExportPlanDict:
    """Say what ``export_bundle`` would write, and the space that it needs; write nothing.

    Arguments as for ``export_bundle``; no key is needed.

    Raises:
        AirgapError: as ``export_bundle``.
    """
    request = make_request(
        _write_tags(bentos),
        _write_tags(models),
        path,
        options,
        output_format=output_format,
        is_signed=False,
    )
    plan = export.plan_export(request, make_progress(options.get("progress")))
    forecast, destination = plan.foreseen.forecast, request.destination
    description: dict[str, object] = {
        "dry_run": True,
        "items": [describe_item(item) | {"digest": None} for item in plan.items],
        "size": sum(item.size for item in plan.items),
        "output": "" if destination is None else name_written(destination, ""),
        "disk_use": [describe_peak(peak) for peak in plan.foreseen.peaks],
    }
    if forecast:
        description |= {"stored_size": forecast.size, "estimated": not forecast.is_exact}
    return cast("results.ExportPlanDict", description)


def _export(request: ExportRequest, progress: ProgressCallback | None) -> tuple[str, ExportResult]:
    """Export; return the path or URL of what was written, and what it is."""
    done = export.export(request, make_progress(progress))
    destination = request.destination
    return "" if destination is None else name_written(destination, done.path), done


def _write_tags(tags: Sequence[TagLike | str]) -> list[str]:
    return list(map(str, tags))
