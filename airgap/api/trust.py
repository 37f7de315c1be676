"""Whom this machine trusts: a root, pinned by its fingerprint, and its successors (format §7)."""

from typing import cast

from airgap.api import results
from airgap.api.arguments import StrPath
from airgap.api.edge import edge
from airgap.flow.admission import policy, reset
from airgap.flow.describe.history import describe_history
from airgap.flow.describe.root import describe_root, root_changes
from airgap.flow.location.location import parse_location
from airgap.flow.trust.pin import pin_root, update_root
from airgap.format.root import fingerprint as compute_fingerprint

__all__ = ["pin", "show", "update"]


@edge
def pin(root: StrPath, *, fingerprint: str) -> results.PinDict:
    """Trust the site whose root has this fingerprint.

    Args:
        root: a root file with its signatures beside it, or a depot or ``.airgap`` file that holds
            roots.
        fingerprint: ``SHA256:`` and 64 hex digits, obtained by another way than the file.

    Raises:
        UsageError: the fingerprint does not have 64 hex digits.
        NotTrustedError: no root there has this fingerprint, or it lacks signatures.
        ConflictError: this machine trusts another root.
        MissingError: the depot or file holds no roots.
    """
    accepted, folder, is_new = pin_root(parse_location(str(root)), fingerprint)
    return {
        "site": accepted.site,
        "version": accepted.version,
        "new": is_new,
        "state": str(folder),
    }


@edge
def show() -> results.TrustDict:
    """Return the root that this machine trusts, and the import history.

    Raises:
        ConfigurationError: this machine trusts nobody yet.
    """
    pinned = policy.require_root()
    description = describe_root(pinned.value) | {
        "fingerprint": compute_fingerprint(pinned.raw),
        "history": describe_history(reset.check_pinned_history(), pinned.value),
    }
    return cast("results.TrustDict", description)


@edge
def update(*roots: StrPath) -> results.UpdateDict:
    """Let newer roots take over from the one that this machine trusts: all of them, or none.

    Args:
        roots: as for ``pin``. Each version follows the one before, signed by enough root keys of
            both.

    Raises:
        ConfigurationError: this machine trusts nobody yet.
        NotTrustedError, PolicyError: a root may not take over.
        CorruptError: a file is not a root.
        MissingError: a depot or file holds no roots.
    """
    done = update_root([parse_location(str(root)) for root in roots])
    before, after = done.before.value, done.after.value
    return {
        "site": after.site,
        "before": before.version,
        "version": after.version,
        "fingerprint": compute_fingerprint(done.after.raw),
        "new": before.version != after.version,
        "changes": root_changes(before, after),
        "signed_by": list(done.after.signers["root"]),
    }
