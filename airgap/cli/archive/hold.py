"""``airgap archive hold``: keep a bundle until somebody releases it."""

from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, key_options, location_options, reports
from airgap.cli.passphrases import read_passphrase

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="hold", cls=HelpCommand)
@click.argument("archive", metavar="ARCHIVE#ID")
@click.option("--reason", required=True, metavar="TEXT", help="One line for people.")
@key_options
@reports
@location_options
def hold(  # noqa: PLR0913  (one argument per option)
    *,
    archive: str,
    reason: str,
    key: str,
    passphrase_env: str | None,
    passphrase_fd: int | None,
    connector: "Connector",
) -> Result:
    """Keep a bundle of ARCHIVE, whatever its class, until the hold is released.

    Signs a record with --key, a recorder's or an approver's. A bundle may have several holds.
    """
    from airgap.cli.signers import load_signer
    from airgap.flow.archive.describe_work import describe_hold
    from airgap.flow.archive.hold import hold_bundle
    from airgap.flow.location.location import parse_depot

    signer = load_signer(key, read_passphrase(passphrase_env, passphrase_fd))
    held = hold_bundle(parse_depot(archive), reason, signer, connector)
    lines = [
        f"{'held' if held.is_new else 'already held'}: bundle {held.bundle}",
        f"  hold {held.hold}",
    ]
    return Result(describe_hold(held, reason), lines)
