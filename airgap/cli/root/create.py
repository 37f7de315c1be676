"""``airgap root create``: make version 1 of a root."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

import click

from airgap.cli.output import Result, passphrase_options, read_passphrase, reports
from airgap.cli.root.proposal import read_threshold, report
from airgap.cli.times import read_moment

P = ParamSpec("P")


def _keys_option(role: str, *, required: bool = False) -> Callable[[Callable[P, Any]], Any]:
    article = "an" if role == "approver" else "a"
    return click.option(
        f"--{role}",
        f"{role}s",
        metavar="FILE",
        type=click.Path(path_type=Path),
        multiple=True,
        required=required,
        help=f"The public key of {article} {role}; may be repeated.",
    )


@click.command(name="create")
@click.option(
    "--site", metavar="SITE", required=True, help="The site's id, such as hospital-north."
)
@click.option(
    "--root-key",
    "root_keys",
    metavar="KEY",
    multiple=True,
    required=True,
    help="A root key; may be repeated. A private key (a file, ssh-agent:SHA256:… or pkcs11:…) signs"
    " now; the owner of a NAME.pub signs later (`airgap root sign`).",
)
@_keys_option("builder", required=True)
@_keys_option("scanner")
@_keys_option("approver")
@click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    metavar="ROLE=K",
    help="How many keys of a role must sign; 1 if not given. Roles: root, builder, scanner,"
    " approver.",
)
@click.option("--expires", metavar="WHEN", help="90d, 2y, 2030-12-31 or never (the default).")
@click.option(
    "--created-at",
    metavar="WHEN",
    help="When the root was made, such as 2026-01-31T09:00:00Z; default: now.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    required=True,
    help="The file for the root, such as root.msgpack.",
)
@passphrase_options
@reports
def command(  # noqa: PLR0913  (one argument per option)
    *,
    site: str,
    root_keys: tuple[str, ...],
    builders: tuple[Path, ...],
    scanners: tuple[Path, ...],
    approvers: tuple[Path, ...],
    thresholds: tuple[str, ...],
    expires: str | None,
    created_at: str | None,
    output: Path,
    passphrase_env: str | None,
    passphrase_fd: int | None,
) -> Result:
    """Make version 1 of a root and print the fingerprint for `airgap trust init`."""
    from airgap.flow.trust import keys, roots

    ask = read_passphrase(passphrase_env, passphrase_fd)
    signers = [keys.load_signer(name, ask) for name in root_keys if not name.endswith(".pub")]
    absent = [keys.read_public_key(Path(name)) for name in root_keys if name.endswith(".pub")]
    new = roots.NewRoot(
        site,
        {
            "root": [*absent, *(signer.key for signer in signers)],
            "builder": [keys.read_public_key(path) for path in builders],
            "scanner": [keys.read_public_key(path) for path in scanners],
            "approver": [keys.read_public_key(path) for path in approvers],
        },
        dict(map(read_threshold, thresholds)),
        None if expires is None else read_moment(expires),
        None if created_at is None else read_moment(created_at),
    )
    made = report(roots.create_root(new, signers, output))
    builder = made.data["roles"]["builder"]
    made.data.update(builders=builder["keys"], threshold=builder["threshold"])
    lines = [
        *made.lines,
        "Its signatures lie beside it: copy them too.",
        "Give this fingerprint to the other side by phone or on paper, not with the files:",
        made.data["fingerprint"],
    ]
    return Result(made.data, lines)
