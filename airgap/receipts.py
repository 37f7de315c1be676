"""What became of bundles at a site; see ``airgap.api.receipts``."""

from airgap.api.receipts import accept, approve, holds, list_accepted, list_missing, show

__all__ = ["accept", "approve", "holds", "list_accepted", "list_missing", "show"]
