"""``airgap sign``: add a builder's signature to a bundle."""

from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, key_options, location_options, reports
from airgap.cli.passphrases import read_passphrase
from airgap.cli.signing import SigningPurpose, bundle_option, open_shown

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="sign", cls=HelpCommand)
@click.argument("source", metavar="SRC")
@bundle_option
@key_options
@reports
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    source: str,
    bundle: str | None,
    key: str,
    passphrase_env: str | None,
    passphrase_fd: int | None,
    connector: "Connector",
) -> Result:
    """Add a builder's signature to the bundle in SRC (a depot, DEPOT#ID, or a .airgap file).

    Shows what is signed, and signs these bytes. Your signature says that this bundle may travel:
    compare its ID with the one that you expect.
    """
    from airgap.cli.signers import load_signer
    from airgap.flow.exporting import export

    signer = load_signer(key, read_passphrase(passphrase_env, passphrase_fd))
    purpose = SigningPurpose("To be signed as builder", "Sign", "as builder")
    with open_shown(source, bundle, purpose, connector) as candidate:
        file = export.sign_bundle(candidate, signer, connector.progress)
    return Result(
        {"bundle": candidate.bundle, "envelope": file, "signed_by": signer.key.id},
        [f"Signed bundle {candidate.bundle}", f"  with key {signer.key.id}"],
    )
