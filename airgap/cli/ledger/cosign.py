"""``airgap ledger cosign``: sign a checkpoint as a witness."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.ledger.options import read_recorders, recorder_option
from airgap.cli.output import OutputPath, Result, key_options, reports
from airgap.cli.passphrases import read_passphrase


@click.command(name="cosign", cls=HelpCommand)
@click.argument("request", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--name",
    metavar="NAME",
    required=True,
    help="The name of this witness, such as audit.example/laptop-3; a key has one name.",
)
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=OutputPath(dir_okay=False),
    required=True,
    help="The file to write: the checkpoint with the cosignature.",
)
@recorder_option
@key_options
@reports
def command(  # noqa: PLR0913  (one argument per option)
    *,
    request: Path,
    name: str,
    output: Path,
    recorders: tuple[Path, ...],
    key: str,
    passphrase_env: str | None,
    passphrase_fd: int | None,
) -> Result:
    """Sign the checkpoint in FILE as a witness, if the ledger continues what was signed before.

    FILE is what `airgap ledger consistency` wrote. This machine remembers the last checkpoint of
    each ledger that it signed. Two checkpoints of one length with different roots are kept as
    evidence. The site adds the result with `airgap ledger checkpoint --cosigned`.
    """
    from airgap.cli.signers import load_signer
    from airgap.flow.ledger import cosign
    from airgap.flow.ledger.prove import write_proof_file
    from airgap.flow.ledger.verify import read_proof_file

    keys, _ = read_recorders(recorders)
    raw = read_proof_file(request)
    signer = load_signer(key, read_passphrase(passphrase_env, passphrase_fd))
    done = cosign.cosign(raw, keys, signer, name, str(request))
    write_proof_file(output, done.raw)
    data = {
        "origin": done.point.origin,
        "old": done.old,
        "entries": done.point.size,
        "root": done.point.root.hex(),
        "cosignature": done.line.decode(),
        "signed_by": signer.key.id,
        "file": str(output),
    }
    lines = [
        f"Cosigned {done.point.origin}: {done.point.size:,} entries, after {done.old:,}",
        f"  root {done.point.root.hex()}",
        f"  with key {signer.key.id}",
        f"The checkpoint is in {output}",
    ]
    return Result(data, lines)
