"""Bundles that others build on: opened for their chunks, not to be imported."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Final

from airgap.carrier.port import BundleReader
from airgap.disk.named_files import read_named
from airgap.errors import ConfigurationError, MissingError, NotTrustedError, UsageError
from airgap.flow.bundle.look_inside import look_inside
from airgap.flow.bundle.open_bundle import (
    Opened,
    Unverified,
    demand_bundle,
    open_unverified,
    read_evidence,
    read_manifest,
)
from airgap.flow.bundle.unseal import unseal
from airgap.flow.chunks.chunk_sources import BaseBundle, ChunkSources
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import ArchiveFile, Location, StandardInput
from airgap.flow.location.readers import open_readers
from airgap.format import limits
from airgap.format import manifest as manifests
from airgap.format.manifest import Manifest
from airgap.format.root import Root
from airgap.sealing.age_keys import AgeIdentity
from airgap.sealing.identity_files import read_identities
from airgap.signing.trust import Verified, decode_if_signed

__all__ = [
    "find_bundle",
    "open_newest",
    "trusted_base_bundles",
    "unverified_base_bundles",
    "with_depots",
]

_MANIFEST_FILE: Final = ".msgpack"


def with_depots(opened: Opened, locations: Sequence[Location], connector: Connector) -> Opened:
    """Let a bundle that was opened take what it builds on from these locations too.

    Raises:
        NotTrustedError, MissingError: as ``trusted_base_bundles``.
    """
    if not locations:
        return opened
    bundles = trusted_base_bundles(locations, opened.root, connector, opened.policy.identities)
    return replace(opened, chunk_sources=ChunkSources(bundles))


def trusted_base_bundles(
    locations: Sequence[Location],
    root: Verified[Root],
    connector: Connector,
    identities: Sequence[AgeIdentity] = (),
) -> list[BaseBundle]:
    """Open every bundle of some depots or ``.airgap`` files whose builders this site trusts.

    How old they are, and for whom, does not matter: nothing is installed from them. The
    ``identities`` open sealed ones.

    Raises:
        ConfigurationError: one is sealed, and nothing opens it.
        NotTrustedError: one of them is not signed as the root demands.
        MissingError: a location holds no bundle.
        UsageError: one is standard input.
    """
    if any(isinstance(location, StandardInput) for location in locations):
        raise UsageError(
            "Standard input cannot be what a bundle builds on: that is read here and there.",
            "Write it to a file first, and name that with --depot.",
        )
    bundles: list[BaseBundle] = []
    for location in locations:
        for reader, raw, reopen in _open_each(location, connector):
            signed = decode_if_signed(raw, read_evidence(reader).envelopes, root)
            if signed is None:
                raise NotTrustedError(
                    f"{reader.location} is not signed by the builders that this site trusts.",
                    "Give the depot or the bundle that the new one builds on, as it was received.",
                )
            outer = Unverified(reader, manifests.bundle_id(raw), signed[0], raw)
            inside = _look_into(outer, identities, root)
            bundles.append(_make_base(outer, inside, reopen, identities))
    return bundles


def find_bundle(bundle: str, locations: Sequence[Location], connector: Connector) -> list[Location]:
    """Return those of the locations that hold a bundle of this id, with the id in them.

    Raises:
        TransportError, StorageError: one cannot be reached, or read.
    """
    holders: list[Location] = []
    for location in locations:
        if isinstance(location, StandardInput) or not bundle.startswith(location.bundle):
            continue
        named = replace(location, bundle=bundle)
        with suppress(MissingError, NotTrustedError), ExitStack() as stack:
            for reader in open_readers(named, connector):
                stack.callback(reader.close)
                if reader.read_manifest()[0] == bundle:
                    holders.append(named)
    return holders


def unverified_base_bundles(
    locations: Sequence[Location], connector: Connector, identities: Sequence[str] = ()
) -> list[BaseBundle]:
    """Open bundles, or the manifests alone, of which a sender says that the other side has them.

    Nothing about them is proven, but for sealed ones (``look_inside``). If one is not what it
    seems, the bundle that builds on it is of no use, and does no harm: an importer compares every
    chunk. The ``identities``, files or descriptors as ``fd:N``, open sealed ones.

    Raises:
        ConfigurationError: one is sealed, and nothing opens it.
        NotTrustedError: one is sealed, and this site does not trust who signed it.
        CorruptError: one is damaged.
        MissingError: a location holds no bundle.
    """
    bundles: list[BaseBundle] = []
    secrets = read_identities(identities)
    for location in locations:
        if isinstance(location, ArchiveFile) and location.path.suffix == _MANIFEST_FILE:
            bundles.append(BaseBundle(_read_manifest_file(location)))
        else:
            for reader, raw, reopen in _open_each(location, connector):
                outer = Unverified(reader, manifests.bundle_id(raw), manifests.decode(raw), raw)
                inside = _look_into(outer, secrets)
                bundles.append(_make_base(outer, inside, reopen, secrets))
    return bundles


@contextmanager
def open_newest(
    location: Location, connector: Connector, identities: Sequence[str] = ()
) -> Iterator[tuple[str, BaseBundle]]:
    """Open the bundle that a person means, as ``open_unverified`` does; yield its id and itself.

    The ``identities`` open a sealed one (``look_inside``); the id is then the one inside.

    Raises:
        MissingError, CorruptError: there is none, or it is damaged.
        ConfigurationError, NotTrustedError: it is sealed, and is not opened.
    """
    secrets = read_identities(identities)
    with open_unverified(location, connector) as opened:
        reopen = (
            partial(_open_at_packs, location, connector)
            if opened.reader.packs.is_stream
            else partial(_return, opened.reader)
        )
        inside = _look_into(opened, secrets)
        carries = inside.manifest.packs and not isinstance(location, StandardInput)
        yield inside.bundle, _make_base(opened, inside, reopen if carries else None, secrets)


def _look_into(
    opened: Unverified, identities: Sequence[AgeIdentity], root: Verified[Root] | None = None
) -> Unverified:
    """Return a bundle, or what is inside a sealed one. Raises as ``look_inside``."""
    if opened.manifest.sealed is None:
        return opened
    try:
        return look_inside(opened, identities, root)
    except ConfigurationError as error:
        raise error.reword(
            f"{error.message} What it has cannot be compared.",
            f"{error.hint} Or name the bundle as it was before it was sealed.",
        ) from error


def _make_base(
    outer: Unverified,
    inside: Unverified,
    reopen: Callable[[], BundleReader] | None,
    identities: Sequence[AgeIdentity],
) -> BaseBundle:
    if inside is outer or reopen is None:
        return BaseBundle(inside.manifest, reopen)
    return BaseBundle(inside.manifest, partial(_reopen_inside, reopen, outer.manifest, identities))


def _reopen_inside(
    reopen: Callable[[], BundleReader], index: Manifest, identities: Sequence[AgeIdentity]
) -> BundleReader:
    return unseal(reopen(), index, identities)


def _open_each(
    location: Location, connector: Connector
) -> Iterator[tuple[BundleReader, bytes, "partial[BundleReader]"]]:
    """Yield each bundle's reader, its manifest's bytes, and how to get at its packs."""
    for reader in open_readers(location, connector):
        try:
            _, raw = read_manifest(reader, location)
        except BaseException:
            reader.close()
            raise
        if reader.packs.is_stream:
            yield reader, raw, partial(_open_at_packs, location, connector)
            reader.close()
        else:
            yield reader, raw, partial(_return, reader)


def _open_at_packs(location: Location, connector: Connector) -> BundleReader:
    (reader,) = open_readers(location, connector)
    reader.read_manifest()
    return reader


def _return(reader: BundleReader) -> BundleReader:
    return reader


def _read_manifest_file(location: ArchiveFile) -> Manifest:
    path = location.path
    try:
        raw = read_named(path, limits.MANIFEST_BYTES)
    except OSError as error:
        raise MissingError(
            f"{path} cannot be read: {error.strerror}.", "Give a bundle, a depot or a manifest."
        ) from error
    demand_bundle(manifests.bundle_id(raw), location, str(path))
    manifest = manifests.decode(raw)
    if manifest.sealed is not None:
        raise UsageError(
            f"{path} is the index of a sealed bundle: it does not name what is inside.",
            "Give the sealed bundle and --identity, or the manifest that is inside.",
        )
    return manifest
