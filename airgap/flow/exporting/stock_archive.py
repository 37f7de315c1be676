"""To archives that stock ``bentoml import`` reads (format §10)."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

from airgap.carrier.stock.archive import publish, writer_for
from airgap.carrier.stock.form import Form
from airgap.carrier.stock.port import Member, MemberWriter
from airgap.carrier.stock.remote import send_stock_archive
from airgap.disk.digests import digest_file
from airgap.errors import StorageError, UsageError
from airgap.flow.exporting import write_bundle
from airgap.flow.exporting.select import Source
from airgap.flow.exporting.write_bundle import BundleOptions, ExportResult
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import RemoteStockArchive, StockArchive
from airgap.flow.progress import Progress
from airgap.format import manifest as manifests
from airgap.format import stock_archive as stock
from airgap.format.inventory import Item
from airgap.format.manifest import Manifest
from airgap.signing.signer import Signer
from airgap.store.source_tree import SourceFile, read_stable
from airgap.transport.spool import Spool

__all__ = ["FORMATS", "export_remote_stock", "export_stock"]

FORMATS: Final[Mapping[str, Form]] = {
    "bento": "xz",
    "bentomodel": "xz",
    "tar": "tar",
    "tar.gz": "gz",
    "tar.xz": "xz",
    "tar.bz2": "bz2",
    "zip": "zip",
    "folder": "folder",
    # as BentoML's own export_bento calls them
    "gz": "gz",
    "xz": "xz",
    "bz2": "bz2",
}


def export_stock(
    sources: Sequence[Source],
    target: StockArchive,
    signers: Sequence[Signer],
    settings: BundleOptions,
    progress: Progress,
) -> ExportResult:
    """Write one archive, its envelopes and, last, its manifest.

    Raises:
        UsageError: not exactly one Bento with its models, or one model.
        ConflictError: a folder that is not empty is in the way.
        StorageError, CorruptError: as ``export_items``.
    """
    _refuse_several(sources)
    stock.check_items([write_bundle.draft_item(source) for source in sources])
    writer = writer_for(target.path, target.form)
    try:
        progress.begin("exporting", sum(source.tree.size for source in sources))
        manifest = _Archive(sources, writer, target.form).write(settings, progress)
        raw = manifests.encode(manifest)
        envelopes = write_bundle.sign_manifest(raw, signers)
        write_bundle.record_export(manifest, raw, signers, progress, settings.documents)
        publish(target.path, writer, raw, envelopes)
    finally:
        writer.abort()
        progress.end()
    size = manifest.size if target.form == "folder" else target.path.stat().st_size
    return ExportResult(manifests.bundle_id(raw), manifest, 0, 0, size, str(target.path))


def export_remote_stock(
    sources: Sequence[Source],
    target: RemoteStockArchive,
    signers: Sequence[Signer],
    settings: BundleOptions,
    connector: Connector,
) -> ExportResult:
    """Write one archive into a local file, then put it on a server, its manifest last.

    Raises:
        TransportError: the server cannot be reached, or broke off.
        UsageError, StorageError, CorruptError: as ``export_stock``.
    """
    progress = connector.progress
    spool_folder = connector.transfer.spool
    with closing(connector.open_folder(target)) as folder, closing(Spool(spool_folder)) as spool:
        progress.note(f"Spooling to {spool.folder}, because the manifest is known last.")
        archive = spool.folder / target.file_name
        done = export_stock(
            sources, StockArchive(archive, target.form), signers, settings, progress
        )
        beside = {
            path.name: path.read_bytes() for path in spool.folder.iterdir() if path != archive
        }
        progress.begin("sending", archive.stat().st_size)
        try:
            send_stock_archive(folder, archive, beside, progress.advance)
        finally:
            progress.end()
    return replace(done, path=str(target))


class _Archive:
    """One archive being written: the files as they are read, then what has no content."""

    def __init__(self, sources: Sequence[Source], writer: MemberWriter, form: Form) -> None:
        self._sources = sources
        self._writer = writer
        self._form = form
        self._prefixes = {source.key: _prefix(source, sources) for source in sources}
        self._claimed: dict[tuple[tuple[int, str, str], str], bytes] = {}
        self._written: set[bytes] = set()

    def write(self, settings: BundleOptions, progress: Progress) -> Manifest:
        """Write all members; return the manifest."""
        manifest = write_bundle.inventory_only(self._sources, settings, self._carry, progress)
        for source, item in zip(self._sources, manifest.items, strict=True):
            if source.rules.stock == "by digest":
                self._refuse_other_digests(item)
                continue
            prefix = self._prefixes[source.key]
            for path in source.tree.empty_folders:
                self._writer.add(Member(prefix + path, "folder"))
            if self._form == "folder":
                for path, target in source.tree.links.items():
                    self._writer.add(Member(prefix + path, "link", target=target))
            else:
                self._copy_linked(source, prefix)
        return manifest

    def _carry(self, source: Source, file: SourceFile, pieces: Iterator[bytes]) -> None:
        """Write a file as it is read."""
        if source.rules.stock != "by digest":
            path = self._prefixes[source.key] + file.path
            self._writer.add(Member(path, "file", file.size, file.executable), pieces)
            return
        # Its name is its digest, which must be known before its first byte is written.
        digest = digest_file(Path(file.location))
        self._claimed[source.key, file.path] = digest
        if digest in self._written:
            deque(pieces, maxlen=0)
        else:
            self._written.add(digest)
            member = Member(stock.name_by_digest(digest), "file", file.size)
            self._writer.add(member, pieces)

    def _refuse_other_digests(self, item: Item) -> None:
        """Demand that each file had the same digest at its second reading."""
        for file in item.files:
            if self._claimed[item.key, file.path] != file.digest:
                raise StorageError(
                    f"{file.path} of {item} changed while it was being read.",
                    "Wait until no program writes to it, and run the same command again.",
                )

    def _copy_linked(self, source: Source, prefix: str) -> None:
        """Store what links lead to under the links' own paths: stock import follows no others."""
        files = {file.path: file for file in source.tree.files}
        for path in source.tree.links:
            linked = stock.resolve_link(path, source.tree.links, files)
            if linked is not None:
                file = files[linked]
                member = Member(prefix + path, "file", file.size, file.executable)
                self._writer.add(member, read_stable(file))


def _refuse_several(sources: Sequence[Source]) -> None:
    """Demand one Bento, with what it needs, or one model."""
    placements = [source.rules.stock for source in sources]
    has_bento = placements.count("top") == 1 and "none" not in placements
    if not has_bento and placements != ["models"]:
        raise UsageError(
            f"This format holds one Bento, or one model, and {len(sources)} items were asked for.",
            "Export them one by one, or into a depot or a .airgap file.",
        )


def _prefix(source: Source, sources: Sequence[Source]) -> str:
    alone = len(sources) == 1
    return (
        "" if alone or source.kind == "bento" else f"{stock.MODELS}/{source.name}/{source.version}/"
    )
