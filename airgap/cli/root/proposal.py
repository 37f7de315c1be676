"""What the commands about roots share: their arguments, and how a proposal is reported."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, cast

import click

from airgap.cli.output import Result
from airgap.errors import UsageError

if TYPE_CHECKING:
    from airgap.flow.trust.roots import Proposal, Standing
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
    """Change a root file and report what became of it."""
    from airgap.flow.trust import roots

    return report(roots.edit(root, change, output))


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

    root, whole = proposal.root, proposal.is_complete
    knows_old = root.version == 1 or len(proposal.standings) > 1
    lines = [
        f"{proposal.path}: root of site {root.site}, version {root.version}",
        f"fingerprint {proposal.fingerprint}",
        *root_lines(root),
        *(f"since version {root.version - 1}: {line}" for line in proposal.changes),
        *map(_standing_line, proposal.standings),
    ]
    if not knows_old:
        lines.append(f"The root keys of version {root.version - 1} must sign too: see --from OLD.")
    if not whole:
        lines.append(f"Not complete: airgap root sign {proposal.path} --key K.key")
    data = {
        "root": str(proposal.path),
        **describe_root(root),
        "fingerprint": proposal.fingerprint,
        "changes": list(proposal.changes),
        "signatures": [
            {
                "by_keys_of_version": one.version,
                "threshold": one.threshold,
                "signed_by": list(one.signed),
                "may_still_sign": list(one.others),
            }
            for one in proposal.standings
        ],
        "complete": whole if knows_old else None if whole else False,
    }
    return Result(data, lines)


def _standing_line(one: "Standing") -> str:
    line = f"signed by {len(one.signed)} of {one.threshold} root keys of version {one.version}"
    if one.signed:
        line += f": {', '.join(key_id[:16] + '…' for key_id in one.signed)}"
    if one.missing:
        line += f"; {one.missing} more of {', '.join(key_id[:16] + '…' for key_id in one.others)}"
    return line
