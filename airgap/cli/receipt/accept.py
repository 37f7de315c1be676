"""``airgap receipt accept``: take in what a site confirms."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.receipt.options import root_option
from airgap.errors import UsageError

if TYPE_CHECKING:
    from airgap.flow.receipts.accept import AcceptedReceipt, NewLedger


@click.command(name="accept", cls=HelpCommand)
@click.argument("paths", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@root_option
@click.option(
    "--new-ledger",
    type=click.Choice(["replaces", "beside"]),
    allow_from_autoenv=False,  # said each time, by a person: not by a variable or a file
    help="Accept a ledger that is not known: it replaces the known ones (the site was reset), or is"
    " beside them (another machine of the site).",
)
@click.option(
    "--note",
    metavar="TEXT",
    help="Take in the five lines that somebody read out, instead of a file; needs --site.",
)
@click.option("--site", metavar="SITE", help="The site that a note is of.")
@reports
def accept(
    *,
    paths: tuple[Path, ...],
    root: Path | None,
    new_ledger: "NewLedger | None",
    note: str | None,
    site: str | None,
) -> Result:
    """Verify receipts of a site, compare its ledger with what it was before, and keep them.

    The first one that is refused ends the command; those before it are accepted. If the site's
    ledger was rewritten, such as by a restore from a copy, both receipts are kept as evidence, and
    the exit code is 11.
    """
    if note is not None or site is not None:
        if note is None or site is None or paths:
            raise UsageError(
                "--note and --site go together, without a file.",
                'Write: airgap receipt accept --site SITE --note "bundle …".',
            )
        return _accept_note(note, site)
    if not paths:
        raise UsageError("There is no receipt to accept.", "Give .receipt.json files.")
    from airgap.flow.receipts.accept import accept_receipt, load_root, read_receipt_file
    from airgap.flow.receipts.describe import describe_accepted

    trusted = load_root(root)
    accepted = [accept_receipt(read_receipt_file(path), trusted, new_ledger) for path in paths]
    lines = [line for receipt in accepted for line in _lines(receipt)]
    return Result({"receipts": [describe_accepted(receipt) for receipt in accepted]}, lines)


def _lines(accepted: "AcceptedReceipt") -> list[str]:
    from airgap.flow.receipts.describe import describe_ledger

    receipt = accepted.signed.receipt
    result = "imported" if receipt.passed else f"refused ({receipt.reason})"
    numbered = "" if receipt.channel is None else f"{receipt.channel} {receipt.sequence}: "
    lines = [f"{receipt.site}: {numbered}{result} at {receipt.verified_at}"]
    lines.append(f"  bundle {receipt.bundle_id}")
    size = describe_ledger(receipt)["size"]
    standing = {
        "first": f"the first receipt of this ledger, {size:,} entries",
        "newer": f"the ledger continues what it was, and has {size:,} entries now",
        "same": f"the ledger is as it was, {size:,} entries",
        "older": "an older receipt, which fits the newer ones",
    }.get(accepted.continuity, "")
    lines.append(f"  {standing}")
    if accepted.is_replaced:
        lines.append("  another ledger has taken the place of this one: what the site holds stays")
    if not accepted.is_new:
        lines.append("  it was accepted before; nothing was done")
    if not accepted.is_known:
        lines.append("  this machine did not export that bundle")
    lines += [f"  no longer held there: {bundle}" for bundle in accepted.gone]
    return lines


def _accept_note(text: str, site: str) -> Result:
    from airgap.flow.receipts.accept import accept_note

    accepted = accept_note(text, site)
    result = "imported" if accepted.note.passed else "refused"
    lines = [f"{site}: bundle {accepted.note.bundle}… {result} on {accepted.note.date}, by word"]
    if len(accepted.bundles) == 1:
        lines.append(f"  bundle {accepted.bundles[0]}")
    else:
        lines.append("  no bundle that was exported here begins so, or more than one")
    lines.append("A note is not signed: accept the receipt when it comes.")
    data = {
        "site": site,
        "bundle": accepted.note.bundle,
        "bundles": list(accepted.bundles),
        "result": "passed" if accepted.note.passed else "failed",
        "size": accepted.note.size,
        "root": accepted.note.root.hex(),
        "date": accepted.note.date,
        "file": str(accepted.path),
    }
    return Result(data, lines)
