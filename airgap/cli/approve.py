"""``airgap approve``: accept or reject a bundle as one of the site's approvers."""

from typing import TYPE_CHECKING

import click

from airgap.cli.attest import sign_statement
from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, key_options, location_options, reports
from airgap.cli.passphrases import read_passphrase
from airgap.cli.signing import bundle_option

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector
    from airgap.format.attestation import Decision


@click.command(name="approve", cls=HelpCommand)
@click.argument("source", metavar="SRC")
@bundle_option
@click.option(
    "--reject", is_flag=True, help="Reject it: sites of this approver will not import it."
)
@click.option(
    "--name",
    metavar="NAME",
    default="",
    help="What is approved, such as licence; default: review.",
)
@click.option(
    "--intoto",
    "is_stated",
    is_flag=True,
    help="Sign the same once more, as an in-toto statement for other programs.",
)
@click.option(
    "--note", metavar="TEXT", default="", help="One line for people, signed with the decision."
)
@key_options
@reports
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    source: str,
    bundle: str | None,
    reject: bool,
    name: str,
    is_stated: bool,
    note: str,
    key: str,
    passphrase_env: str | None,
    passphrase_fd: int | None,
    connector: "Connector",
) -> Result:
    """Accept the bundle in SRC (a depot, DEPOT#ID, or a .airgap file) as an approver.

    Shows what is signed, and signs these bytes: compare the ID with the one that you expect. If
    this machine trusts a site, a bundle is accepted only if enough of its builders have signed it.
    """
    from airgap.flow.trust import attest

    decision: Decision = "reject" if reject else "accept"
    statement = attest.Statement("approver", decision, note, name=name, is_stated=is_stated)
    ask = read_passphrase(passphrase_env, passphrase_fd)
    return sign_statement(source, bundle, statement, key, ask, connector)
