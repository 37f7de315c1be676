"""The site that this machine trusts, and what its root forbids here (format §7.6)."""

from collections.abc import Mapping

from airgap.errors import PolicyError
from airgap.format.root import Root
from airgap.signing import trust
from airgap.signing.trust import Verified
from airgap.state import pinned_root
from airgap.transport.open_transport import TRUST_ANCHORS, Permit

__all__ = [
    "load_pinned",
    "make_permit",
    "refuse_forbidden",
    "refuse_forbidden_options",
]


def load_pinned() -> Verified[Root] | None:
    """Return the root that this machine has pinned; None if it trusts nobody yet.

    Raises:
        ConfigurationError: the state is incomplete.
        NotTrustedError: the pinned root was changed on disk.
    """
    pinned = pinned_root.load_root()
    if pinned is None:
        return None
    return trust.accept_root(pinned.raw, pinned.envelopes, pinned.fingerprint)


def refuse_forbidden(option: str, spelling: str) -> None:
    """Refuse an option that weakens what is checked, if the site's root forbids it.

    ``option`` is its name in the root, ``spelling`` how a person gave it.

    Raises:
        PolicyError: it is forbidden.
        ConfigurationError, NotTrustedError: see ``load_pinned``.
    """
    pinned = load_pinned()
    if pinned is not None and pinned.value.rules.forbids(option):
        root = pinned.value
        raise PolicyError(
            f"The root of site {root.site} (version {root.version}) forbids {spelling}.",
            "Leave the option out. Only a new root can permit it: `airgap root forbid --lift`.",
        )


def refuse_forbidden_options(options: Mapping[str, str]) -> None:
    """Refuse options of a protocol that the site's root does not permit here.

    Raises:
        PolicyError: it forbids ``insecure_http``, or an option that recognizes servers.
        ConfigurationError, NotTrustedError: see ``load_pinned``.
    """
    if options.get("insecure_http") == "yes":
        refuse_forbidden("http", "insecure_http=yes")
    anchors = TRUST_ANCHORS & options.keys()
    pinned = load_pinned() if anchors else None
    if pinned is None or pinned.value.rules.trust_anchors is None:
        return
    refused = sorted(anchors.difference(pinned.value.rules.trust_anchors))
    if refused:
        root = pinned.value
        raise PolicyError(
            f"The root of site {root.site} (version {root.version}) does not let"
            f" {refused[0]} decide which server is trusted.",
            "Remove the option from the named remote, or ask for a root that permits it:"
            " `airgap root limit-anchors`.",
        )


def make_permit() -> Permit | None:
    """Return what refuses variables and files that recognize servers; None if the site has no rule.

    They are set on this machine, as its config file is, so without a rule they are permitted. With
    one they need the same permission as the option that they stand for.

    Raises:
        ConfigurationError, NotTrustedError: see ``load_pinned``.
    """
    pinned = load_pinned()
    if pinned is None or pinned.value.rules.trust_anchors is None:
        return None
    root, permitted = pinned.value, pinned.value.rules.trust_anchors

    def permit(option: str, source: str) -> None:
        if option not in permitted:
            raise PolicyError(
                f"The root of site {root.site} (version {root.version}) does not let {source}"
                " decide which server is trusted.",
                f"Remove that setting, or ask for a root that permits {option}:"
                " `airgap root limit-anchors`.",
            )

    return permit
