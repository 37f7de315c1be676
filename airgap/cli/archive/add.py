"""``airgap archive add``: take bundles into an archive."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import (
    Result,
    count_text,
    identity_option,
    jobs_option,
    key_options,
    location_options,
    reports,
)
from airgap.cli.passphrases import read_passphrase

if TYPE_CHECKING:
    from airgap.flow.archive.add import AddedBundle
    from airgap.flow.location.connector import Connector


@click.command(name="add", cls=HelpCommand)
@click.argument("words", nargs=-1, required=True, metavar="[SRC...] ARCHIVE")
@click.option(
    "--class",
    "class_name",
    required=True,
    metavar="NAME",
    help="The class of the policy that says how long to keep it.",
)
@click.option(
    "--policy",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The archive policy of the site: its classes (TOML).",
)
@click.option(
    "--evidence",
    "evidence",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep this file, or the files of this folder, beside the bundle too; repeat it.",
)
@identity_option
@key_options
@jobs_option
@reports
@location_options
def add(  # noqa: PLR0913  (one argument per option)
    *,
    words: tuple[str, ...],
    class_name: str,
    policy: Path,
    evidence: tuple[Path, ...],
    identities: tuple[str, ...],
    key: str,
    passphrase_env: str | None,
    passphrase_fd: int | None,
    jobs: int | None,
    connector: "Connector",
) -> Result:
    """Verify the bundles in SRC, and keep them in ARCHIVE with what is known of them.

    SRC is a depot (all of its bundles), DEPOT#ID, a .airgap file, or the volumes of one bundle;
    without it, the bundles that lie in ARCHIVE already. ARCHIVE is a depot in a folder or on a
    server. Keeps signatures, attestations, attachments, roots, receipts, and proofs of this
    machine's ledgers as evidence, and signs a record with --key, a recorder's or an approver's.
    Bundles that build on others come after those; what was interrupted is run again. With
    --identity, proves that the escrow opens a sealed bundle.
    """
    from airgap.cli.signers import load_signer
    from airgap.flow.archive.add import AddRequest, add_bundles
    from airgap.flow.archive.describe_work import describe_added
    from airgap.flow.archive.policy import load_archive_policy
    from airgap.flow.location.location import parse_depot, parse_location

    *sources, archive = words
    request = AddRequest(
        [parse_location(source) for source in sources],
        parse_depot(archive),
        load_archive_policy(policy),
        class_name,
        load_signer(key, read_passphrase(passphrase_env, passphrase_fd)),
        evidence,
        identities,
        jobs,
    )
    added = add_bundles(request, connector)
    lines = [line for bundle in added for line in _list_lines(bundle)]
    return Result({"archive": archive, "bundles": list(map(describe_added, added))}, lines)


def _list_lines(added: "AddedBundle") -> list[str]:
    verdict = "archived" if added.is_new else "already archived"
    terms = added.terms
    lines = [
        f"{verdict} until {terms.keep_until} (class {terms.class_name})",
        f"  with {count_text(len(terms.evidence), 'file')} of evidence, record {added.record[:16]}",
        f"  bundle {added.bundle}",
    ]
    if terms.bases:
        lines.append(f"  builds on {count_text(len(terms.bases), 'bundle')} of the archive")
    if terms.escrow == "named":
        lines.append("  sealed: the escrow is named by the root; --identity would prove it")
    return lines
