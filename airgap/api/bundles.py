"""The Python API: BentoML's ``export_bento`` and ``import_bento``, across an air gap.

``path`` names a local file or folder, or a place elsewhere: a URL, ``@REMOTE``, or a host or bucket
with BentoML's ``protocol``, ``user``, ``passwd``, ``params`` and ``subpath``.
"""

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airgap.api.keys import StrPath, signer_of
from airgap.api.locations import Pieces, halves, named, place_of, shown
from airgap.carrier.stock.archive import Form
from airgap.errors import UsageError
from airgap.flow import pipeline
from airgap.flow.admission import policy
from airgap.flow.bundle import base_bundles, open_bundle
from airgap.flow.describe.bundle import describe_admission, describe_bundle, describe_signers
from airgap.flow.exporting import export, want
from airgap.flow.exporting import sequence as numbering
from airgap.flow.exporting.export import ExportRequest
from airgap.flow.exporting.stock_archive import FORMATS, format_of_name
from airgap.flow.exporting.write_bundle import BundleOptions, Preset
from airgap.flow.importing import install_bundle, unsigned
from airgap.flow.importing.install_bundle import ImportOptions
from airgap.flow.location import remote
from airgap.flow.location.credentials import Access
from airgap.flow.location.remote import SUFFIX
from airgap.flow.media import volumes
from airgap.flow.progress import Silent
from airgap.format.inventory import Item
from airgap.format.kinds import Kind
from airgap.store import bentoml_objects
from airgap.store.kinds import find_kind

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

_OWN_FORMATS: Final = ("airgap", "depot")


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
    bases: Sequence[StrPath] = (),
    compression: Preset = "default",
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
        bases: bundles, depots or manifests whose chunks the other side has: they are left out.
        compression: how much time to give to size: ``none``, ``fast``, ``default``, ``small``.
        jobs: threads; default: the processors there are.

    Raises:
        MissingError: the Bento, or a model it names, is not here.
        ConfigurationError: there is no key to sign with, or it cannot be used.
        TransportError: the server cannot be reached, refused, or broke off for good.
        AirgapError: see ``airgap.errors`` for the others.
    """
    place, access = place_of(path, Pieces(protocol, user, passwd, params, subpath))
    request, place = _request(
        ExportRequest([str(tag)], [], with_models=with_models, access=access), place, output_format
    )
    settings = BundleOptions(
        jobs or pipeline.default_jobs(),
        channel=channel or numbering.UNNUMBERED,
        sequence=numbering.chosen(channel, sequence),
        audience=tuple(audience),
        expires_at=expires_at,
        preset=compression,
        bases=want.bases_told([str(base) for base in bases], None, access),
    )
    done = export.export(request, place, [signer_of(key, passphrase)], settings, Silent())
    return _written(done.path or place, access)


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
    bases: Sequence[StrPath] = (),
    compression: Preset = "default",
    jobs: int | None = None,
) -> str:
    """Export one BentoML model, signed; return the path. Arguments as for ``export_bento``."""
    place, access = place_of(path, Pieces(protocol, user, passwd, params, subpath))
    request, place = _request(ExportRequest([], [str(tag)], access=access), place, output_format)
    settings = BundleOptions(
        jobs or pipeline.default_jobs(),
        channel=channel or numbering.UNNUMBERED,
        sequence=numbering.chosen(channel, sequence),
        audience=tuple(audience),
        expires_at=expires_at,
        preset=compression,
        bases=want.bases_told([str(base) for base in bases], None, access),
    )
    done = export.export(request, place, [signer_of(key, passphrase)], settings, Silent())
    return _written(done.path or place, access)


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
        replace: whether to replace what is there with other content.
        insecure_allow_unsigned: whether to take a BentoML archive that has no manifest.
        waivers: files with the approvers' permission for an old bundle.
        channel: the only channel to accept; None: any.
        depots: further places for the chunks of earlier bundles that this one builds on.
        jobs: threads; default: the processors there are.

    Raises:
        ConfigurationError: no root is pinned, or BentoML is not installed.
        NotTrustedError: the signatures do not satisfy the root.
        CorruptError: something is not what the signed manifest says.
        ConflictError: the tag is there with other content.
        PolicyError: expired, for another site, older than what this site has, or refused by what
            this machine remembers.
        UsageError: the bundle does not hold exactly one Bento.
        TransportError: the server cannot be reached, refused, or broke off for good.
        AirgapError: see ``airgap.errors`` for the others.
    """
    place, access = place_of(path, Pieces(protocol, user, passwd, params, subpath))
    wishes = _ImportWishes(
        input_format, replace, insecure_allow_unsigned, jobs, waivers, channel, depots, access
    )
    return bentoml_objects.get_bento(_import("bento", place, wishes))


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
    place, access = place_of(path, Pieces(protocol, user, passwd, params, subpath))
    wishes = _ImportWishes(
        input_format, replace, insecure_allow_unsigned, jobs, waivers, channel, depots, access
    )
    return bentoml_objects.get_model(_import("model", place, wishes))


