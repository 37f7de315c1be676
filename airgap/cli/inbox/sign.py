"""``airgap inbox sign``: sign what was pushed, once it was compared, into a depot."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.closure_options import closure_options
from airgap.cli.help import HelpCommand
from airgap.cli.inbox.options import inbox_argument, model_option, open_inbox, read_tag
from airgap.cli.output import (
    Result,
    count_text,
    jobs_option,
    key_options,
    location_options,
    reports,
    size_text,
)
from airgap.cli.passphrases import read_passphrase
from airgap.cli.terms_options import bundle_options

if TYPE_CHECKING:
    from airgap.flow.exporting.closure import Closure
    from airgap.flow.exporting.terms import Terms
    from airgap.flow.location.connector import Connector


@click.command(cls=HelpCommand)
@inbox_argument
@click.argument("tag", metavar="TAG")
@click.argument("output", metavar="DEPOT")
@model_option
@click.option(
    "--unseen", is_flag=True, help="Sign what this machine's own store does not have to compare."
)
@closure_options
@bundle_options
@key_options
@jobs_option
@reports
@location_options
def sign(  # noqa: PLR0913  (one argument per option)
    *,
    folder: Path,
    tag: str,
    output: str,
    model: bool,
    unseen: bool,
    closure: "Closure",
    terms: "Terms",
    roots: dict[str, bytes],
    key: str,
    passphrase_env: str | None,
    passphrase_fd: int | None,
    jobs: int | None,
    connector: "Connector",
) -> Result:
    """Sign a pushed item, with the models that it needs, and write the bundle into DEPOT.

    Each item is compared with the one of this machine's own store before, all of it read. Options
    are those of `airgap export`. Other builders then add their signatures with `airgap sign`.
    """
    from airgap.cli.signers import load_signer
    from airgap.flow.describe.bundle import describe_bundle
    from airgap.flow.exporting.export import ExportRequest
    from airgap.flow.inbox.sign import sign_pushed
    from airgap.flow.location.location import parse_depot

    inbox, wanted = open_inbox(folder), read_tag(tag, model=model)
    signer = load_signer(key, read_passphrase(passphrase_env, passphrase_fd))
    request = ExportRequest(
        (),
        (),
        parse_depot(output),
        [signer],
        terms,
        closure=closure,
        roots=roots,
        jobs=jobs,
        credentials=connector.credentials,
        transfer=connector.transfer,
    )
    done = sign_pushed(inbox, wanted, request, connector.progress, takes_unseen=unseen)
    data = describe_bundle(done.bundle, done.manifest) | {
        "output": output,
        "packs_written": done.packs_written,
        "packs_there": done.packs_there,
        "bytes_written": done.bytes_written,
        "signed_by": [signer.key.id],
    }
    lines = [f"{item} ({size_text(item.size)})" for item in done.manifest.items]
    packs = count_text(done.packs_written, "pack")
    lines.append(f"{size_text(done.bytes_written)} written to {output}, in {packs}")
    return Result(data, [*lines, f"bundle {done.bundle}", f"  signed with key {signer.key.id}"])
