"""Whom this machine trusts; see ``airgap.api.trust``."""

from airgap.api.trust import pin, show, update

__all__ = ["pin", "show", "update"]
