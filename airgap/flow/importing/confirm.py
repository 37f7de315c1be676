"""Confirms an import, or its refusal, to those who sent the bundle, by a receipt (format §29)."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from airgap.errors import AirgapError
from airgap.flow.admission import policy
from airgap.flow.admission.history import clip_note
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.progress import Progress
from airgap.flow.receipts.make import (
    BundleFate,
    MadeReceipt,
    ReceiptOptions,
    make_receipt,
    require_receipts,
)
from airgap.format.inventory import Item
from airgap.format.receipt import OUTCOMES, ReceiptOutcome

__all__ = ["Confirmer"]

_OUTCOMES: Final[Mapping[str, ReceiptOutcome]] = MappingProxyType(
    {outcome: outcome for outcome in OUTCOMES}
)


class Confirmer:
    """Makes the receipt of one import."""

    def __init__(self, options: ReceiptOptions, progress: Progress) -> None:
        """Prove that a receipt can be made, before anything is imported.

        Raises:
            ConfigurationError: this machine trusts nobody yet, or the key is not a recorder.
            MissingError, StorageError: the folder does not exist, or cannot be written.
        """
        self._options = options
        self._progress = progress
        self._root = policy.require_root()
        self._refused: list[BundleFate] = []
        require_receipts(options, self._root.value)

    def note_refusal(self, bundle: bytes, error: AirgapError) -> None:
        """Take a bundle of which a refusal is recorded."""
        self._refused.append(BundleFate(bundle, reason=error.kind, note=clip_note(error.message)))

    @contextmanager
    def confirm_refusals(self) -> Iterator[None]:
        """Make the receipt of a refusal that ends the block, and say in its error where it is.

        What the ledger does not record, such as a damaged medium, gets none.
        """
        try:
            yield
        except AirgapError as error:
            if self._refused:
                error.details += (self._describe_refusal(self._refused[-1]),)
            raise

    def confirm(self, opened: Opened, outcomes: Iterable[tuple[Item, str]]) -> MadeReceipt:
        """Make the receipt of a bundle that was imported.

        Raises:
            AirgapError: there is none; the message says that the bundle was imported.
        """
        by_key = {item.key: _OUTCOMES[outcome] for item, outcome in outcomes}
        fate = BundleFate(bytes.fromhex(opened.bundle), opened, by_key)
        try:
            return make_receipt(fate, self._options, self._root, self._progress)
        except AirgapError as error:
            raise error.reword(
                f"The bundle was imported, but there is no receipt: {error.message}",
                f"{error.hint} Then run the same import again: it makes the receipt.",
            ) from error

    def _describe_refusal(self, fate: BundleFate) -> str:
        try:
            made = make_receipt(fate, self._options, self._root, self._progress)
        except AirgapError as error:
            return f"There is no receipt of the refusal: {error.message}"
        return f"receipt: {made.path}"
