"""``airgap key``: make keys and show their fingerprints."""

from pathlib import Path

import click

from airgap.cli.shell import Result, passphrase_options, read_new_passphrase, reports


@click.group()
def command() -> None:
    """Make keys and show their fingerprints."""


@command.command()
@click.argument("name")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Where to put the two files; default: here.",
)
@click.option(
    "--algorithm",
    default="ed25519",
    show_default=True,
    help="ed25519, ecdsa-p256-sha256 or ecdsa-p384-sha384.",
)
@click.option("--no-passphrase", is_flag=True, help="Do not encrypt the private key.")
@passphrase_options
@reports
def generate(  # noqa: PLR0913  (one argument per option)
    *,
    name: str,
    folder: Path,
    algorithm: str,
    no_passphrase: bool,
    passphrase_env: str | None,
    passphrase_fd: int | None,
) -> Result:
    """Make the key pair NAME.key (private) and NAME.pub (to give away)."""
    from airgap.flow import trust  # noqa: PLC0415

    passphrase = None if no_passphrase else read_new_passphrase(passphrase_env, passphrase_fd)
    made = trust.generate_key(folder, name, algorithm, passphrase)
    return Result(
        {
            "private": str(made.private),
            "public": str(made.public),
            "algorithm": made.key.algorithm,
            "key_id": made.key.id,
        },
        [
            f"{made.private}  keep this one to yourself",
            f"{made.public}  give this one away",
            f"key id {made.key.id}",
        ],
    )


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@reports
def fingerprint(*, file: Path) -> Result:
    """Show the id of the public key in FILE."""
    from airgap.flow import trust  # noqa: PLC0415

    key = trust.key_fingerprint(file)
    return Result({"algorithm": key.algorithm, "key_id": key.id}, [f"{key.id}  {key.algorithm}"])
