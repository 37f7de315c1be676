"""What a person asks to travel beside the manifest, and what makes it (format §24)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airgap.flow.bundle.foreign_file import ForeignFile
from airgap.flow.exporting.attachments import AttachmentMaker, GivenFiles, Provenance
from airgap.flow.exporting.select import Source
from airgap.flow.exporting.write_bundle import BundleOptions
from airgap.signing.signer import Signer

__all__ = ["AttachmentOptions", "list_makers"]


@dataclass(frozen=True, slots=True)
class AttachmentOptions:
    """What is attached to a bundle as it is made."""

    files: Sequence[ForeignFile] = ()
    """Files of others."""
    bill: bool = False
    """Whether the bill of materials travels with the bundle (format §30.5)."""
    builder_id: str | None = None
    """A URI that says who makes the bundle, for its provenance (format §31.2); empty: it follows
    from the key; None: no provenance is made."""

    def __bool__(self) -> bool:
        """Tell whether anything is attached."""
        return bool(self.files or self.bill or self.builder_id is not None)


def list_makers(
    options: AttachmentOptions,
    signer: Signer | None,
    sources: Sequence[Source],
    asked: Mapping[str, Any],
    settings: BundleOptions,
) -> Iterator[AttachmentMaker]:
    """Yield what makes the attachments; provenance comes last, and names the others.

    Without a signer, as in a plan, only the files of others are attached. ``asked`` is what the
    provenance says that a person asked for, beside what the manifest has.

    Raises:
        StorageError: a file changed since it was scanned, or cannot be read.
    """
    if options.bill and signer:
        from airgap.flow.exporting.bill_statement import BillStatement, read_sources

        yield BillStatement(signer, read_sources(sources))
    if options.files:
        yield GivenFiles(options.files)
    if options.builder_id is not None and signer:
        yield Provenance(signer, options.builder_id, asked, settings.preset, settings.bases)
