"""``airgap push``: put a Bento or model into a depot."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.attachment_options import attachment_options
from airgap.cli.closure_options import closure_options
from airgap.cli.help import HelpCommand
from airgap.cli.lines.disk_use import written_lines
from airgap.cli.lines.labels import label_lines
from airgap.cli.output import (
    Result,
    count_text,
    jobs_option,
    key_options,
    licence_option,
    location_options,
    reports,
    reread_option,
    size_text,
    tmpdir_option,
)
from airgap.cli.passphrases import read_passphrase
from airgap.cli.receipt.options import recorder_option
from airgap.cli.terms_options import terms_options

if TYPE_CHECKING:
    from airgap.flow.depot.push import PushResult
    from airgap.flow.exporting.attachment_options import AttachmentOptions
    from airgap.flow.exporting.closure import Closure
    from airgap.flow.exporting.terms import Terms
    from airgap.flow.location.connector import Connector


@click.command(name="push", cls=HelpCommand)
@click.argument("tag", metavar="TAG")
@click.argument("depot", metavar="DEPOT", envvar="AIRGAP_DEPOT")
@click.option("--model", "is_model", is_flag=True, help="TAG is a model's, not a Bento's.")
@click.option(
    "--with-models/--no-models",
    default=True,
    show_default=True,
    help="Whether the models that the Bento names go with it.",
)
@click.option(
    "--bare",
    is_flag=True,
    help="The signed manifest alone, without content: to be approved, or for a register.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Also if it is there: send again what reads wrong, and let it replace other content of"
    " this tag by this key, once it is in place.",
)
@closure_options
@terms_options
@licence_option
@attachment_options
@recorder_option
@reread_option
@tmpdir_option
@key_options
@jobs_option
@reports
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    tag: str,
    depot: str,
    is_model: bool,
    with_models: bool,
    bare: bool,
    force: bool,
    closure: "Closure",
    terms: "Terms",
    licence_policy: Path | None,
    attachments: "AttachmentOptions",
    recorder_key: str | None,
    reread: bool,
    tmpdir: Path | None,
    key: str,
    passphrase_env: str | None,
    passphrase_fd: int | None,
    jobs: int | None,
    connector: "Connector",
) -> Result:
    """Put the Bento TAG with its models into DEPOT: a folder, a URL or @REMOTE.

    It becomes a bundle of its own, signed with --key. Packs that are there are not sent again, and
    if a bundle signed by this key holds exactly the same, it gets only the attachments that it
    lacks. The same tag with other content is refused without --force.
    """
    from airgap.cli.signers import load_signer
    from airgap.flow.depot.push import PushRequest, push
    from airgap.flow.describe.bundle import describe_bundle
    from airgap.flow.disk_use import describe_peak
    from airgap.flow.exporting.select import require_items
    from airgap.flow.location.destination import require_folder_above
    from airgap.flow.location.location import LocalDepot, parse_depot

    location = parse_depot(depot)
    kind = "model" if is_model else "bento"
    if isinstance(location, LocalDepot):
        require_folder_above(location.path)
    require_items({kind: [tag]})
    ask = read_passphrase(passphrase_env, passphrase_fd)
    request = PushRequest(
        kind,
        tag,
        location,
        load_signer(key, ask),
        terms,
        closure,
        with_models=with_models,
        bare=bare,
        force=force,
        licence_policy=licence_policy,
        attachments=attachments,
        recorder=load_signer(recorder_key, ask) if recorder_key else None,
        jobs=jobs,
        credentials=connector.credentials,
        transfer=replace(connector.transfer, spool=tmpdir, reread=reread),
    )
    done = push(request, connector.progress)
    data = describe_bundle(done.bundle, done.manifest)
    data |= {
        "depot": str(location),
        "was_there": done.was_there,
        "packs_written": done.packs_written,
        "packs_there": done.packs_there,
        "bytes_written": done.bytes_written,
        "attached": list(done.attached),
        "replaced": list(done.replaced),
        "disk_use": [describe_peak(peak) for peak in done.peaks],
    }
    lines = _lines(done, f"{tag} --model" if is_model else tag, str(location))
    if not done.was_there:
        lines += written_lines(done.bytes_written, location)
    return Result(data, lines)


def _lines(done: "PushResult", tag: str, depot: str) -> list[str]:
    lines = [f"{item} ({size_text(item.size)})" for item in done.manifest.items]
    lines += label_lines(done.manifest.labels)
    if done.was_there:
        lines += [f"attached {file}" for file in done.attached]
        news = "it got the attachments" if done.attached else "nothing was done"
        return [*lines, f"It is there already, in bundle {done.bundle}; {news}."]
    written = count_text(done.packs_written, "pack")
    lines.append(f"{written} written, {done.packs_there:,} already there")
    lines += [f"replaced bundle {bundle}" for bundle in done.replaced]
    lines.append(f"bundle {done.bundle}")
    return [*lines, f"To install it: airgap pull {tag} {depot}"]
