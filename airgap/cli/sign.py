"""``airgap sign``: add a builder's signature to a bundle."""

from typing import TYPE_CHECKING

import click

from airgap.cli.output import Result, key_options, location_options, read_passphrase, reports

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="sign")
@click.argument("source", metavar="SRC")
@key_options
@reports
@location_options
def command(
    *,
    source: str,
    key: str,
    passphrase_env: str | None,
    passphrase_fd: int | None,
    connector: "Connector",
) -> Result:
    """Add a builder's signature to the bundle in SRC (a depot, DEPOT#ID, or a .airgap file).

    Look at it first with `airgap inspect`: your signature says that this bundle may travel.
    """
    from airgap.flow.exporting import export
    from airgap.flow.location.location import parse_location
    from airgap.flow.trust import keys

    signer = keys.load_signer(key, read_passphrase(passphrase_env, passphrase_fd))
    bundle, file = export.sign_bundle(parse_location(source), signer, connector)
    return Result(
        {"bundle": bundle, "envelope": file, "signed_by": signer.key.id},
        [f"Signed bundle {bundle} with key {signer.key.id[:16]}…"],
    )
