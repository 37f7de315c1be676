"""The files of a bundle besides its packs: small files that every volume carries."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from airgap.carrier.port import SignedManifest
from airgap.errors import AirgapError, MissingError, UsageError
from airgap.flow.bundle import model_signatures
from airgap.flow.bundle.open_bundle import Unverified
from airgap.flow.bundle.signature_files import read_signature_files
from airgap.format import envelope as dsse
from airgap.format import layout
from airgap.format import root as roots
from airgap.format.manifest import Manifest
from airgap.format.root import SignedRoot

__all__ = ["SmallFiles", "read_small_files"]


@dataclass(frozen=True, slots=True)
class SmallFiles:
    """A bundle's manifest and the files beside it. None of them is verified."""

    bundle: str
    manifest: Manifest
    raw: bytes
    envelopes: dict[str, bytes]
    """All files of the bundle's folder but its manifest, volumes' labels and parity, by name."""
    roots: dict[str, bytes]
    """Roots that travel with the bundle, and their envelopes, by depot name."""

    @property
    def sizes(self) -> list[int]:
        """The sizes of all these files, in bytes."""
        files = (self.raw, *self.envelopes.values(), *self.roots.values())
        return [len(data) for data in files]


def read_small_files(opened: Unverified) -> SmallFiles:
    """Read the files beside the packs of a depot or ``.airgap`` file; call it before reading packs.

    Raises:
        UsageError: it is an archive for stock BentoML, which has no packs.
        CorruptError, StorageError: it cannot be read.
    """
    reader = opened.reader
    if reader.stock_archive:
        raise UsageError(
            f"{reader.location} has no packs.", "Give a depot or a .airgap file of `airgap export`."
        )
    envelopes = read_signature_files(reader) | reader.read_attachments()
    # In a .airgap file these come after the packs, so that they stay behind.
    envelopes |= model_signatures.read(reader.packs, opened.manifest)
    return SmallFiles(
        opened.bundle,
        opened.manifest,
        opened.raw,
        envelopes,
        dict(_name_roots(_read_roots(reader))),
    )


def _read_roots(reader: SignedManifest) -> Sequence[SignedRoot]:
    try:
        return reader.read_roots()
    except MissingError:
        return ()


def _name_roots(signed: Sequence[SignedRoot]) -> Iterator[tuple[str, bytes]]:
    for root in signed:
        version = roots.decode(root.raw).version
        yield layout.root_name(version), root.raw
        for raw in root.envelopes:
            with suppress(AirgapError):
                yield layout.root_envelope_name(version, dsse.decode(raw).key_id), raw
