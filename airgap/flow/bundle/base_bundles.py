"""Bundles that others build on: opened for their chunks, not to be imported."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from airgap.carrier.port import BundleReader
from airgap.errors import MissingError, NotTrustedError, UsageError
from airgap.flow.bundle.open_bundle import (
    STDIN,
    Opened,
    all_bundles,
    open_unverified,
    read_evidence,
)
from airgap.flow.chunks.chunk_sources import BaseBundle, ChunkSources
from airgap.flow.location.credentials import Access
from airgap.format import limits
from airgap.format import manifest as manifests
from airgap.format.manifest import Manifest
from airgap.format.root import Root
from airgap.signing.trust import Verified, decode_if_signed

__all__ = ["open_newest", "trusted_base_bundles", "unverified_base_bundles", "with_depots"]

_MANIFEST_FILE: Final = ".msgpack"


def with_depots(opened: Opened, places: Sequence[str], access: Access) -> Opened:
    """Let a bundle that was opened take what it builds on from these places too.

    Raises:
        NotTrustedError, MissingError: as ``trusted_shelves``.
    """
    if not places:
        return opened
    return replace(opened, supplies=ChunkSources(trusted_base_bundles(places, opened.root, access)))


def trusted_base_bundles(
    places: Sequence[str], root: Verified[Root], access: Access
) -> list[BaseBundle]:
    """Open every bundle of some depots or ``.airgap`` files whose builders this site trusts.

    How old they are, and for whom, does not matter: nothing is installed from them.

    Raises:
        NotTrustedError: one of them is not signed as the root demands.
        MissingError: a place holds no bundle.
        UsageError: one is standard input.
    """
    if STDIN in places:
        raise UsageError(
            "Standard input cannot be what a bundle builds on: that is read here and there.",
            "Write it to a file first, and name that with --depot.",
        )
    shelves: list[BaseBundle] = []
    for place in places:
        for reader, raw, reopen in _opened(place, access):
            manifest = decode_if_signed(raw, read_evidence(reader).envelopes, root)
            if manifest is None:
                raise NotTrustedError(
                    f"{reader.place} is not signed by the builders that this site trusts.",
                    "Give the depot or the bundle that the new one builds on, as it was received.",
                )
            shelves.append(BaseBundle(manifest, reopen))
    return shelves


def unverified_base_bundles(places: Sequence[str], access: Access) -> list[BaseBundle]:
    """Open bundles, or the manifests alone, of which a sender says that the other side has them.

    Nothing about them is proven. If one is not what it seems, the bundle that builds on it is of
    no use, and does no harm: an importer compares every chunk.

    Raises:
        CorruptError: one is damaged.
        MissingError: a place holds no bundle.
    """
    shelves: list[BaseBundle] = []
    for place in places:
        if place.endswith(_MANIFEST_FILE):
            shelves.append(BaseBundle(_manifest_in(Path(place))))
        else:
            shelves += [
                BaseBundle(manifests.decode(raw), again) for _, raw, again in _opened(place, access)
            ]
    return shelves


@contextmanager
def open_newest(place: str, access: Access) -> Iterator[tuple[str, BaseBundle]]:
    """Open the bundle that a person means, as ``open_unverified`` does; yield its id and itself.

    Raises:
        MissingError, CorruptError: there is none, or it is damaged.
    """
    with open_unverified(place, access) as opened:
        again = (
            partial(_archive_at_its_packs, place, access)
            if opened.reader.packs.is_stream
            else partial(_itself, opened.reader)
        )
        carries = opened.manifest.packs and place != STDIN
        yield opened.bundle, BaseBundle(opened.manifest, again if carries else None)


def _opened(
    place: str, access: Access
) -> Iterator[tuple[BundleReader, bytes, "partial[BundleReader]"]]:
    """Yield each bundle's reader, its manifest's bytes, and how to get at its packs."""
    for reader in all_bundles(place, access):
        _, raw = reader.read_manifest()
        if reader.packs.is_stream:
            yield reader, raw, partial(_archive_at_its_packs, place, access)
            reader.close()
        else:
            yield reader, raw, partial(_itself, reader)


def _archive_at_its_packs(place: str, access: Access) -> BundleReader:
    (reader,) = all_bundles(place, access)
    reader.read_manifest()
    return reader


def _itself(reader: BundleReader) -> BundleReader:
    return reader


def _manifest_in(path: Path) -> Manifest:
    try:
        with path.open("rb") as file:
            return manifests.decode(file.read(limits.MANIFEST_BYTES + 1))
    except OSError as error:
        raise MissingError(
            f"{path} cannot be read: {error.strerror}.", "Give a bundle, a depot or a manifest."
        ) from error
