"""Root files: made, changed, signed, read; see ``airgap.api.roots`` and ``root_changes``."""

from airgap.api.root_changes import (
    RootChange,
    add_key,
    demand,
    forbid_options,
    limit_label,
    limit_trust_anchors,
    name_key,
    permit_options,
    remove_demand,
    remove_key,
    revoke_bundle,
    revoke_key,
    set_expiry,
    set_minimum_sequence,
    set_threshold,
)
from airgap.api.roots import change, create, read, sign

__all__ = [
    "RootChange",
    "add_key",
    "change",
    "create",
    "demand",
    "forbid_options",
    "limit_label",
    "limit_trust_anchors",
    "name_key",
    "permit_options",
    "read",
    "remove_demand",
    "remove_key",
    "revoke_bundle",
    "revoke_key",
    "set_expiry",
    "set_minimum_sequence",
    "set_threshold",
    "sign",
]
