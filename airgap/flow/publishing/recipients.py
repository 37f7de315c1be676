"""Whom a bundle is sealed to: the recipients of the site's signed root (format §34.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from airgap.errors import ConfigurationError, UsageError
from airgap.flow.progress import Progress
from airgap.flow.site import load_pinned, refuse_forbidden
from airgap.format.site_rules import Recipient
from airgap.sealing.age_keys import AgeRecipient
from airgap.sealing.identity_files import read_recipient

__all__ = ["SealTo", "choose_recipients"]

_ESCROW: Final = "escrow"


@dataclass(frozen=True, slots=True)
class SealTo:
    """Whom to seal to: the recipients of the root, or those that a person names instead."""

    recipients: Sequence[str] = ()
    """Recipients, or files with one; empty: those of the root."""
    insecure: bool = False
    """Whether recipients may be named that the root does not have."""


def choose_recipients(to: SealTo, progress: Progress) -> tuple[AgeRecipient, ...]:
    """Return whom to seal to, all of one type.

    Raises:
        UsageError: recipients are named without ``insecure``, or are of two types.
        ConfigurationError: there is no root, it has no recipients, or one is not usable.
        PolicyError: the site's root forbids recipients of one's own.
    """
    if to.recipients and not to.insecure:
        raise UsageError(
            "Recipients come from the signed root of the site, and --seal-to names others.",
            "Leave it out, or add --insecure-recipients: nobody has signed that they may read it.",
        )
    chosen = _read_named(to.recipients) if to.recipients else _read_root(progress)
    kinds = {recipient.kind for recipient in chosen}
    if len(kinds) > 1:
        raise UsageError(
            f"The recipients are of two types: {', '.join(sorted(kinds))}.",
            "Use one: a single recipient that a quantum computer can break opens all of it.",
        )
    return chosen


def _read_named(texts: Sequence[str]) -> tuple[AgeRecipient, ...]:
    refuse_forbidden("recipients", "--insecure-recipients")
    recipients = {one.text: one for one in map(read_recipient, texts)}
    return tuple(recipients[text] for text in sorted(recipients))


def _read_root(progress: Progress) -> tuple[AgeRecipient, ...]:
    pinned = load_pinned()
    if pinned is None:
        raise ConfigurationError(
            "This machine trusts nobody yet, so that it does not know whom to seal to.",
            "Pin the root of the site that gets the bundle: airgap trust init ROOT --fingerprint …",
        )
    root = pinned.value
    recipients = root.rules.recipients
    if not recipients:
        raise ConfigurationError(
            f"The root of site {root.site} (version {root.version}) names no recipients.",
            "Make a key on the other side (airgap key generate NAME --seal), and put it into the"
            " next root (airgap root add-recipient).",
        )
    if not any(recipient.purpose == _ESCROW for recipient in recipients):
        progress.note(
            f"The root of site {root.site} names no escrow: if the identities of"
            f" {_list_labels(recipients)} are lost, nobody can open the bundle."
        )
    return tuple(read_recipient(recipient.recipient) for recipient in recipients)


def _list_labels(recipients: Sequence[Recipient]) -> str:
    return ", ".join(recipient.label for recipient in recipients)
