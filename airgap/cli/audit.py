"""``airgap audit``: write a report for auditors, with evidence that they check without airgap."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import OutputPath, Result, location_options, reports

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="audit", cls=HelpCommand)
@click.argument("sources", nargs=-1, metavar="[SRC]...")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=OutputPath(dir_okay=False),
    required=True,
    help="The report, one HTML file.",
)
@click.option(
    "--evidence",
    metavar="FOLDER",
    type=OutputPath(file_okay=False),
    help="Write the evidence into this new folder, with a script that runs every command of the"
    " report.",
)
@click.option(
    "--ledger",
    "ledgers",
    metavar="FOLDER",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Read a ledger that a machine exported (`airgap ledger export` or `prove`); repeat it."
    " Default: those of this machine.",
)
@click.option(
    "--receipts",
    metavar="FILE|FOLDER",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Read receipts: a file, or a folder of them; repeat it. Default: those that this machine"
    " accepted, unless --ledger is given.",
)
@click.option(
    "--root",
    "root_files",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A root of the site, also an older one; repeat it. Default: the one that this machine"
    " trusts.",
)
@click.option(
    "--fingerprint",
    "root_fingerprints",
    metavar="SHA256:HEX",
    multiple=True,
    help="Rely on the root with this fingerprint, which --root names; repeat it.",
)
@click.option("--bundle", metavar="ID", default="", help="Only the bundle whose id begins so.")
@click.option("--since", metavar="TIME", help="Only what happened at this time or later.")
@click.option("--until", metavar="TIME", help="Only what happened at this time or before.")
@click.option("--item", metavar="TAG", default="", help="Only bundles with this item.")
@click.option(
    "--person",
    metavar="NAME",
    default="",
    help="Only what somebody signed or did: a name of the root, a user, or digits of a key id.",
)
@click.option(
    "--now",
    metavar="TIME",
    help="The time of the report; default: this machine's clock. The same inputs and the same time"
    " give the same report.",
)
@click.option(
    "--identity",
    "identities",
    metavar="FILE",
    multiple=True,
    allow_from_autoenv=False,
    help="Look into sealed bundles with the identity in FILE, or in an open descriptor, fd:N;"
    " repeat it. No variable and no config file stands for it: the report names what is inside.",
)
@click.option(
    "--include-sealed",
    is_flag=True,
    allow_from_autoenv=False,
    help="Put what is inside sealed bundles into the evidence, too, in plain text: with --identity"
    " their manifests and signatures, and the receipts that name their items.",
)
@reports
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    sources: tuple[str, ...],
    output: Path,
    evidence: Path | None,
    ledgers: tuple[Path, ...],
    receipts: tuple[Path, ...],
    root_files: tuple[Path, ...],
    root_fingerprints: tuple[str, ...],
    bundle: str,
    since: str | None,
    until: str | None,
    item: str,
    person: str,
    now: str | None,
    identities: tuple[str, ...],
    include_sealed: bool,
    connector: "Connector",
) -> Result:
    """Write a report of what moved, who vouched for it, and what proves it.

    SRC are depots and .airgap files whose bundles are looked at; their packs are not read. Sealed
    bundles are looked into with --identity; the report then names what is inside. Ledgers and
    receipts are those of this machine, or those that --ledger and --receipts name. Exceptions
    come first. With --json, the report is printed as data, too. Exits with 12 if the evidence
    contradicts itself: the report is written all the same.
    """
    from airgap.cli.lines.audit import audit_lines
    from airgap.cli.times import read_asked, read_end, read_start
    from airgap.errors import PolicyError
    from airgap.flow.audit.material import AuditFilter
    from airgap.flow.audit.use_case import AuditRequest, read_clock, run_audit
    from airgap.flow.location.location import parse_location

    wanted = AuditFilter(
        bundle,
        read_start(since) if since else None,
        read_end(until) if until else None,
        item,
        person,
    )
    request = AuditRequest(
        output,
        read_asked(now) if now else read_clock(),
        [parse_location(source) for source in sources],
        ledgers,
        receipts,
        root_files,
        root_fingerprints,
        wanted,
        evidence,
        identities,
        include_sealed,
    )
    done = run_audit(request, connector)
    is_sound = done.report["verdict"]["opinion"] != "contradiction"
    lines = audit_lines(done.report, output, evidence)
    return Result(done.report, list(lines), 0 if is_sound else PolicyError.exit_code)