def verify(  # noqa: PLR0913  (options)
    src: StrPath,
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
    place, access = place_of(src, Pieces(None, user, passwd, params))
    judged = policy.load([Path(one) for one in waivers], channel)
    open_one = partial(open_bundle.open_bundle, judge=judged, access=access)
    with volumes.open_places((place,), open_one, Silent()) as opened:
        read = install_bundle.verify_content(
            base_bundles.with_depots(opened, [str(one) for one in depots], access),
            jobs=jobs or pipeline.default_jobs(),
            progress=Silent(),
        )
        about = describe_bundle(opened.bundle, opened.manifest.value)
        about |= {"verified": True, "bytes_read": read, **describe_signers(opened)}
        return about | describe_admission(opened)


def inspect(
    src: StrPath,
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
    place, access = place_of(src, Pieces(None, user, passwd, params))
    with open_bundle.open_unverified(place, access) as opened:
        about = describe_bundle(opened.bundle, opened.manifest, files=files)
        return about | {"verified": False}


def _request(
    request: ExportRequest, place: str, output_format: str | None
) -> tuple[ExportRequest, str]:
    """Choose the destination and its form as BentoML does, where it has both."""
    if output_format not in (None, *_OWN_FORMATS, *FORMATS):
        raise UsageError(
            f"There is no format {output_format!r}.",
            f"Choose one of {', '.join((*_OWN_FORMATS, *FORMATS))}.",
        )
    written = halves(place)[0] if remote.is_remote(place) else place
    wanted = output_format or format_of_name(written)
    if wanted in FORMATS:
        exact = output_format is not None and output_format != "bento"
        return dataclasses.replace(request, format_name=wanted, exact_name=exact), place
    return request, place if wanted == "depot" else _bundle_file(request, place)


def _bundle_file(request: ExportRequest, place: str) -> str:
    """Name the ``.airgap`` file."""
    if remote.is_remote(place):
        return named(place, _stem(request))
    if Path(place).is_dir() or place.endswith("/"):
        return str(Path(place) / f"{_stem(request)}{SUFFIX}")
    return place if place.endswith(SUFFIX) else place + SUFFIX


def _stem(request: ExportRequest) -> str:
    kind = find_kind("bento" if request.bentos else "model")
    name, version = kind.find((*request.bentos, *request.models)[0])
    return f"{name}-{version}"


def _written(place: str, access: Access) -> str:
    """Return where something was written: an absolute path, or a URL without a password."""
    if remote.is_remote(place):
        return shown(place, access)
    return str(Path(place).absolute())


@dataclass(frozen=True, slots=True)
class _ImportWishes:
    """How to import."""

    input_format: str | None
    replace: bool
    allow_unsigned: bool
    jobs: int | None
    waivers: Sequence[StrPath]
    channel: str | None
    depots: Sequence[StrPath]
    access: Access


def _import(kind: Kind, place: str, wishes: _ImportWishes) -> str:
    """Install what is there; return the tag of the one item that was asked for."""
    bentoml_objects.require_bentoml()
    form = _form(wishes.input_format)
    found = form or open_bundle.stock_form(place)
    if wishes.allow_unsigned and found and unsigned.is_unsigned(Path(place), found):
        warnings.warn(unsigned.WARNING.format(place), stacklevel=3)
        choices = ImportOptions(wishes.replace, dry_run=False)
        check = partial(_the_one, kind)
        done = unsigned.import_unsigned(Path(place), found, choices, Silent(), check)
        return _the_one(kind, [item for item, _ in done.outcomes]).tag
    judged = policy.load([Path(one) for one in wishes.waivers], wishes.channel)
    open_one = partial(
        open_bundle.open_bundle, judge=judged, form=form, remember=True, access=wishes.access
    )
    with volumes.open_places((place,), open_one, Silent()) as opened:
        tag = _the_one(kind, opened.manifest.value.items).tag
        install_bundle.import_bundle(
            base_bundles.with_depots(opened, [str(one) for one in wishes.depots], wishes.access),
            replace=wishes.replace,
            dry_run=False,
            jobs=wishes.jobs or pipeline.default_jobs(),
            progress=Silent(),
        )
        return tag


def _the_one(kind: Kind, items: Sequence[Item]) -> Item:
    """Return the one Bento, or the one model of a bundle without Bentos."""
    top = [item for item in items if item.kind == "bento"] or [
        item for item in items if item.kind == "model"
    ]
    if len(top) != 1 or top[0].kind != kind:
        raise UsageError(
            f"The bundle does not hold exactly one {kind}: {', '.join(map(str, items))}.",
            "Use `airgap import`, and get what you need from BentoML.",
        )
    return top[0]


def _form(input_format: str | None) -> Form | None:
    if input_format in (None, *_OWN_FORMATS):
        return None
    if input_format not in FORMATS:
        raise UsageError(
            f"There is no format {input_format!r}.",
            f"Choose one of {', '.join((*_OWN_FORMATS, *FORMATS))}.",
        )
    return FORMATS[input_format]
