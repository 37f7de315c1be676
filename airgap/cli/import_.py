"""``airgap import``: verify a bundle and install what it holds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airgap.cli.events import send_outcome, syslog_option
from airgap.cli.help import HelpCommand
from airgap.cli.output import (
    OutputPath,
    Result,
    admission_options,
    count_text,
    depot_option,
    identity_option,
    jobs_option,
    licence_option,
    location_options,
    reports,
    size_text,
)
from airgap.cli.receipt.options import make_options, receipt_options
from airgap.cli.terminal import Styled, print_line

if TYPE_CHECKING:
    from airgap.flow.bundle.open_bundle import Opened
    from airgap.flow.environment.packages import NamedPackages
    from airgap.flow.importing.use_case import ImportResult
    from airgap.flow.location.connector import Connector


@click.command(name="import", cls=HelpCommand)
@click.argument("sources", nargs=-1, required=True, metavar="SRC...")
@click.option("--replace", is_flag=True, help="Replace installed items whose content differs.")
@click.option("--dry-run", is_flag=True, help="Check signatures and say what would be done.")
@click.option("--kit", is_flag=True, help="Import a kit, which is made to install airgap.")
@click.option(
    "--newest",
    is_flag=True,
    help="Take the newest bundle of a depot, though older ones cannot be imported after it.",
)
@click.option(
    "--insecure-allow-unsigned",
    is_flag=True,
    allow_from_autoenv=False,  # said each time, by a person: not by a variable or a file
    help="Take an archive or folder of stock BentoML that has no signed manifest beside it.",
)
@click.option(
    "--model-signatures",
    type=OutputPath(file_okay=False),
    metavar="DIR",
    help="Put the models' own signatures here, for OpenSSF `model_signing verify`.",
)
@admission_options
@identity_option
@depot_option
@licence_option
@receipt_options
@click.option(
    "--want",
    type=OutputPath(dir_okay=False),
    metavar="FILE",
    help="If chunks are lacking, write into FILE what the sender needs for `export --for FILE`.",
)
@jobs_option
@syslog_option
@reports
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    sources: tuple[str, ...],
    replace: bool,
    dry_run: bool,
    kit: bool,
    newest: bool,
    insecure_allow_unsigned: bool,
    model_signatures: Path | None,
    waivers: tuple[Path, ...],
    channel: str | None,
    identities: tuple[str, ...],
    depots: tuple[str, ...],
    licence_policy: Path | None,
    receipt: Path | None,
    recorder_key: str | None,
    terse_receipt: bool,
    want: Path | None,
    jobs: int | None,
    syslog: str | None,
    connector: "Connector",
) -> Result:
    """Verify the bundle in SRC and install its Bentos and models.

    SRC is a depot (its newest bundle), DEPOT#ID, a .airgap file, - for standard input, or an
    archive or folder for stock BentoML with its .airgap-manifest beside it; or volumes of one
    bundle, in any order, all at once or one after the other: each run says what is still missing.
    Nothing reaches the stores before all of it is verified. The same import again does nothing.
    """
    from airgap.flow.importing.use_case import ImportRequest, import_bundle
    from airgap.flow.location.location import parse_location

    def work() -> Result:
        request = ImportRequest(
            [parse_location(source) for source in sources],
            replace=replace,
            dry_run=dry_run,
            kit=kit,
            newest=newest,
            warn_unsigned=_warn if insecure_allow_unsigned else None,
            waivers=waivers,
            channel=channel,
            identities=identities,
            depots=[parse_location(depot) for depot in depots],
            licence_policy=licence_policy,
            want=want,
            model_signatures=model_signatures,
            receipt=None if dry_run else make_options(receipt, recorder_key, terse=terse_receipt),
            jobs=jobs,
            credentials=connector.credentials,
            transfer=connector.transfer,
        )
        return make_result(import_bundle(request, connector.progress), dry_run=dry_run)

    return send_outcome(None if dry_run else syslog, " ".join(sources), work)


def _warn(text: str) -> None:
    print_line((Styled(text, "red"),), err=True)


def make_result(done: "ImportResult", *, dry_run: bool, notes: Sequence[str] = ()) -> Result:
    """Say what became of each item, and whose signatures admitted the bundle."""
    from airgap.cli.lines.bundles import admission_lines
    from airgap.cli.lines.disk_use import peak_lines
    from airgap.cli.lines.packages import package_line
    from airgap.flow.bundle import model_signatures
    from airgap.flow.describe.bundle import describe_admission, describe_item, describe_signers
    from airgap.flow.environment.packages import describe_packages

    opened, lines = done.opened, list(notes)
    data: dict[str, Any] = {"bundle": None, "signed_by": [], "dry_run": dry_run}
    if opened is not None:
        data |= {"bundle": opened.bundle, **describe_signers(opened), **describe_admission(opened)}
        lines += admission_lines(opened)
    if done.model_signatures is not None:
        data["model_signatures"] = model_signatures.describe(done.model_signatures)
        data["model_signature_commands"] = list(done.commands)
        lines += model_signatures.lines(done.model_signatures)
        lines += [f"  to check it: {command}" for command in done.commands]
    data["items"] = [{**describe_item(item), "outcome": outcome} for item, outcome in done.outcomes]
    data["missing"] = list(done.missing)
    packages = [] if dry_run else _find_packages(done)
    data["packages"] = [describe_packages(named) for named in packages]
    lines = [
        *(f"{outcome}: {item} ({size_text(item.size)})" for item, outcome in done.outcomes),
        *(f"still missing here: {name}; the Bento needs it" for name in done.missing),
        *lines,
    ]
    lines += [package_line(named) for named in packages]
    lines += _describe_disk_use(done, data)
    lines += _describe_receipt(done, data)
    if dry_run:
        lines += peak_lines(done.peaks)
        lines.append("Nothing was written, and packs were not read: `airgap verify` does that.")
    elif all(outcome == "already there" for _, outcome in done.outcomes):
        lines.append(_describe_no_change(opened))
    return Result(data, lines)


def _describe_no_change(opened: "Opened | None") -> str:
    """Say that nothing was installed, and which number the site has if it is another one now."""
    if opened is not None:
        manifest = opened.manifest.value
        number, channel = manifest.sequence, manifest.channel
        if number > opened.policy.state.last_sequence(channel) and manifest.completes is None:
            return (
                "Nothing was installed: all of it was there. This site now has number"
                f" {number} of channel {channel}."
            )
    return "Everything was already there; nothing was done."


def _describe_disk_use(done: "ImportResult", data: dict[str, Any]) -> list[str]:
    """Say what was written to each store."""
    from airgap.flow.disk_use import describe_peak, written_text
    from airgap.flow.importing.use_case import measure_written

    written = measure_written(done)
    data["disk_use"] = [describe_peak(peak) for peak in done.peaks]
    data["bytes_written"] = sum(written.values())
    return [written_text(size, store) for store, size in written.items()]


def _describe_receipt(done: "ImportResult", data: dict[str, Any]) -> list[str]:
    """Say where the receipt is, and what it needs before it may leave."""
    from airgap.flow.receipts.describe import describe_made, describe_witnessed

    data["receipt"] = describe_made(done.receipt)
    data["witnessed"] = describe_witnessed(done.witnessed)
    if done.receipt is None:
        return []
    lines = [f"receipt: {done.receipt.path}"]
    if done.receipt.approvals:
        needed = count_text(done.receipt.approvals, "approval")
        lines.append(f"It may leave with {needed}: airgap receipt approve FILE --key KEY")
    return lines


def _find_packages(done: "ImportResult") -> "list[NamedPackages]":
    """Look up what the Bentos name that are installed now."""
    from airgap.flow.environment.packages import find_packages

    found = [find_packages(item.tag) for item, _ in done.outcomes if item.kind == "bento"]
    return [named for named in found if named.count]
