"""``airgap root sign``: add a root key's signature."""

from pathlib import Path

import click

from airgap.cli.output import Result, key_options, read_passphrase, reports
from airgap.cli.root.proposal import before_option, report


@click.command(name="sign")
@click.argument("root", type=click.Path(path_type=Path))
@before_option
@key_options
@reports
def command(
    *,
    root: Path,
    before: Path | None,
    key: str,
    passphrase_env: str | None,
    passphrase_fd: int | None,
) -> Result:
    """Put the signature of a root key beside ROOT.

    Read it first with `airgap root show ROOT --from OLD`, and compare its fingerprint with the
    ceremony sheet. The owner of a root key that this version removes signs with --from OLD.
    """
    from airgap.flow.trust import keys, roots

    signer = keys.load_signer(key, read_passphrase(passphrase_env, passphrase_fd))
    new = roots.sign_root(root, signer, before)
    result = report(roots.read_proposal(root, before))
    verdict = "Signed" if new else "Already signed"
    lines = [f"{verdict} with key {signer.key.id[:16]}…", *result.lines]
    return Result(result.data | {"signed_by": signer.key.id, "new": new}, lines)
