"""``airgap seal``: encrypt a bundle to the recipients of its site."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.copy import make_result
from airgap.cli.help import HelpCommand
from airgap.cli.output import (
    Result,
    jobs_option,
    key_options,
    location_options,
    reports,
    tmpdir_option,
)
from airgap.cli.passphrases import read_passphrase
from airgap.cli.sealing_options import make_seal_to, seal_to_options

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="seal", cls=HelpCommand)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@seal_to_options
@tmpdir_option
@key_options
@jobs_option
@reports
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    source: str,
    destination: str,
    recipients: tuple[str, ...],
    insecure_recipients: bool,
    tmpdir: Path | None,
    key: str,
    passphrase_env: str | None,
    passphrase_fd: int | None,
    jobs: int | None,
    connector: "Connector",
) -> Result:
    """Encrypt the bundle in SRC to the recipients of the site's root, and write it to DST.

    SRC and DST are as for `airgap copy`. What travels with the bundle is sealed with it: its name,
    its items, its signatures. --key signs the index, which names none of it. The courier
    needs no key.
    """
    del jobs  # it is in ``connector``
    from airgap.cli.signers import load_signer
    from airgap.flow.depot.seal import SealRequest, seal_bundles
    from airgap.flow.location.location import parse_location

    target = parse_location(destination, to_write=True)
    request = SealRequest(
        parse_location(source),
        target,
        [load_signer(key, read_passphrase(passphrase_env, passphrase_fd))],
        make_seal_to(recipients, insecure=insecure_recipients),
        credentials=connector.credentials,
        transfer=replace(connector.transfer, spool=tmpdir),
    )
    return make_result(seal_bundles(request, connector.progress), target)
