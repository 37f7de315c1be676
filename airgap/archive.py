"""Compliance archives: bundles that are kept for years; see ``airgap.api.archive``."""

from airgap.api.archive import (
    add,
    check,
    doctor,
    hold,
    list,
    merge,
    publish_release,
    release,
    renew,
    show,
    sign_release,
)

__all__ = [
    "add",
    "check",
    "doctor",
    "hold",
    "list",
    "merge",
    "publish_release",
    "release",
    "renew",
    "show",
    "sign_release",
]
