"""Arguments of the commands about roots, and the report on a proposal."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, cast

import click

from airgap.cli.output import OutputPath, Result
from airgap.cli.times import read_span
from airgap.errors import UsageError

if TYPE_CHECKING:
    from airgap.flow.trust.roots import Proposal, SignatureCount
    from airgap.format.envelope import Role
    from airgap.format.root import Root
    from airgap.format.site_rules import Demand, LabelRule, Recipient

__all__ = [
    "before_option",
    "edit",
    "edits",
    "read_demand",
    "read_label_rule",
    "read_recipient",
    "read_threshold",
    "report",
    "role_argument",
]

P = ParamSpec("P")

_ROLES: Final = ("root", "builder", "scanner", "approver", "recorder", "witness")

role_argument = click.argument("role", type=click.Choice(_ROLES))


def edits(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command the root to change and ``-o``."""
    output = click.option(
        "-o",
        "--output",
        metavar="NEXT",
        type=OutputPath(),
        help="Where the proposal of the next version goes, if ROOT is signed.",
    )
    root = click.argument("root", type=click.Path(path_type=Path))
    return root(output(command))


def before_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command ``--from``."""
    return click.option(
        "--from",
        "before",
        type=click.Path(path_type=Path),
        metavar="OLD",
        help="The root of the version before: its root keys must sign too.",
    )(command)


def edit(root: Path, change: "Callable[[Root], Root]", output: Path | None) -> Result:
    """Change a root file and report the result."""
    from airgap.flow.trust import roots

    return report(roots.edit_root(root, change, output))


def read_threshold(text: str) -> tuple["Role", int]:
    """Read ``ROLE=K``.

    Raises:
        UsageError: it is not of that form.
    """
    role, mark, number = text.partition("=")
    if not mark or not number.isdecimal() or role not in _ROLES:
        raise UsageError(
            f"{text!r} is not a threshold.", f"Write builder=2; roles: {', '.join(_ROLES)}."
        )
    return cast("Role", role), int(number)


def read_demand(text: str) -> "Demand":
    """Read ``NAME=ROLE[:K[:AGE]]``.

    Raises:
        UsageError: it is not of that form.
    """
    from airgap.format.site_rules import Demand

    name, _, rest = text.partition("=")
    role, threshold, age, *more = [*rest.split(":"), "", ""]
    if role not in ("scanner", "approver") or not (threshold or "1").isdecimal() or any(more):
        raise UsageError(
            f"{text!r} is not a demand.", "Write rehearsal=scanner, or malware=scanner:2:30d."
        )
    max_age = read_span(age) if age else None
    return Demand(name, cast("Role", role), int(threshold or 1), max_age)


def read_label_rule(text: str) -> tuple[str, "LabelRule"]:
    """Read ``LABEL`` or ``LABEL=VALUE,VALUE…``."""
    from airgap.format.site_rules import LabelRule

    label, mark, values = text.partition("=")
    return label, LabelRule(tuple(sorted(set(values.split(",")))) if mark else None)


def read_recipient(text: str) -> "Recipient":
    """Read ``RECIPIENT=PURPOSE:LABEL``.

    Raises:
        UsageError: it is not of that form.
    """
    from airgap.format.site_rules import PURPOSES, Recipient

    recipient, _, rest = text.partition("=")
    purpose, _, label = rest.partition(":")
    if purpose not in PURPOSES or not label:
        raise UsageError(
            f"{text!r} is not a recipient with its purpose and label.",
            f"Write age1…=site:NAME; purposes: {', '.join(PURPOSES)}.",
        )
    return Recipient(recipient, label, purpose)


def report(proposal: "Proposal") -> Result:
    """Say what a root file holds and which signatures it still needs."""
    from airgap.cli.lines.roots import root_lines
    from airgap.flow.trust.describe import describe_proposal

    root, complete = proposal.root, proposal.is_complete
    knows_old = root.version == 1 or len(proposal.counts) > 1
    lines = [
        f"{proposal.path}: root of site {root.site}, version {root.version}",
        f"fingerprint {proposal.fingerprint}",
        *root_lines(root),
        *(f"since version {root.version - 1}: {line}" for line in proposal.changes),
        *(line for count in proposal.counts for line in _signature_lines(count)),
    ]
    if not knows_old:
        lines.append(f"The root keys of version {root.version - 1} must sign too: see --from OLD.")
    if not complete:
        lines.append(
            f"Not complete: airgap root sign {proposal.path} --fingerprint SHA256:HEX --key K.key"
        )
    return Result(describe_proposal(proposal), lines)


def _signature_lines(count: "SignatureCount") -> list[str]:
    line = f"signed by {len(count.signed)} of {count.threshold} root keys of version"
    line += f" {count.version}"
    if count.missing:
        line += f", {count.missing} more needed"
    can_sign = count.others if count.missing else ()
    return [
        line,
        *(f"  signed by {key_id}" for key_id in count.signed),
        *(f"  can sign: {key_id}" for key_id in can_sign),
    ]
