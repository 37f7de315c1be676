"""``airgap trust``: choose whom this machine trusts."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.output import CommandGroup, Result, place_options, reports
from airgap.errors import UsageError

if TYPE_CHECKING:
    from airgap.flow.location.credentials import Access


@click.group(cls=CommandGroup)
def command() -> None:
    """Choose whom this machine trusts."""


@command.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "--fingerprint",
    metavar="SHA256:HEX",
    required=True,
    help="As it was told to you by another way than the file.",
)
@reports
def init(*, root: Path, fingerprint: str) -> Result:
    """Trust the site described by ROOT, if it has this fingerprint."""
    from airgap.flow.trust import pin

    accepted, folder, is_new = pin.pin_root(root, fingerprint)
    said = "now trusts" if is_new else "trusts already, and still,"
    return Result(
        {"site": accepted.site, "version": accepted.version, "new": is_new, "state": str(folder)},
        [f"This machine {said} the builders of site {accepted.site} (root {accepted.version})."],
    )


@command.command()
@reports
def show() -> Result:
    """Show the root that this machine trusts, and what it remembers of its imports.

    Write the ledger's number of entries and its head on paper now and then: they tell when this
    machine and its stores were both restored from a backup.
    """
    from airgap.cli.lines.history import history_lines
    from airgap.cli.lines.roots import root_lines
    from airgap.flow.admission import policy, reset
    from airgap.flow.describe.history import describe_history
    from airgap.flow.describe.root import describe_root
    from airgap.format.root import fingerprint

    pinned = policy.require_root()
    root = pinned.value
    health = reset.check_pinned_history()
    lines = [
        f"Site {root.site}, root version {root.version}",
        fingerprint(pinned.raw),
        *root_lines(root),
        *history_lines(health, root),
    ]
    about = describe_root(root) | {"fingerprint": fingerprint(pinned.raw)}
    return Result(about | {"memory": describe_history(health, root)}, lines)


@command.command("reset-state")
@click.option(
    "--yes",
    "head",
    metavar="HEAD",
    allow_from_autoenv=False,  # said by a person who has read what is lost
    help="Do it without asking; HEAD is the ledger's head, as this command tells it.",
)
@reports
def reset_state(*, head: str | None) -> Result:
    """Begin to remember anew where what this machine remembers of its imports is not whole.

    Says what was found and what is lost, and asks. What is whole of the ledger is kept, the old
    files are put aside, and the ledger tells of it.
    """
    from airgap.cli.lines.history import history_lines, loss_lines
    from airgap.flow.admission import policy, reset
    from airgap.flow.describe.history import describe_history

    root = policy.require_root().value
    health = reset.check_pinned_history()
    if health.fault is None:
        about = describe_history(health, root)
        return Result({"reset": False, "memory": about}, ["All is whole; nothing was done."])
    found = history_lines(health, root) + loss_lines(health)
    if head is None:
        _confirm(root.site, found)
    done = reset.reset_history(health.head if head is None else head)
    about = describe_history(reset.check_pinned_history(), root)
    lines = [
        f"Begun anew with {done.state.entries - 1} entries that were whole.",
        f"What was there is in {done.aside}.",
        f"The ledger has {done.state.entries} entries now, head {done.state.head.hex()}.",
    ]
    return Result({"reset": True, "aside": str(done.aside), "memory": about}, lines)


def _confirm(site: str, found: list[str]) -> None:
    """Say what is so, and let a person type the site's id.

    Raises:
        UsageError: there is no terminal, or something else was typed.
    """
    for line in found:
        click.echo(line, err=True)
    if not sys.stdin.isatty():
        raise UsageError(
            "There is no terminal to ask at; nothing was done.",
            "Read the above, and give --yes with the ledger's head.",
        )
    typed = click.prompt(
        f"Type the site's id ({site}) to begin anew", default="", show_default=False, err=True
    )
    if typed.strip() != site:
        raise UsageError("Something else was typed; nothing was done.", f"Type {site}.")


@command.command()
@click.argument("places", metavar="ROOT...", nargs=-1, required=True)
@reports
@place_options
def update(*, places: tuple[str, ...], access: "Access") -> Result:
    """Let newer roots take over from the one that this machine trusts: all of them, or none.

    ROOT is a root file with its signatures beside it, or a depot or .airgap file that holds roots.
    Each version follows the one before, signed by enough root keys of both.
    """
    from airgap.flow.describe.root import root_changes
    from airgap.flow.trust import pin
    from airgap.format.root import fingerprint

    done = pin.update_root(places, access)
    before, after = done.before.value, done.after.value
    changes = root_changes(before, after)
    data = {
        "site": after.site,
        "before": before.version,
        "version": after.version,
        "fingerprint": fingerprint(done.after.raw),
        "new": before.version != after.version,
        "changes": changes,
        "signed_by": list(done.after.signers["root"]),
    }
    if before.version == after.version:
        return Result(data, [f"Nothing new: root version {after.version} is trusted already."])
    lines = [
        f"Site {after.site}: root version {after.version} has taken over from {before.version}.",
        fingerprint(done.after.raw),
        *changes,
    ]
    return Result(data, lines)
