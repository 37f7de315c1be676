"""BentoML's ``bentoml.models``: push, pull, list, get, delete, export and import.

``depot`` is a folder, a URL or ``@REMOTE``. Without it, ``push`` and ``pull`` use ``AIRGAP_DEPOT``;
the others then work on this machine's own store, as in BentoML.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, overload

from airgap.api import depots as api_depots
from airgap.api import results
from airgap.api.arguments import StrPath, TagLike
from airgap.api.depots import Admitting, Reach, Signing
from airgap.api.edge import edge
from airgap.api.export_options import ExportOptions, make_attachments
from airgap.api.exporting import export_model
from airgap.api.importing import import_model
from airgap.api.keys import Passphrase, PrivateKey
from airgap.api.progress import ProgressCallback
from airgap.flow.bundle.tag import parse_tag
from airgap.flow.describe import stored
from airgap.flow.exporting.terms import Terms
from airgap.store import bentoml_objects

if TYPE_CHECKING:
    import builtins

    from airgap.store.bentoml_objects import Model

__all__ = ["delete", "export_model", "get", "import_model", "list", "pull", "push"]


@edge
def push(  # noqa: PLR0913  (BentoML's arguments, and ours)
    tag: TagLike | str,
    depot: StrPath | None = None,
    *,
    force: bool = False,
    bare: bool = False,
    key: StrPath | PrivateKey | None = None,
    passphrase: Passphrase | None = None,
    channel: str | None = None,
    audience: Sequence[str] = (),
    expires_at: int | None = None,
    labels: Mapping[str, str] = MappingProxyType({}),
    allow_credentials: bool = False,
    license_policy: StrPath | None = None,
    attach: Sequence[StrPath] = (),
    bom: bool = False,
    provenance: bool = False,
    builder_id: str = "",
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    jobs: int | None = None,
    progress: ProgressCallback | None = None,
) -> str:
    """Put a model into a depot, signed, unless it is there; return the bundle's id.

    Args:
        tag: its tag, as text or as BentoML's object.
        depot: where to; default: ``AIRGAP_DEPOT``.
        force: push it although it is there; let it replace other content of this tag by this key.
        bare: whether to push the signed manifest alone.
        key: the private key, or its file; default: ``AIRGAP_KEY``, then the config file's ``key``.
        passphrase: of the key, or a function that returns it; default: ``AIRGAP_PASSPHRASE``.
        channel: gives the bundle this channel's next number.
        audience: the sites that may import it; empty: all that trust the builder.
        expires_at: no site imports it after this, in seconds since 1970; None: never.
        labels: what people and policies are to know of it, such as its classification; signed.
        allow_credentials: whether to go on although something looks like a password or a token.
        license_policy: the file that says which licences may travel; None: any.
        attach: files of others that travel with the bundle, unchecked.
        bom: whether the bill of materials travels with the bundle, signed.
        provenance: whether how the bundle was made is signed too (SLSA provenance).
        builder_id: with ``provenance``, a URI that says who builds here.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        jobs: threads; default: the processors there are.
        progress: is called as the work goes on.

    Raises:
        MissingError: it is not here.
        PolicyError: an item holds what looks like a password, a token or a private key.
        ConflictError: the depot has this tag with other content.
        AirgapError: see ``airgap.errors`` for the others.
    """
    terms = Terms(
        channel,
        audience=audience,
        expires_at=expires_at,
        labels=labels,
        allow_credentials=allow_credentials,
    )
    attachments = make_attachments(
        ExportOptions(attach=attach, bom=bom, provenance=provenance, builder_id=builder_id)
    )
    return api_depots.push(
        "model",
        tag,
        Reach(depot, user, passwd, params),
        Signing(
            key,
            passphrase,
            terms,
            jobs,
            progress=progress,
            licence_policy=license_policy,
            attachments=attachments,
        ),
        bare=bare,
        force=force,
    )


@edge
def pull(  # noqa: PLR0913  (BentoML's arguments, and ours)
    tag: TagLike | str,
    depot: StrPath | None = None,
    *,
    force: bool = False,
    waivers: Sequence[StrPath] = (),
    channel: str | None = None,
    identities: Sequence[StrPath] = (),
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
    jobs: int | None = None,
    progress: ProgressCallback | None = None,
) -> "Model":
    """Return a model of this machine's store, or pull it from a depot, verified.

    Args:
        tag: its tag; without a version, or with ``latest``, the newest in the depot.
        depot: where from, or ``DEPOT#ID``; default: ``AIRGAP_DEPOT``.
        force: ask the depot although the model is here, and replace it if its content differs.
        waivers: files with the approvers' permission for an old bundle.
        channel: the only channel to accept; None: any.
        identities: files that open sealed bundles; default: ``AIRGAP_IDENTITY``.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.
        jobs: threads; default: the processors there are.
        progress: is called as the work goes on.

    Raises:
        MissingError: no bundle of the depot has it.
        ConflictError: it is here with other content.
        AirgapError: see ``airgap.errors`` for the others; as ``airgap.import_bento``.
    """
    bentoml_objects.require_bentoml()
    reach = Reach(depot, user, passwd, params)
    admitting = Admitting(force, waivers, channel, jobs, progress, identities)
    pulled = api_depots.pull("model", tag, reach, admitting)
    return bentoml_objects.get_model(pulled)


@overload
def _list(
    tag: TagLike | str | None = None,
    depot: None = None,
    *,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> "builtins.list[Model]": ...
@overload
def _list(
    tag: TagLike | str | None = None,
    *,
    depot: StrPath,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> "builtins.list[results.DepotBundleDict]": ...
@overload
def _list(
    tag: TagLike | str | None,
    depot: StrPath,
    *,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> "builtins.list[results.DepotBundleDict]": ...
@edge
def _list(
    tag: TagLike | str | None = None,
    depot: StrPath | None = None,
    *,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> "builtins.list[Model] | builtins.list[results.DepotBundleDict]":
    """List what this machine's store holds, as BentoML; or a depot, as ``airgap list --json``.

    Args:
        tag: only those of this name, or this version; None: all.
        depot: a folder, a URL or ``@REMOTE``; None: this machine's store.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.

    Raises:
        MissingError: there is no bundle in the depot.
        TransportError: it cannot be read.
    """
    if depot is None:
        return bentoml_objects.list_models(tag)
    return api_depots.list_bundles("model", tag, Reach(depot, user, passwd, params))


@overload
def get(
    tag: TagLike | str,
    depot: None = None,
    *,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> "Model": ...
@overload
def get(
    tag: TagLike | str,
    depot: StrPath,
    *,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> results.FoundBundleDict: ...
@edge
def get(
    tag: TagLike | str,
    depot: StrPath | None = None,
    *,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> "Model | results.FoundBundleDict":
    """Return a model of this machine's store; or what ``airgap get --json`` says of a depot's.

    Args:
        tag: its tag; without a version, or with ``latest``, the newest.
        depot: a folder, a URL or ``@REMOTE``; None: this machine's store.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.

    Raises:
        MissingError: it is not there.
        TransportError: the depot cannot be read.
    """
    if depot is None:
        item = stored.get_stored(parse_tag(str(tag), "model"))
        return bentoml_objects.get_model(item["tag"])
    return api_depots.find("model", tag, Reach(depot, user, passwd, params))


@edge
def delete(
    tag: TagLike | str,
    depot: StrPath | None = None,
    *,
    user: str | None = None,
    passwd: str | None = None,
    params: Mapping[str, str] | None = None,
) -> None:
    """Delete a model from this machine's store, as BentoML; or from a depot.

    Args:
        tag: its tag, with a version.
        depot: a folder, a URL or ``@REMOTE``; None: this machine's store.
        user: of the server; the access key of S3.
        passwd: of the server; the secret key of S3. It is never printed.
        params: options of the protocol, as in a URL's query.

    Raises:
        MissingError: it is not there.
        ConflictError: its bundle holds others besides.
        UsageError: the tag has no version.
    """
    if depot is None:
        item = stored.get_stored(parse_tag(str(tag), "model"))
        bentoml_objects.delete_model(item["tag"])
        return
    api_depots.delete("model", tag, Reach(depot, user, passwd, params))


_list.__name__ = _list.__qualname__ = "list"
list = _list  # noqa: A001  (BentoML's name)
