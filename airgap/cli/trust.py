"""``airgap trust``: choose whom this machine trusts."""

from typing import TYPE_CHECKING, Final

import click

from airgap.cli import terminal
from airgap.cli.help import HelpGroup
from airgap.cli.output import Result, answers, location_options, reports
from airgap.errors import UsageError
from airgap.printable import count_text

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


_LINE_DIGITS: Final = 32
_TRIES: Final = 3
_INTACT: Final = "is intact; nothing was done. If another machine has seen more of it: --reason."


@click.group(cls=HelpGroup)
def command() -> None:
    """Choose whom this machine trusts."""


@command.command()
@click.argument("root")
@click.option(
    "--fingerprint",
    metavar="SHA256:HEX",
    help="Fingerprint of the root, obtained by another way than the file; asked for on a terminal.",
)
@click.option(
    "--system",
    is_flag=True,
    help="For all users of this system: begin its state folder, named in /etc/airgap/config.toml.",
)
@click.option("--group", metavar="NAME", help="With --system: the users of this group import.")
@reports
@location_options
def init(
    *,
    root: str,
    fingerprint: str | None,
    system: bool,
    group: str | None,
    connector: "Connector",
) -> Result:
    """Trust the site whose root has this fingerprint.

    ROOT is a root file with its signatures beside it, or a depot or .airgap file that holds roots.
    """
    from airgap.flow.location.location import parse_location
    from airgap.flow.location.readers import require_location
    from airgap.flow.trust import pin
    from airgap.flow.trust.system import prepare_system_folder

    if system != (group is not None):
        raise UsageError(
            "--system and --group belong together.",
            "Give both: `airgap trust init ROOT --system --group airgap`.",
        )
    location = parse_location(root)
    require_location(location)
    make_folder = None if group is None else prepare_system_folder(group)
    if fingerprint is None and terminal.can_ask():
        pin.require_roots(location, connector)  # before a person types it
    typed = _ask_fingerprint() if fingerprint is None else fingerprint
    accepted, folder, is_new = pin.pin_root(location, typed, connector, make_folder)
    verb = "now trusts" if is_new else "trusts already, and still,"
    return Result(
        {"site": accepted.site, "version": accepted.version, "new": is_new, "state": str(folder)},
        [f"This machine {verb} the builders of site {accepted.site} (root {accepted.version})."],
    )


def _ask_fingerprint() -> str:
    """Let a person type the fingerprint from paper, in one line or in two.

    Raises:
        UsageError: there is no terminal.
    """
    if not terminal.can_ask():
        raise UsageError(
            "The fingerprint of the root is not given.",
            "Give --fingerprint SHA256:HEX, as the sender has told it on paper or by phone.",
        )
    first = _ask_line("Fingerprint of the root, first line (eight groups of four digits)")
    if _count_digits(first) != _LINE_DIGITS:
        return first
    return f"{first} {_ask_line('Second line')}"


def _ask_line(prompt: str) -> str:
    """Ask for a line of the fingerprint; ask again if its length is wrong, as after a slip."""
    typed = terminal.ask(prompt)
    for _ in range(_TRIES):
        digits = _count_digits(typed)
        if digits in (_LINE_DIGITS, 2 * _LINE_DIGITS):
            break
        groups, rest = divmod(digits, 4)
        length, expected = f"{digits} digits", _LINE_DIGITS
        if not rest:
            length, expected = count_text(groups, "group"), _LINE_DIGITS // 4
        typed = terminal.ask(f"That line has {length}; a line on the paper has {expected}. Again")
    return typed


def _count_digits(typed: str) -> int:
    return len("".join(typed.removeprefix("SHA256:").split()))


@command.command()
@answers
def show() -> Result:
    """Show the root that this machine trusts, and the import history.

    Write the number of entries and the head of the ledger on paper from time to time: they show
    when this machine and its stores were both restored from a backup.
    """
    from airgap.cli.lines.history import history_lines
    from airgap.cli.lines.roots import root_lines
    from airgap.flow.admission import policy, reset
    from airgap.flow.describe.history import describe_history
    from airgap.flow.describe.root import describe_root
    from airgap.format.root import fingerprint

    pinned = policy.require_root()
    root = pinned.value
    status = reset.check_pinned_history()
    lines = [
        f"Site {root.site}, root version {root.version}",
        fingerprint(pinned.raw),
        *root_lines(root),
        *history_lines(status, root),
    ]
    data = describe_root(root) | {"fingerprint": fingerprint(pinned.raw)}
    return Result(data | {"history": describe_history(status, root)}, lines)


