"""The bill of materials that travels with a bundle (format §30.5): an attachment, signed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from airgap.bom.bill import Bill, BilledItem
from airgap.bom.cyclonedx import write_bill
from airgap.bom.facts import FactsBuilder
from airgap.flow.exporting.select import Source
from airgap.flow.licences.read_tree import read_documents
from airgap.format import limits
from airgap.format.attachment import attachment_file
from airgap.format.bundle_statement import bundle_subject
from airgap.format.intoto import InTotoStatement, encode_statement
from airgap.format.inventory import Item
from airgap.format.manifest import Manifest
from airgap.signing.signer import Signer
from airgap.signing.statements import sign_statement

__all__ = ["BillStatement", "read_sources"]

_NAME: Final = "bom"
_PREDICATE: Final = "https://cyclonedx.org/bom"
_ENVELOPE_BYTES: Final = 16 * limits.KIB
"""What is around the payload, at most: the signature, and what is longer than in the draft."""
_MOST_PAYLOAD_BYTES: Final = 3 * (limits.STATEMENT_BYTES - _ENVELOPE_BYTES) // 4


@dataclass(frozen=True, slots=True)
class BillStatement:
    """Makes the bill once the manifest is known. ``builders`` are by the key of an item.

    What items say was read before they are packed. A file that changes meanwhile ends the export.
    """

    signer: Signer
    builders: Mapping[tuple[int, str, str], FactsBuilder]

    def measure(self, draft: Manifest) -> list[int]:
        """Return the bytes that it cannot exceed: digests and numbers are known later."""
        payload = encode_statement(self._state("0" * 64, draft))
        return [4 * len(payload) // 3 + _ENVELOPE_BYTES]

    def make(self, bundle: str, manifest: Manifest, made: Mapping[str, bytes]) -> dict[str, bytes]:
        """Sign it.

        Raises:
            UsageError: it is too long, even without files.
        """
        del made
        file = attachment_file(_NAME, self.signer.key.id, "intoto.json")
        return {file: sign_statement(self._state(bundle, manifest), self.signer)}

    def _state(self, bundle: str, manifest: Manifest) -> InTotoStatement:
        """Make the statement; files are left out if it would be too long with them."""
        bill = Bill(
            [self._describe(item) for item in manifest.items],
            manifest.created_at,
            bundle,
            manifest.channel,
            manifest.sequence,
            manifest.audience,
            manifest.labels,
        )
        whole = _make_statement(bill, with_files=True)
        if len(encode_statement(whole)) <= _MOST_PAYLOAD_BYTES:
            return whole
        return _make_statement(bill, with_files=False)

    def _describe(self, item: Item) -> BilledItem:
        digests = {file.path: file.digest for file in item.files}
        return BilledItem(item, self.builders[item.key].finish(item.files, digests))


def read_sources(sources: Sequence[Source]) -> dict[tuple[int, str, str], FactsBuilder]:
    """Read what items say of themselves.

    Raises:
        StorageError: a file changed since it was scanned, or cannot be read.
    """
    return {source.key: read_documents(source.kind, source.tree).builder for source in sources}


def _make_statement(bill: Bill, *, with_files: bool) -> InTotoStatement:
    document = write_bill(bill, "1.6", with_files=with_files)
    return InTotoStatement([bundle_subject(bill.bundle)], _PREDICATE, document)
