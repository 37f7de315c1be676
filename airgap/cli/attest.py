"""``airgap attest``: sign the result of a scan or review of a bundle."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, key_options, location_options, reports
from airgap.cli.passphrases import read_passphrase
from airgap.cli.signing import SigningPurpose, bundle_option, open_shown

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector
    from airgap.flow.trust.attest import Statement


@click.command(name="attest", cls=HelpCommand)
@click.argument("source", metavar="SRC")
@bundle_option
@click.option("--role", type=click.Choice(["scanner", "approver"]), required=True)
@click.option(
    "--findings",
    metavar="FILE",
    type=click.Path(path_type=Path),
    required=True,
    help="The scanner's report. Its SHA-256 is signed, and a copy travels with the bundle.",
)
@click.option(
    "--no-attach", is_flag=True, help="Sign the SHA-256 of the report alone: it stays here."
)
@click.option(
    "--name",
    metavar="NAME",
    default="",
    help="What is attested, such as malware, rehearsal, licence or review; default: malware for a"
    " scanner, review for an approver.",
)
@click.option(
    "--intoto",
    "is_stated",
    is_flag=True,
    help="Sign the same once more, as an in-toto statement for other programs.",
)
@click.option("--reject", is_flag=True, help="Reject it: sites of this key will not import it.")
@click.option(
    "--note", metavar="TEXT", default="", help="One line for people, signed with the decision."
)
@key_options
@reports
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    source: str,
    bundle: str | None,
    role: str,
    name: str,
    findings: Path,
    no_attach: bool,
    is_stated: bool,
    reject: bool,
    note: str,
    key: str,
    passphrase_env: str | None,
    passphrase_fd: int | None,
    connector: "Connector",
) -> Result:
    """Accept or reject the bundle in SRC (a depot, DEPOT#ID, or a .airgap file) on a report.

    Shows what is signed, and signs these bytes: compare the ID with that of the report. If this
    machine trusts a site, a bundle is accepted only if enough of its builders have signed it.
    """
    from airgap.flow.trust import attest

    statement = attest.Statement(
        "scanner" if role == "scanner" else "approver",
        "reject" if reject else "accept",
        note,
        findings,
        is_attached=not no_attach,
        name=name,
        is_stated=is_stated,
    )
    ask = read_passphrase(passphrase_env, passphrase_fd)
    return sign_statement(source, bundle, statement, key, ask, connector)


def sign_statement(  # noqa: PLR0913, PLR0917  (what two commands share)
    source: str,
    bundle: str | None,
    statement: "Statement",
    key: str,
    passphrase: Callable[[str], bytes],
    connector: "Connector",
) -> Result:
    """Show a bundle, sign a statement about it, write it beside the bundle, and report it."""
    from airgap.cli.signers import load_signer
    from airgap.flow.trust import attest

    signer = load_signer(key, passphrase)
    done = "accepted" if statement.decision == "accept" else "rejected"
    role = f"as {statement.role}" + (f" ({statement.name})" if statement.name else "")
    verb = statement.decision.capitalize()
    purpose = SigningPurpose(f"To be {done} {role}", verb, role)
    with open_shown(source, bundle, purpose, connector) as candidate:
        attestation = attest.attest(candidate, statement, signer, connector.progress)
    findings = None if attestation.findings is None else attestation.findings.hex()
    what = (
        attestation.role if attestation.is_default else f"{attestation.role} ({attestation.name})"
    )
    lines = [
        f"{done.capitalize()} as {what}",
        f"  bundle {candidate.bundle}",
        f"  with key {signer.key.id}",
    ]
    if findings:
        where = "attached" if statement.is_attached else "keep that file"
        lines.append(f"findings sha256 {findings}: {where}")
    if statement.is_stated:
        lines.append("stated for other programs as well, in an attachment")
    return Result(
        {
            "bundle": candidate.bundle,
            "role": attestation.role,
            "name": attestation.name,
            "decision": attestation.decision,
            "note": attestation.note,
            "findings": findings,
            "signed_by": signer.key.id,
        },
        lines,
    )
