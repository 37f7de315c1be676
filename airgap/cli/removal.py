"""What ``airgap remove`` and ``airgap prune`` share: show the plan, ask, carry it out."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from airgap.cli import terminal
from airgap.cli.events import open_sink
from airgap.cli.output import Result
from airgap.cli.progress import make_progress
from airgap.errors import UsageError

if TYPE_CHECKING:
    from airgap.flow.installed.remove import RemovalPlan

__all__ = ["carry_out"]


def carry_out(
    make_plan: "Callable[[], RemovalPlan]", syslog: str | None, *, dry_run: bool, yes: bool
) -> Result:
    """Remove what a plan says, once a person has agreed; send the event to a syslog server.

    Raises:
        UsageError: there is no terminal to ask at, or ``syslog`` is not the address of a server.
        ConflictError, StorageError: as ``remove_planned``.
    """
    from airgap.cli.lines.installed_items import removal_lines
    from airgap.flow.installed.remove import describe_plan, remove_planned

    plan = make_plan()
    data = describe_plan(plan, dry_run=dry_run)
    if dry_run:
        return Result(data, removal_lines(plan, "would remove"))
    if plan.removals and not yes:
        _ask(plan)
    send = open_sink(syslog)
    event = remove_planned(plan, make_plan, make_progress())
    if event is not None:
        send(event)
    return Result(data, removal_lines(plan, "removed"))


def _ask(plan: "RemovalPlan") -> None:
    from airgap.cli.lines.installed_items import removal_lines

    for line in removal_lines(plan, "would remove"):
        terminal.print_line(line, err=True)
    if not terminal.can_ask():
        raise UsageError("There is no terminal to ask at.", "Give --yes to remove without asking.")
    terminal.confirm("Remove?")
