"""``airgap key``: make keys and show their fingerprints."""

from pathlib import Path

import click

from airgap.cli.help import HelpGroup
from airgap.cli.output import OutputPath, Result, answers, reports
from airgap.cli.passphrases import passphrase_options, read_new_passphrase, read_passphrase


@click.group(cls=HelpGroup)
def command() -> None:
    """Make keys and show their fingerprints."""


@command.command()
@click.argument("name")
@click.option(
    "--dir",
    "folder",
    metavar="DIR",
    type=OutputPath(),
    default=Path(),
    help="The folder for the two files; default: the current one.",
)
@click.option(
    "--algorithm",
    metavar="NAME",
    show_default="ed25519, with --fips ecdsa-p384-sha384",
    help="ed25519, ecdsa-p256-sha256, ecdsa-p384-sha384, ml-dsa-65 or ml-dsa-87.",
)
@click.option(
    "--fips", is_flag=True, help="Make an ECDSA key in a file that works on machines in FIPS mode."
)
@click.option("--no-passphrase", is_flag=True, help="Do not encrypt the private key.")
@click.option(
    "--seal",
    is_flag=True,
    help="Make an identity that opens sealed bundles, and its recipient. --algorithm: hybrid or"
    " x25519.",
)
@passphrase_options
@reports
def generate(  # noqa: PLR0913  (one argument per option)
    *,
    name: str,
    folder: Path,
    algorithm: str | None,
    fips: bool,
    no_passphrase: bool,
    seal: bool,
    passphrase_env: str | None,
    passphrase_fd: int | None,
) -> Result:
    """Make the key pair NAME.key (private) and NAME.pub (to give away).

    With --seal: NAME.identity (private, without a passphrase) and NAME.recipient (to give away).
    """
    from airgap.flow.trust import keys

    if seal:
        return _make_identity(folder, name, algorithm, fips=fips)
    ask = read_new_passphrase(passphrase_env, passphrase_fd)
    kind = keys.choose_kind(algorithm, fips=fips)
    made = keys.generate_key(folder, name, kind, None if no_passphrase else ask(name))
    return Result(
        {
            "private": str(made.private),
            "public": str(made.public),
            "algorithm": made.key.algorithm,
            "key_id": made.key.id,
        },
        [
            f"{made.private}  keep this file secret",
            f"{made.public}  give this file away",
            f"key id {made.key.id}",
        ],
    )


def _make_identity(folder: Path, name: str, algorithm: str | None, *, fips: bool) -> Result:
    from airgap.flow.trust import keys

    made = keys.generate_identity(folder, name, algorithm, fips=fips)
    return Result(
        {
            "private": str(made.private),
            "public": str(made.public),
            "algorithm": made.algorithm,
            "recipient": made.recipient,
        },
        [
            f"{made.private}  keep this file secret: it has no passphrase",
            f"{made.public}  give this file away",
            f"recipient {made.recipient[:40]}…",
        ],
    )


@command.command()
@click.argument("key", metavar="KEY")
@passphrase_options
@answers
def fingerprint(*, key: str, passphrase_env: str | None, passphrase_fd: int | None) -> Result:
    """Show the id of KEY: a public or private key file, ssh-agent:SHA256:… or pkcs11:…."""
    from airgap.flow.trust import keys

    public_key = keys.load_public_key(key, read_passphrase(passphrase_env, passphrase_fd))
    return Result(
        {"algorithm": public_key.algorithm, "key_id": public_key.id},
        [f"{public_key.id}  {public_key.algorithm}"],
    )


@command.command()
@click.argument("key", metavar="KEY")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=OutputPath(),
    required=True,
    help="The file for the public half, such as builder.pub.",
)
@passphrase_options
@reports
def export_public(
    *, key: str, output: Path, passphrase_env: str | None, passphrase_fd: int | None
) -> Result:
    """Write the public half of KEY, so that a root can name it.

    KEY is a private key file, a public one of OpenSSH, ssh-agent:SHA256:… or pkcs11:….
    """
    from airgap.flow.trust import keys

    ask = read_passphrase(passphrase_env, passphrase_fd)
    public_key = keys.export_public(key, ask, output)
    return Result(
        {"public": str(output), "algorithm": public_key.algorithm, "key_id": public_key.id},
        [f"{output}  give this file away", f"key id {public_key.id}"],
    )
