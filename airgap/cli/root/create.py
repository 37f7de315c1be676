"""``airgap root create``: make version 1 of a root."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import OutputPath, Result, reports
from airgap.cli.passphrases import passphrase_options, read_passphrase
from airgap.cli.root.proposal import (
    read_demand,
    read_label_rule,
    read_recipient,
    read_threshold,
    report,
)
from airgap.cli.times import read_moment
from airgap.format.fingerprints import group_digits

if TYPE_CHECKING:
    from airgap.format.root import Root

P = ParamSpec("P")


def _keys_option(role: str, *, required: bool = False) -> Callable[[Callable[P, Any]], Any]:
    article = "an" if role == "approver" else "a"
    return click.option(
        f"--{role}",
        "witnesses" if role == "witness" else f"{role}s",
        metavar="FILE",
        type=click.Path(path_type=Path),
        multiple=True,
        required=required,
        help=f"The public key of {article} {role}; may be repeated.",
    )


@click.command(name="create", cls=HelpCommand)
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
@_keys_option("recorder")
@_keys_option("witness")
@click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    metavar="ROLE=K",
    help="How many keys of a role must sign; 1 if not given. Roles: root, builder, scanner,"
    " approver, recorder, witness.",
)
@click.option(
    "--demand",
    "demands",
    multiple=True,
    metavar="NAME=ROLE[:K[:AGE]]",
    help="Demand an attestation of every bundle; see `airgap root demand`.",
)
@click.option(
    "--forbid",
    "forbidden",
    multiple=True,
    metavar="OPTION",
    help="Forbid an insecure- option; see `airgap root forbid`.",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="LABEL[=VALUE,...]",
    help="Accept only such labels of bundles; see `airgap root limit-label`.",
)
@click.option(
    "--trust-anchor",
    "anchors",
    multiple=True,
    metavar="OPTION",
    help="Let config files use only such options to recognize servers; see `airgap root"
    " limit-anchors`.",
)
@click.option(
    "--person",
    "people",
    multiple=True,
    metavar="FILE.pub=NAME",
    help="Say whose key it is; see `airgap root name-key`.",
)
@click.option(
    "--recipient",
    "recipients",
    multiple=True,
    metavar="RECIPIENT=PURPOSE:LABEL",
    help="Encrypt sealed bundles to it; see `airgap root add-recipient`.",
)
@click.option(
    "--authority",
    "authorities",
    multiple=True,
    metavar="CERT",
    type=click.Path(path_type=Path),
    help="Let its time stamps count; see `airgap root add-authority`.",
)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="NAME=FILE",
    help="Say which policy file the site uses; see `airgap root set-policy`.",
)
@click.option(
    "--receipt-approvals",
    metavar="K",
    type=click.IntRange(0),
    help="How many approvers must sign a receipt before it may leave.",
)
@click.option("--receipt-notes", is_flag=True, help="Let receipts have free text.")
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
    type=OutputPath(),
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
    recorders: tuple[Path, ...],
    witnesses: tuple[Path, ...],
    thresholds: tuple[str, ...],
    demands: tuple[str, ...],
    forbidden: tuple[str, ...],
    labels: tuple[str, ...],
    anchors: tuple[str, ...],
    people: tuple[str, ...],
    recipients: tuple[str, ...],
    authorities: tuple[Path, ...],
    policies: tuple[str, ...],
    receipt_approvals: int | None,
    receipt_notes: bool,
    expires: str | None,
    created_at: str | None,
    output: Path,
    passphrase_env: str | None,
    passphrase_fd: int | None,
) -> Result:
    """Make version 1 of a root and print the fingerprint for `airgap trust init`."""
    from airgap.cli.signers import load_signer
    from airgap.flow.trust import keys, roots

    ask = read_passphrase(passphrase_env, passphrase_fd)
    signers = [load_signer(name, ask) for name in root_keys if not name.endswith(".pub")]
    absent = [keys.read_public_key(Path(name)) for name in root_keys if name.endswith(".pub")]
    new = roots.NewRoot(
        site,
        {
            "root": [*absent, *(signer.key for signer in signers)],
            "builder": [keys.read_public_key(path) for path in builders],
            "scanner": [keys.read_public_key(path) for path in scanners],
            "approver": [keys.read_public_key(path) for path in approvers],
            "recorder": [keys.read_public_key(path) for path in recorders],
            "witness": [keys.read_public_key(path) for path in witnesses],
        },
        dict(map(read_threshold, thresholds)),
        None if expires is None else read_moment(expires),
        None if created_at is None else read_moment(created_at),
        [
            *_list_changes(demands, forbidden, labels, anchors, people),
            *_list_record_rules(recipients, authorities, policies),
            *_list_receipt_rules(receipt_approvals, notes=receipt_notes),
        ],
    )
    made = report(roots.create_root(new, signers, output))
    builder = made.data["roles"]["builder"]
    made.data.update(builders=builder["keys"], threshold=builder["threshold"])
    lines = [
        *made.lines,
        "Its signatures lie beside it: copy them too.",
        "Give this fingerprint to the other side by phone or on paper, not with the files:",
        *(f"    {row}" for row in group_digits(made.data["fingerprint"])),
    ]
    return Result(made.data, lines)


def _list_changes(
    demands: tuple[str, ...],
    forbidden: tuple[str, ...],
    labels: tuple[str, ...],
    anchors: tuple[str, ...],
    people: tuple[str, ...],
) -> "list[Callable[[Root], Root]]":
    """Return what makes a root of format 2 of the new one (format §7.6)."""
    from functools import partial

    from airgap.flow.trust import roots
    from airgap.format import root_edits

    changes: list[Callable[[Root], Root]] = [
        partial(root_edits.set_demand, demand=read_demand(text)) for text in demands
    ]
    for label, rule in map(read_label_rule, labels):
        changes.append(partial(root_edits.set_label_rule, label=label, rule=rule))
    if forbidden:
        changes.append(partial(root_edits.forbid_options, options=forbidden))
    if anchors:
        changes.append(partial(root_edits.set_trust_anchors, options=anchors))
    for text in people:
        key, _, person = text.partition("=")
        changes.append(partial(roots.name_key, key=key, person=person))
    return changes


def _list_record_rules(
    recipients: tuple[str, ...], authorities: tuple[Path, ...], policies: tuple[str, ...]
) -> "list[Callable[[Root], Root]]":
    """Return what is said of sealed bundles, of time stamps, and of policies."""
    from functools import partial

    from airgap.flow.trust.authorities import digest_policy, read_certificate_digest
    from airgap.format import root_edits
    from airgap.format.site_rules import TimestampAuthority

    changes: list[Callable[[Root], Root]] = [
        partial(root_edits.add_recipient, recipient=read_recipient(text)) for text in recipients
    ]
    for certificate in authorities:
        authority = TimestampAuthority(read_certificate_digest(certificate))
        changes.append(partial(root_edits.add_authority, authority=authority))
    for text in policies:
        name, _, policy = text.partition("=")
        changes.append(
            partial(root_edits.set_policy, name=name, digest=digest_policy(Path(policy)))
        )
    return changes


def _list_receipt_rules(approvals: int | None, *, notes: bool) -> "list[Callable[[Root], Root]]":
    """Return what is said of receipts; nothing if neither option was given."""
    from functools import partial

    from airgap.format import root_edits

    if approvals is None and not notes:
        return []
    return [partial(root_edits.set_receipts, approvals=approvals, notes=notes)]