@command.command("reset-state")
@click.option(
    "--yes",
    "head",
    metavar="HEAD",
    allow_from_autoenv=False,  # for a person who has read what is lost
    help="Do not ask; HEAD is the head of the ledger, as this command prints it.",
)
@click.option(
    "--exports",
    metavar="SITE",
    help="Reset the ledger of what was exported for SITE, instead of the import history.",
)
@click.option(
    "--reason",
    default="",
    metavar="TEXT",
    allow_from_autoenv=False,
    help="Why, for the ledger. With it, a ledger is reset that looks intact here, because the"
    " other side has seen more of it.",
)
@reports
def reset_state(*, head: str | None, exports: str | None, reason: str) -> Result:
    """Reset the import history after it was damaged or rolled back.

    Reports the damage and what is lost, and asks. Puts the old files aside, whole, and begins
    another ledger, which names the old one and has the numbers of its intact entries.

    A machine that was restored as a whole sees no damage. The other side does: it refuses the
    receipts of that machine. Then reset with --reason.
    """
    from airgap.cli.lines.history import history_lines, loss_lines
    from airgap.flow.admission import policy, reset
    from airgap.flow.describe.history import describe_history

    if exports is not None:
        return _reset_exports(exports, head, reason)
    root = policy.require_root().value
    status = reset.check_pinned_history()
    if status.fault is None and not reason:
        data = describe_history(status, root)
        return Result({"reset": False, "history": data}, [f"The import history {_INTACT}"])
    report = history_lines(status, root) + loss_lines(status)
    if head is None:
        _confirm(root.site, report)
    done = reset.reset_history(status.head if head is None else head, reason=reason)
    data = describe_history(reset.check_pinned_history(), root)
    entries = count_text(done.state.entries, "entry", "entries")
    lines = [
        f"The old ledger, with {count_text(done.kept, 'intact entry', 'intact entries')}, is in",
        f"  {done.aside}",
        f"Another ledger begins; it has {entries}, head",
        f"  {done.state.head.hex()}",
    ]
    return Result({"reset": True, "aside": str(done.aside), "history": data}, lines)


def _reset_exports(site: str, head: str | None, reason: str) -> Result:
    """Reset the ledger of what was exported for a site."""
    from airgap.flow.admission import reset

    status = reset.check_exports(site)
    if status.fault is None and not reason:
        return Result({"reset": False}, [f"The ledger {_INTACT}"])
    entries = count_text(status.entries, "intact entry", "intact entries")
    report = [
        f"ledger of exports for site {site}: {entries}, head",
        f"  {status.head}",
        f"  in {status.store.folder}",
        *([f"NOT INTACT ({status.fault.kind}): {status.fault.message}"] if status.fault else []),
        "The old files are put aside, and another ledger begins.",
        f"Without a terminal: the same command with --yes {status.head}"
        if status.fault is None
        else f"Without a terminal: airgap trust reset-state --exports {site} --yes {status.head}",
    ]
    if head is None:
        _confirm(site, report)
    done = reset.reset_history(status.head if head is None else head, site, reason)
    lines = [f"The old ledger, with {entries}, is in {done.aside}.", "Another ledger begins."]
    return Result({"reset": True, "aside": str(done.aside)}, lines)


def _confirm(site: str, report: list[str]) -> None:
    """Show the report, and let a person type the site's id.

    Raises:
        UsageError: there is no terminal, or something else was typed.
    """
    for line in report:
        terminal.print_line(line, err=True)
    if not terminal.can_ask():
        raise UsageError(
            "There is no terminal to ask at; nothing was done.",
            "Read the above, and give --yes with the ledger's head.",
        )
    typed = terminal.ask(f"Type the site's id ({site}) to reset the import history")
    if typed != site:
        raise UsageError("Something else was typed; nothing was done.", f"Type {site}.")


@command.command()
@click.argument("new_roots", metavar="ROOT...", nargs=-1, required=True)
@reports
@location_options
def update(*, new_roots: tuple[str, ...], connector: "Connector") -> Result:
    """Let newer roots take over from the one that this machine trusts: all of them, or none.

    ROOT is a root file with its signatures beside it, or a depot or .airgap file that holds roots.
    Each version follows the one before, signed by enough root keys of both.
    """
    from airgap.flow.describe.root import root_changes
    from airgap.flow.location.location import parse_location
    from airgap.flow.trust import pin
    from airgap.format.root import fingerprint

    done = pin.update_root([parse_location(root) for root in new_roots], connector)
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
        "passed_over": list(done.passed_over),
    }
    if before.version == after.version:
        same = f"Nothing new: root version {after.version} is trusted already."
        return Result(data, [*done.passed_over, same])
    lines = [
        *done.passed_over,
        f"Site {after.site}: root version {after.version} has taken over from {before.version}.",
        fingerprint(done.after.raw),
        *changes,
    ]
    return Result(data, lines)
