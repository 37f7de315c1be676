"""Archives and folders that stock ``bentoml import`` reads, with what lies beside them (§10)."""

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from airgap.carrier.stock.folder import FolderReader, FolderWriter
from airgap.carrier.stock.form import Form, has_manifest_beside, manifest_beside
from airgap.carrier.stock.port import Member, MemberReader, MemberWriter
from airgap.carrier.stock.tar import TarReader, TarWriter
from airgap.carrier.stock.zip import ZipReader, ZipWriter
from airgap.codec.buffer import Buffer
from airgap.disk.buffers import BufferPool
from airgap.disk.os_errors import translate_errors
from airgap.disk.part_file import write_atomically, write_together
from airgap.disk.reading import read_bounded
from airgap.errors import AirgapError, MissingError, NotTrustedError, UsageError
from airgap.format import layout, limits
from airgap.format import stock_archive as stock
from airgap.format.envelope import Role, refuse_too_many
from airgap.format.manifest import Pack, bundle_id
from airgap.format.root import SignedRoot

__all__ = [
    "NoPacks",
    "SignaturesOnly",
    "StockReader",
    "publish",
    "writer_for",
]


class SignaturesOnly:
    """What archives for stock BentoML have in common: only signatures travel beside them."""

    location: str
    depot: None = None

    @property
    def stock_archive(self) -> Self:
        """Itself: it has members."""
        return self

    def read_attachments(self) -> dict[str, bytes]:
        """Return nothing: no attachments travel with such an archive (format §10)."""
        return {}

    def add_attachment(self, file: str, data: bytes) -> None:
        """Refuse: no attachments travel with such an archive (format §10)."""
        del file, data
        raise UsageError(
            f"{self.location} cannot have attachments.", "Export into a depot or a .airgap file."
        )

    def read_roots(self) -> list[SignedRoot]:
        """Refuse: no roots travel with such an archive."""
        raise MissingError(f"{self.location} holds no roots.", "Give the path of a root file.")


class StockReader(SignaturesOnly):
    """Fills ``BundleReader`` with an archive, or a folder, and what lies beside it."""

    def __init__(self, path: Path, form: Form) -> None:
        """Take the path of the archive; nothing is opened yet."""
        self.location = str(path)
        self.packs = NoPacks(self.location)
        self._form = form
        self._path = path

    @property
    def is_signed(self) -> bool:
        """Whether a manifest lies beside it; its content is not looked at."""
        return has_manifest_beside(self._path)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder; see ``StockMembers``."""
        return self._form == "folder"

    def read_manifest(self) -> tuple[str, bytes]:
        """Return the bundle id, which follows from the manifest, and the manifest's bytes.

        Raises:
            NotTrustedError: the manifest is missing.
        """
        if not self.is_signed:
            raise NotTrustedError(
                f"{self.location} has no signed manifest beside it.",
                f"Copy {self.location}.airgap-manifest and its .dsse files too; `airgap import"
                " --insecure-allow-unsigned` takes it as it is.",
            )
        beside = manifest_beside(self._path)
        raw = read_bounded(beside.parent, beside.name, limits.MANIFEST_BYTES)
        return bundle_id(raw), raw

    def read_envelopes(self, role: Role) -> list[bytes]:
        """Return the envelopes of one role."""
        return [
            read_bounded(self._path.parent, name, limits.ENVELOPE_BYTES)
            for name in self._envelope_names(role)
        ]

    def read_attestations(self, role: Role) -> list[tuple[bytes, bytes]]:
        """Return each attestation of one role with its envelope; one alone is ignored."""
        top, pairs = self._path.parent, []
        for name in self._envelope_names(role):
            with suppress(MissingError):
                statement = read_bounded(
                    top, layout.attestation_beside(name), limits.ATTESTATION_BYTES
                )
                pairs.append((statement, read_bounded(top, name, limits.ENVELOPE_BYTES)))
        return pairs

    def add_files(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Put an envelope, or an attestation and then its envelope, beside the manifest."""
        beside = manifest_beside(self._path).name
        signed = [(f"{beside}.{name}", data) for name, data in files]
        write_together(self._path.parent, signed)

    def members(self) -> Iterator[tuple[Member, Iterator[bytes]]]:
        """Yield each member with its bytes; see ``MemberReader``."""
        return self._reader().members()

    def close(self) -> None:
        """Nothing is kept open."""

    def _envelope_names(self, role: Role) -> list[str]:
        """Return the names of one role's envelopes; CorruptError if there are too many."""
        names = [path.name for other, path in _envelopes(self._path) if other == role]
        refuse_too_many(names, self.location)
        return names

    def _reader(self) -> MemberReader:
        path = self._path.resolve()  # a person may name a link; what is in the archive may not
        if self._form == "folder":
            return FolderReader(path)
        return ZipReader(path) if self._form == "zip" else TarReader(path, self._form)


class NoPacks:
    """Fills ``PackSource`` for a bundle whose manifest names no packs (format §10)."""

    volumes = ()
    is_stream = False
    spooled = None

    def __init__(self, location: str) -> None:
        """Take where the bundle is, for messages."""
        self.location = location

    def read_packs(
        self, packs: Sequence[Pack], wanted: Container[int], memory: BufferPool | None = None
    ) -> Iterator[tuple[int, Buffer | AirgapError]]:
        """Yield for each wanted pack that there is none."""
        del memory
        for index, pack in enumerate(packs):
            if index in wanted:
                name = layout.pack_name(pack.digest)
                yield (
                    index,
                    MissingError(f"{self.location} has no {name}.", "Give the whole bundle."),
                )

    def read_model_signatures(self, files: Collection[str]) -> dict[str, bytes]:
        """Return nothing: an archive for stock BentoML brings none."""
        del files
        return {}


def writer_for(path: Path, form: Form) -> MemberWriter:
    """Begin an archive, or a folder, under another name.

    Raises:
        ConflictError: a folder that is not empty is in the way.
        StorageError: it cannot be made.
    """
    if form == "folder":
        return FolderWriter(path)
    return ZipWriter(path) if form == "zip" else TarWriter(path, form)


def publish(
    path: Path, writer: MemberWriter, manifest: bytes, envelopes: Mapping[str, bytes]
) -> None:
    """Give a complete archive its name, its envelopes (by file name) and, last, its manifest.

    What lay beside an older archive of this name goes first: at no time does a manifest lie beside
    an archive that it does not describe.
    """
    with translate_errors(path):
        manifest_beside(path).unlink(missing_ok=True)
        for _, left in _envelopes(path):
            left.unlink(missing_ok=True)
    writer.publish()
    beside = manifest_beside(path).name
    for name, envelope in envelopes.items():
        write_atomically(path.parent, f"{beside}.{name}", [envelope])
    write_atomically(path.parent, beside, [manifest])


def _envelopes(path: Path) -> list[tuple[Role, Path]]:
    """Return role and path of the envelopes beside an archive, sorted."""
    try:
        listed = sorted(path.parent.iterdir())
    except OSError:
        return []
    parsed = ((stock.parse_envelope_name(path.name, file.name), file) for file in listed)
    return [(name[0], file) for name, file in parsed if name]
