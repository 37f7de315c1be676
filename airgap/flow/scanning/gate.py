"""The gate of an import: whether what is staged may be installed (format §32.6)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airgap.errors import PolicyError
from airgap.flow.progress import Progress
from airgap.flow.scanning.policy import ScanPolicy
from airgap.flow.scanning.report import encode_report
from airgap.flow.scanning.scan_staged import find_refusal, scan_staged
from airgap.store.staging import StagedItem

__all__ = ["GateResult", "examine_staged"]


@dataclass(frozen=True, slots=True)
class GateResult:
    """What became of a scan of staged items; ``refusal``: they must not be installed.

    ``documents`` has the SHA-256 of its report under ``scan``, for the ledger (format §17.3).
    """

    documents: Mapping[str, bytes] = field(default_factory=dict)
    refusal: PolicyError | None = None


def examine_staged(
    staged: Sequence[StagedItem], bundle: str, policy: ScanPolicy, progress: Progress
) -> GateResult:
    """Scan staged items by the site's policy.

    Raises:
        ConfigurationError, StorageError: as ``scan_items``.
    """
    try:
        scan = scan_staged(staged, bundle, policy, progress)
    except PolicyError as error:  # a file has changed while scanners ran
        return GateResult(refusal=error)
    digest = hashlib.sha256(encode_report(scan)).digest()
    return GateResult({"scan": digest}, find_refusal(scan))
