"""``airgap root``: the trust document of a site, from its first version to its last."""

import click

from airgap.cli.help import HelpGroup
from airgap.cli.root import (
    add_authority,
    add_key,
    add_recipient,
    ceremony_sheet,
    create,
    demand,
    forbid,
    limit_anchors,
    limit_label,
    name_key,
    remove_authority,
    remove_key,
    remove_recipient,
    revoke_bundle,
    revoke_key,
    set_expiry,
    set_min_sequence,
    set_policy,
    set_receipts,
    set_threshold,
    show,
    sign,
)

__all__ = ["command"]


@click.group(cls=HelpGroup)
def command() -> None:
    """Make, change and sign the trust document of a site.

    A change to a signed root begins the proposal of the next version (-o NEXT); a proposal is
    changed in place until it is signed. It takes over on a machine (`airgap trust update`)
    when enough root keys of the old version and of its own have signed it.
    """


for module in (
    create,
    show,
    sign,
    ceremony_sheet,
    add_key,
    remove_key,
    revoke_key,
    set_threshold,
    revoke_bundle,
    set_min_sequence,
    set_expiry,
    demand,
    forbid,
    limit_label,
    limit_anchors,
    name_key,
    add_recipient,
    remove_recipient,
    add_authority,
    remove_authority,
    set_policy,
    set_receipts,
):
    command.add_command(module.command)
