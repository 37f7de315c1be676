"""``airgap root``: make the trust document of a site."""

from pathlib import Path

import click

from airgap.cli.shell import Result, passphrase_options, read_passphrase, reports
from airgap.errors import UsageError


@click.group()
def command() -> None:
    """Make the trust document of a site."""


@command.command()
@click.option("--site", required=True, help="The site's id, such as hospital-north.")
@click.option(
    "--root-key",
    metavar="KEY",
    required=True,
    help="The site's own private key: a file, ssh-agent:SHA256:… or pkcs11:…",
)
@click.option(
    "--builder",
    "builders",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="A public key whose owner may sign bundles; repeat it.",
)
@click.option(
    "--threshold", "thresholds", multiple=True, metavar="builder=K", help="How many must sign."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Such as root.msgpack."
)
@passphrase_options
@reports
def create(  # noqa: PLR0913  (one argument per option)
    *,
    site: str,
    root_key: str,
    builders: tuple[Path, ...],
    thresholds: tuple[str, ...],
    output: Path,
    passphrase_env: str | None,
    passphrase_fd: int | None,
) -> Result:
    """Make version 1 of a root and print the fingerprint that `airgap trust init` demands."""
    from airgap.flow import trust  # noqa: PLC0415

    signer = trust.load_signer(root_key, read_passphrase(passphrase_env, passphrase_fd))
    fingerprint, root = trust.create_root(
        site, signer, builders, dict(map(_threshold, thresholds)), output
    )
    builder = root.roles["builder"]
    return Result(
        {
            "root": str(output),
            "site": root.site,
            "version": root.version,
            "fingerprint": fingerprint,
            "builders": list(builder.key_ids),
            "threshold": builder.threshold,
        },
        [
            (
                f"Root of site {root.site}, version {root.version}: {output}."
                " Copy it with the .dsse beside it."
            ),
            f"{builder.threshold} of {len(builder.key_ids)} builders must sign a bundle.",
            "Tell the other side this fingerprint by phone or on paper, not with the files:",
            fingerprint,
        ],
    )


def _threshold(text: str) -> tuple[str, int]:
    role, mark, number = text.partition("=")
    if not mark or not number.isdecimal():
        raise UsageError(f"{text!r} is not a threshold.", "Write builder=2.")
    return role, int(number)
