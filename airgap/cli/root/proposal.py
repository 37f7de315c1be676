"""Arguments of the commands about roots, and the report on a proposal."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, cast

import click

from airgap.cli.output import Result
from airgap.errors import UsageError

if TYPE_CHECKING:
    from airgap.flow.trust.roots import Proposal, SignatureCount
    from airgap.format.envelope import Role
    from airgap.format.root import Root

__all__ = ["before_option", "edit", "edits", "read_threshold", "report", "role_argument"]

P = ParamSpec("P")

role_argument = click.argument(
    "role", type=click.Choice(["root", "builder", "scanner", "approver"])
)


def edits(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command the root to change and ``-o``."""
    output = click.option(
        "-o",
        "--output",
        metavar="NEXT",
        type=click.Path(path_type=Path),
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
    if not mark or not number.isdecimal() or role not in ("root", "builder", "scanner", "approver"):
        raise UsageError(
            f"{text!r} is not a threshold.",
            "Write builder=2; roles: root, builder, scanner, approver.",
        )
    return cast("Role", role), int(number)


def report(proposal: "Proposal") -> Result:
    """Say what a root file holds and which signatures it still needs."""
    from airgap.cli.lines.roots import root_lines
    from airgap.flow.describe.root import describe_root

    root, complete = proposal.root, proposal.is_complete
    knows_old = root.version == 1 or len(proposal.counts) > 1
    lines = [
        f"{proposal.path}: root of site {root.site}, version {root.version}",
        f"fingerprint {proposal.fingerprint}",
        *root_lines(root),
        *(f"since version {root.version - 1}: {line}" for line in proposal.changes),
        *map(_signature_line, proposal.counts),
    ]
    if not knows_old:
        lines.append(f"The root keys of version {root.version - 1} must sign too: see --from OLD.")
    if not complete:
        lines.append(f"Not complete: airgap root sign {proposal.path} --key K.key")
    data = {
        "root": str(proposal.path),
        **describe_root(root),
        "fingerprint": proposal.fingerprint,
        "changes": list(proposal.changes),
        "signatures": [
            {
                "by_keys_of_version": count.version,
                "threshold": count.threshold,
                "signed_by": list(count.signed),
                "may_still_sign": list(count.others),
            }
            for count in proposal.counts
        ],
        "complete": complete if knows_old else None if complete else False,
    }
    return Result(data, lines)


def _signature_line(count: "SignatureCount") -> str:
    signed, others = (
        ", ".join(f"{key_id[:16]}…" for key_id in key_ids)
        for key_ids in (count.signed, count.others)
    )
    counts = f"{len(count.signed)} of {count.threshold}"
    line = f"signed by {counts} root keys of version {count.version}"
    line += f": {signed}" if signed else ""
    return f"{line}; {count.missing} more needed of {others}" if count.missing else line
