"""Options that say whom a bundle is sealed to, and what became of it: ``export``, ``seal``."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

import click

if TYPE_CHECKING:
    from airgap.flow.publishing.recipients import SealTo

__all__ = ["make_seal_to", "seal_to_options"]

P = ParamSpec("P")


def seal_to_options(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command the options that replace the recipients of the root."""
    to = click.option(
        "--seal-to",
        "recipients",
        multiple=True,
        metavar="RECIPIENT",
        help="Seal to this recipient (age1…, or a NAME.recipient) instead of those of the site's"
        " root; repeat it.",
    )
    insecure = click.option(
        "--insecure-recipients",
        is_flag=True,
        allow_from_autoenv=False,  # said each time, by a person: not by a variable or a file
        help="Seal to recipients that no root has: they can read all of the bundle.",
    )
    return to(insecure(command))


def make_seal_to(recipients: tuple[str, ...], *, insecure: bool) -> "SealTo":
    """Return whom a person wants to seal to."""
    from airgap.flow.publishing.recipients import SealTo

    return SealTo(recipients, insecure)
